"""Time series over REST: what the model allows is answered, what it does not is refused with what to ask instead."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from api_support import NOW, TENANTS, Api, Clock
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.examples import TIMESERIES
from api.formats import KEPT_S
from lah_platform.events.examples import flat_example
from lah_platform.stores.postgres import connect
from lah_platform.stores.rollups import tick

PATH = "/api/v1/timeseries/query"
ASKED = {
    "metric": "latency_ms",
    "from": "2026-01-31T00:00:00Z",
    "to": "2026-02-01T00:00:00Z",
    "fields": ["count", "sum", "median", "stddev"],
    "window": "1h",
}
Ask = Callable[..., Any]


@pytest.fixture
def ask(served: Api) -> Ask:
    """A query's answer as the first tenant's viewer; it must be a success."""

    def asking(tenant: str = "acme", /, **changes: Any) -> Any:
        answer = served.client(tenant, "viewer").post(PATH, json=ASKED | changes)
        assert answer.status_code == 200, answer.text
        return answer.json()

    return asking


def test_an_answer_says_what_it_holds_and_what_it_was_made_from(ask: Ask) -> None:
    assert ask(group_by=["service", "tenant"], fields=["count", "sum", "mean", "rate", "median", "stddev"]) == {
        "items": [
            {
                "bucket_start": "2026-01-31T08:00:00Z",
                "bucket_end": "2026-01-31T09:00:00Z",
                "service": "chat",
                "tenant": "acme",
                "count": 2,
                "sum": 469.0,
                "mean": 234.5,
                "rate": 2 / 3600,
                "median": pytest.approx(234.0, rel=0.0109),
                "stddev": 0.5**0.5,
                "is_final": False,
                "is_filled": False,
                "revision": 1,
                "computed_at": "2026-01-31T12:00:00Z",
            }
        ],
        "next_cursor": None,
        "metric": "latency_ms",
        "kind": "histogram",
        "fields": [
            {"name": "count", "unit": "1"},
            {"name": "sum", "unit": "ms"},
            {"name": "mean", "unit": "ms"},
            {"name": "rate", "unit": "1/s"},
            {"name": "median", "unit": "ms"},
            {"name": "stddev", "unit": "ms"},
        ],
        "window": "1h",
        "from": "2026-01-31T00:00:00Z",
        "to": "2026-02-01T00:00:00Z",
        "read": [{"window": "1h", "from": "2026-01-31T00:00:00Z", "to": "2026-02-01T00:00:00Z"}],
        "stored_rows": 1,
        "revision": 1,
        "computed_at": "2026-01-31T12:00:00Z",
        "is_final": False,
        "is_suspect": False,
    }


def test_an_answer_made_of_what_failed_a_check_says_so_until_it_is_cleared(seeded: Api) -> None:
    def suspects(**asked: Any) -> list[bool]:
        answers = [seeded.client(tenant, "viewer").post(PATH, json=ASKED | asked) for tenant in TENANTS]
        return [answer.json()["is_suspect"] for answer in answers]

    assert suspects() == [False, False]
    with connect(seeded.url) as connection:
        connection.execute(
            "insert into suspect_windows (tenant, series_id, metric, window_name, window_rank, period_from, period_to,"
            " asset, check_name, advice, since) select tenant, series_id, 'latency_ms', '1h', 4, '2026-01-31 12:00Z',"
            " '2026-01-31 13:00Z', 'rollup_1h', 'x', 'x', now() from series where tenant = %s",
            [TENANTS[0]],
        )
        assert suspects() == [True, False]
        assert suspects(to="2026-01-31T12:00:00Z") == [False, False]
        assert suspects(to="2026-01-31T12:10:00Z", **{"from": "2026-01-31T12:05:00Z"}, window=None) == [False, False]
        connection.execute("update suspect_windows set cleared_at = now()")
    assert suspects() == [False, False]


def test_money_is_a_decimal_string_without_an_exponent(ask: Ask) -> None:
    (row,) = ask(metric="cost_usd", fields=["sum"], window=None)["items"]
    assert row["sum"] == "0.000001"
    assert (
        ask(metric="cost_usd", fields=["sum"], window=None, fill="zero", to="2026-01-31T01:00:00Z")["items"][0]["sum"]
        == "0"
    )


def test_each_tenant_gets_its_own_and_an_operator_tells_them_apart(ask: Ask) -> None:
    for tenant in TENANTS:
        rows = ask(tenant, group_by=["tenant"])["items"]
        assert [(row["tenant"], row["count"]) for row in rows] == [(tenant, 2)]
        other = next(each for each in TENANTS if each != tenant)
        for operator, value in (("equals", other), ("in", [other]), ("not", tenant), ("regex", f"^{other}")):
            asked = [{"dimension": "tenant", "operator": operator, "value": value}]
            assert ask(tenant, filters=asked)["items"] == []
    assert [row["tenant"] for row in ask("*", group_by=["tenant"])["items"]] == list(TENANTS)
    assert [row["count"] for row in ask("*")["items"]] == [4]


@pytest.mark.parametrize(
    ("changes", "field", "advice"),
    [
        ({"metric": "latency"}, "metric", "Did you mean latency_ms?"),
        ({"from": "2026-01-31T00:00:30Z"}, "from", "2026-01-31T00:00:00Z or 2026-01-31T00:01:00Z"),
        ({"to": "2026-01-31T00:00:00.5Z"}, "to", "2026-01-31T00:01:00Z"),
        ({"to": "2026-01-30T00:00:00Z"}, "to", "give a later `to`"),
        ({"from": "0001-01-01T00:00:00Z"}, "from", "Nothing is stored there"),
        ({"window": "30s"}, "window", "such as 1m"),
        ({"window": "0m"}, "window", "such as 1m"),
        ({"window": "5M"}, "window", "Use 1M, 2M, 3M, 4M, 6M"),
        ({"window": "1200M"}, None, None),
        ({"window": "1212M"}, "window", "Leave it out"),
        ({"window": "9999999w"}, "window", "Leave it out"),
        ({"fields": ["last"]}, "fields.0", "min or max"),
        ({"fields": ["count", "first"]}, "fields.1", "GET /api/v1/events"),
        ({"fields": ["avg"]}, "fields.0", "It is called mean"),
        ({"fields": ["meen"]}, "fields.0", "Did you mean mean?"),
        ({"fields": ["p101"]}, "fields.0", "Use one of count"),
        ({"fields": ["percentile(95)"]}, "fields.0", "p95"),
        ({"fields": ["count", "count"]}, "fields.1", "Name it once"),
        ({"metric": "score", "fields": ["p95"]}, "fields.0", "Use some of count, mean, min, max, rate"),
        ({"metric": "requests_per_second", "fields": ["sum"]}, "fields.0", "Use some of count, mean"),
        ({"metric": "score", "fields": ["median"]}, "fields.0", "Use some of count, mean"),
        ({"filters": [{"dimension": "modell", "value": "x"}]}, "filters.0.dimension", "Did you mean model?"),
        ({"filters": [{"dimension": "tags", "value": "x"}]}, "filters.0.dimension", "tags.feature"),
        ({"filters": [{"dimension": "team", "value": ["x"]}]}, "filters.0.value", "Use operator `in`"),
        ({"filters": [{"dimension": "team", "operator": "in", "value": []}]}, "filters.0.value", "Give 1 to 500"),
        ({"filters": [{"dimension": "team", "value": "a\0b"}]}, "filters.0.value", "Leave out NUL"),
        ({"filters": [{"dimension": "team", "value": "a" * 513}]}, "filters.0.value", "Give at most 512"),
        ({"filters": [{"dimension": "team", "operator": "regex", "value": "(a"}]}, "filters.0.value", "Use literals"),
        ({"filters": [{"dimension": "team", "operator": "regex", "value": "a++"}]}, "filters.0.value", "simpler"),
        ({"filters": [{"dimension": "team", "operator": "regex", "value": "(a)\\1"}]}, "filters.0.value", "literals"),
        ({"filters": [{"dimension": "team", "operator": "regex", "value": "(?=a)"}]}, "filters.0.value", "literals"),
        ({"filters": [{"dimension": "team", "operator": "regex", "value": "[[:x:]]"}]}, "filters.0.value", "literals"),
        ({"filters": [{"dimension": "team", "operator": "regex", "value": "a" * 201}]}, "filters.0.value", "most 200"),
        (
            {"filters": [{"dimension": "team", "operator": "regex", "value": "(x*|a?){250}"}]},
            "filters.0.value",
            "Repeat single characters",
        ),
        (
            {"filters": [{"dimension": "team", "operator": "regex", "value": "a{20}b{20}"}]},
            "filters.0.value",
            "within 255",
        ),
        ({"group_by": ["city"]}, "group_by.0", "Use one of tenant"),
        ({"group_by": ["team", "team"]}, "group_by.1", "Name it once"),
        ({"fill": "linaer"}, "fill", "Did you mean linear?"),
        ({"fill": 0.5}, "fill", "whole number"),
        ({"metric": "cost_usd", "fields": ["sum"], "fill": 1e-13}, "fill", "12 decimal places"),
        ({"order": ["-p95"]}, "order.0", "Use one of time, count"),
        ({"order": ["time", "-time"]}, "order.1", "Name it once"),
        ({"limit": 0}, "limit", "Use 1 to 1000000"),
        ({"limit": 1_000_001}, "limit", "Use 1 to 1000000"),
        ({"offset": -1}, "offset", "Use 0 to 1000000"),
        ({"offset": 1, "cursor": "x"}, "offset", "not both"),
        ({"cursor": "bm90IGEgY3Vyc29y"}, "cursor", "without `cursor`"),
        ({"fields": []}, "fields", ""),
        ({"where": 1}, "where", ""),
        ({"from": "yesterday"}, "from", ""),
        ({"filters": [{"dimension": "team", "operator": "like", "value": "x"}]}, "filters.0.operator", ""),
        ({"limit": "7"}, "limit", ""),
        ({"fill": True}, "fill", ""),
    ],
)
def test_what_cannot_be_answered_is_refused_by_name_with_what_to_ask_instead(
    served: Api, changes: dict[str, Any], field: str | None, advice: str | None
) -> None:
    answer = served.client("acme", "viewer").post(PATH, json=ASKED | changes)
    if field is None:
        assert answer.status_code == 200
        return
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json"), answer.text
    problem = answer.json()
    assert problem["field"].split(".str")[0].split(".list")[0].startswith(field)
    assert advice is not None
    assert advice in problem["advice"]


@pytest.mark.parametrize("body", [b"{", b"\xff", b'"\\ud800"', b"[" * 100_000])
def test_a_body_that_is_no_json_is_a_problem(served: Api, body: bytes) -> None:
    answer = served.client("acme", "viewer").post(PATH, content=body)
    assert answer.status_code in (400, 422)
    assert answer.json()["advice"]


def test_a_surrogate_in_a_text_is_refused(served: Api) -> None:
    body = json.dumps(ASKED | {"filters": [{"dimension": "team", "value": "\ud800"}]})
    assert served.client("acme", "viewer").post(PATH, content=body).status_code in (400, 422)


def test_a_tag_whose_name_is_sql_is_a_name(ask: Ask) -> None:
    for name in ("tags.a'b", 'tags."; drop table series; --', "tags.100%s", "tags.{x}"):
        (row,) = ask(group_by=[name], filters=[{"dimension": name, "value": ""}])["items"]
        assert row[name] == ""


def test_pages_add_up_to_the_whole_and_their_cursor_is_of_their_query_only(api: Api) -> None:
    client = api.client("acme", "admin")
    for minute in range(7):
        event = flat_example("latency", f"2026-01-31T09:{minute:02d}:00Z")
        event["event_id"] = f"00000000-0000-4000-8000-{minute:012d}"
        assert client.post("/api/v1/events", json=event).is_success
    with connect(api.url) as connection:
        tick(connection, now=NOW)
    asked = ASKED | {"window": "1m", "order": ["-time"]}
    whole = client.post(PATH, json=asked).json()["items"]
    assert len(whole) == 7
    pages, cursor = [], None
    while True:
        page = client.post(PATH, json=asked | {"limit": 3, "cursor": cursor}).json()
        pages += page["items"]
        if (cursor := page["next_cursor"]) is None:
            break
        refused = client.post(PATH, json=asked | {"window": "5m", "cursor": cursor})
        assert (refused.status_code, refused.json()["field"]) == (422, "cursor")
    assert pages == whole


def test_an_answer_at_hand_is_not_sent_again_until_a_row_behind_it_changes(seeded: Api) -> None:
    client = seeded.client("acme", "viewer")
    for body in (*TIMESERIES.values(), ASKED):
        first = client.post(PATH, json=body)
        tag = first.headers["etag"]
        assert tag[0] == tag[-1] == '"'
        assert "private" in first.headers["cache-control"]
        again = client.post(PATH, json=body, headers={"If-None-Match": f'"x", {tag}'})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
        others = [
            client.post(PATH, json=body, headers={"Accept": "text/csv", "If-None-Match": tag}),
            client.post(PATH, json=body | {"limit": 999}, headers={"If-None-Match": tag}),
            seeded.client("globex", "viewer").post(PATH, json=body, headers={"If-None-Match": tag}),
            seeded.client("*", "viewer").post(PATH, json=body, headers={"If-None-Match": tag}),
        ]
        assert [each.status_code for each in others] == [200] * 4
        assert len({tag, *(each.headers["etag"] for each in others)}) == 5
    with connect(seeded.url) as connection:
        connection.execute("update rollup_1h set revision = revision + 1")
    assert client.post(PATH, json=ASKED, headers={"If-None-Match": tag}).status_code == 200


def test_metrics_at_hand_are_not_sent_again_until_a_row_changes(seeded: Api) -> None:
    clock = Clock()
    client = seeded.changed(monotonic_s=clock).client("acme", "viewer")
    asked = {"window": "1h", "metric": "latency_ms", "from": ASKED["from"], "to": ASKED["to"]}
    first = client.get("/api/v1/metrics", params=asked)
    tag = {"If-None-Match": first.headers["etag"]}
    assert first.headers["cache-control"].startswith("private")
    assert client.get("/api/v1/metrics", params=asked, headers=tag).status_code == 304
    assert client.get("/api/v1/metrics", params=asked | {"measures": "count"}, headers=tag).status_code == 200
    assert seeded.client("globex", "viewer").get("/api/v1/metrics", params=asked, headers=tag).status_code == 200
    with connect(seeded.url) as connection:
        connection.execute("update rollup_state set final_before = %s", [NOW])
        assert client.get("/api/v1/metrics", params=asked, headers=tag).status_code == 200
        changed = {"If-None-Match": client.get("/api/v1/metrics", params=asked).headers["etag"]}
        connection.execute("update rollup_1h set computed_at = %s", [NOW + timedelta(seconds=1)])
        clock.now_s += KEPT_S
        assert client.get("/api/v1/metrics", params=asked, headers=changed).status_code == 200


def test_times_are_utc_whatever_offset_they_were_asked_in(ask: Ask) -> None:
    answer = ask(**{"from": "2026-01-31T05:30:00+05:30", "to": "2026-02-01T00:00:00Z"})
    assert datetime.fromisoformat(answer["from"]) == datetime.fromisoformat("2026-01-31T00:00:00Z")
    assert answer["from"].endswith("Z")


_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=5,
)
_usual = {
    "metric": st.sampled_from(["events", "score", "cost_usd"]),
    "from": st.sampled_from(["1970-01-01T00:00:00Z", "2026-01-31T08:01:00Z", "2200-01-01T00:00:00Z"]),
    "to": st.sampled_from(["1970-01-01T00:01:00Z", "2026-01-31T08:59:00+14:00", "2200-01-01T00:00:00Z"]),
    "window": st.sampled_from(["1m", "36500d", "1200M", "12mo", "5214w", "7h", None]),
    "fields": st.lists(st.sampled_from(["count", "sum", "p50", "p0.000001", "max", "rate"]), max_size=3),
    "filters": st.lists(
        st.fixed_dictionaries(
            {
                "dimension": st.sampled_from(["model", "tags.\n%s", "tenant"]) | st.text(max_size=9),
                "operator": st.sampled_from(["regex", "in", "not"]),
                "value": st.text("ab(){}[]|*+?^$\\,0129.-d", max_size=12) | st.lists(st.text(max_size=5), max_size=2),
            }
        ),
        max_size=2,
    ),
    "group_by": st.lists(st.sampled_from(["model", "tags.x", "team"]), max_size=3),
    "fill": st.sampled_from(["zero", "linear", "previous", 0.5, -7, 10**14, 1e308]),
    "order": st.lists(st.sampled_from(["-count", "time", "-team", "p50"]), max_size=3),
    "limit": st.integers(-1, 2),
    "offset": st.integers(-1, 2),
    "cursor": st.none() | st.text(max_size=9),
}


@given(body=st.fixed_dictionaries({}, optional={name: _json | usual for name, usual in _usual.items()}), data=st.data())
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_asked_is_answered_or_refused_and_never_an_error_of_the_server(
    served: Api, body: dict[str, Any], data: st.DataObject
) -> None:
    kind = data.draw(st.sampled_from(["application/json", "text/csv", "application/vnd.apache.parquet"]))
    answer = served.client("acme", "viewer").post(PATH, json=ASKED | body, headers={"Accept": kind})
    assert answer.status_code in (200, 422), answer.text
    if answer.status_code == 422:
        assert answer.json()["field"]
