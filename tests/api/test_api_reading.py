"""Reading: what was asked for and nothing else, in pages that lose nothing, in numbers that lose no digit."""

import hashlib
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from api_support import NOW, Api
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.examples import EVENT_ID, INCIDENT_ID, REPORT_ID
from lah_platform.events.examples import EXAMPLE_DATA, flat_example
from lah_platform.rollups.metrics import MEASURES
from lah_platform.rollups.windows import WINDOWS
from lah_platform.stores.postgres import connect
from lah_platform.stores.serving import LISTINGS, CursorError

Get = Callable[..., Any]
DAY = {"from": "2026-01-31T00:00:00Z", "to": "2026-02-01T00:00:00Z"}
LISTS = {
    "events": "/api/v1/events",
    "metrics": "/api/v1/metrics",
    "anomalies": "/api/v1/anomalies",
    "correlations": "/api/v1/correlations",
    "incidents": "/api/v1/incidents",
    "forecasts": "/api/v1/forecasts",
    "forecast_models": "/api/v1/forecasts/models",
    "costs": "/api/v1/costs",
    "reports": "/api/v1/reports",
    "checks": "/api/v1/checks",
    "check_history": "/api/v1/checks/history",
    "quality_scores": "/api/v1/quality-scores",
    "suspects": "/api/v1/suspects",
    "dead_letters": "/api/v1/dead-letters",
}


def _problem(api: Api, path: str, **parameters: Any) -> dict[str, Any]:
    answer = api.client("*", "admin").get(path, params=parameters)
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json()
    assert problem["status"] == 422
    assert problem["advice"]
    return problem


def _times(answer: Any) -> Iterator[str]:
    match answer:
        case dict():
            for name, value in answer.items():
                if isinstance(value, str) and (
                    name.endswith("_at") or name in ("timestamp", "from", "to", "bucket_start")
                ):
                    yield value
                else:
                    yield from _times(value)
        case list():
            for each in answer:
                yield from _times(each)


def test_an_event_comes_back_as_it_was_sent(get: Get) -> None:
    for subtype in EXAMPLE_DATA:
        sent = flat_example(subtype)
        found = get(f"/api/v1/events/{sent['event_id']}")
        sent["tags"]["tenant"] = "acme"
        sent["timestamp"] = "2026-01-31T08:00:00.250000Z"
        assert {name: found[name] for name in sent} == sent
        assert found["same_id_at"] == []
        assert found["subtype"] == sent["payload"]["data"].get(f"{sent['payload']['payload_type']}_type", subtype)


@pytest.mark.parametrize(
    ("filters", "matches"),
    [
        ({"type": "security"}, lambda event: event["event_type"] == "security"),
        ({"subtype": "latency"}, lambda event: event["subtype"] == "latency"),
        ({"model": "gpt-4o"}, lambda event: event["payload"]["data"].get("model_id") == "gpt-4o"),
        ({"severity": "warning"}, lambda event: event["severity"] in ("warning", "error", "critical")),
        ({"tag": ["team:search", "service:chat"]}, lambda event: event["tags"]["team"] == "search"),
        ({"tag": "team:nobody"}, lambda _: False),
        ({"correlation_id": str(UUID(int=7))}, lambda event: event["correlation_id"] == str(UUID(int=7))),
    ],
    ids=["type", "subtype", "model", "severity", "tags", "no such tag", "correlation"],
)
def test_filters_leave_exactly_what_matches(
    seeded: Api, filters: dict[str, Any], matches: Callable[[dict[str, Any]], bool]
) -> None:
    other = {**flat_example("latency"), "event_id": str(UUID(int=1)), "correlation_id": str(UUID(int=7))}
    other |= {"severity": "error", "tags": {"team": "ops", "service": "chat"}}
    client = seeded.client("acme", "admin")
    assert client.post("/api/v1/events", json=other).json()["status"] == "stored"
    every = client.get("/api/v1/events", params={"limit": 1000}).json()["items"]
    assert len(every) == len(EXAMPLE_DATA) + 1
    found = client.get("/api/v1/events", params={**filters, "limit": 1000}).json()["items"]
    assert found == [event for event in every if matches(event)]


def test_a_range_is_half_open(served: Api) -> None:
    client = served.client("acme", "analyst")
    at = "2026-01-31T08:00:00.250000Z"
    for span, count in (
        ({"from": at, "to": "2026-01-31T08:00:00.250001Z"}, len(EXAMPLE_DATA)),
        ({"from": "2026-01-31T08:00:00Z", "to": at}, 0),
        ({"from": "2026-01-31T09:00:00.250000+01:00", "to": "2026-02-01T00:00:00Z"}, len(EXAMPLE_DATA)),
    ):
        assert len(client.get("/api/v1/events", params={**span, "limit": 1000}).json()["items"]) == count


@given(limit=st.integers(1, 7))
@settings(max_examples=7, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_pages_of_any_size_add_up_to_the_whole_list_in_order(served: Api, limit: int) -> None:
    client = served.client("*", "admin")  # both tenants hold the same ids at the same instants
    for path in LISTS.values():
        asked = _required(path)
        whole = client.get(path, params={**asked, "limit": 1000}).json()
        assert whole["next_cursor"] is None
        assert whole["items"]
        pages, cursor = [], None
        while True:
            page = client.get(path, params={**asked, "limit": limit} | ({"cursor": cursor} if cursor else {})).json()
            assert 0 < len(page["items"]) <= limit
            pages += page["items"]
            assert len(pages) <= len(whole["items"]), path  # a cursor that stands still would page for ever
            cursor = page["next_cursor"]
            if cursor is None:
                break
        assert pages == whole["items"], path


@given(
    text=st.text(max_size=60) | st.binary(max_size=60).map(lambda raw: raw.hex()),
    name=st.sampled_from(sorted(LISTINGS)),
)
def test_a_text_that_is_no_cursor_is_refused_and_nothing_else(text: str, name: str) -> None:
    with pytest.raises(CursorError):
        LISTINGS[name].read_cursor(text)


@given(
    values=st.tuples(
        st.datetimes(timezones=st.just(UTC)),
        st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
        st.uuids(),
    )
)
def test_a_cursor_stands_for_the_row_it_was_made_of(values: tuple[datetime, str, UUID]) -> None:
    listing = LISTINGS["events"]
    timestamp, tenant, event_id = listing.read_cursor(
        listing.cursor(dict(zip(("timestamp", "tenant", "event_id"), values, strict=True)))
    )
    assert (datetime.fromisoformat(timestamp), tenant, UUID(event_id)) == values


def test_a_cursor_of_another_list_is_a_problem(served: Api) -> None:
    client = served.client("acme", "admin")
    cursor = client.get("/api/v1/events", params={"limit": 1}).json()["next_cursor"]
    for name, path in LISTS.items():
        if name != "events":
            assert _problem(served, path, **_required(path), cursor=cursor)["field"] == "cursor"
    assert client.get("/api/v1/events", params={"cursor": cursor[:-3] + "AAA"}).status_code == 422


def _required(path: str) -> dict[str, str]:
    return {"window": "1h", "metric": "latency_ms"} if "metrics" in path else {}


def test_an_event_is_found_by_id_alone_within_thirty_days_and_by_range_before(seeded: Api) -> None:
    old = {**flat_example("latency", "2025-11-01T00:00:00Z"), "event_id": str(UUID(int=3, version=4))}
    client = seeded.client("acme", "admin")
    assert client.post("/api/v1/events", json=old).json()["status"] == "stored"
    missing = client.get(f"/api/v1/events/{old['event_id']}")
    assert missing.status_code == 404
    assert "`from`" in missing.json()["advice"]
    span = {"from": "2025-11-01T00:00:00Z", "to": "2025-11-01T00:00:01Z"}
    assert client.get(f"/api/v1/events/{old['event_id']}", params=span).json()["timestamp"] == "2025-11-01T00:00:00Z"


def test_a_uuid7_is_found_by_the_time_it_carries_however_old_it_is(seeded: Api) -> None:
    at = datetime(2025, 6, 1, 12, 0, tzinfo=UTC)
    event_id = str(UUID(int=int(at.timestamp() * 1000) << 80 | 0x7 << 76 | 0b10 << 62 | 5))
    client = seeded.client("acme", "admin")
    event = {**flat_example("latency", at.isoformat()), "event_id": event_id}
    assert client.post("/api/v1/events", json=event).json()["status"] == "stored"
    assert client.get(f"/api/v1/events/{event_id}").json()["event_id"] == event_id


def test_the_same_id_at_two_times_is_shown_as_the_conflict_it_is(seeded: Api) -> None:
    client = seeded.client("acme", "admin")
    client.post("/api/v1/events", json=flat_example("latency", "2026-01-31T09:00:00Z"))
    found = client.get(f"/api/v1/events/{EVENT_ID}").json()
    assert (found["timestamp"], found["same_id_at"]) == ("2026-01-31T09:00:00Z", ["2026-01-31T08:00:00.250000Z"])


@pytest.mark.parametrize(
    "event_id", [UUID(int=0), UUID(int=2**128 - 1), UUID(int=(2**48 - 1) << 80 | 7 << 76 | 2 << 62)]
)
def test_an_id_that_nobody_has_is_not_found(served: Api, event_id: UUID) -> None:
    assert served.client("acme").get(f"/api/v1/events/{event_id}").status_code == 404


def test_every_window_is_served_under_its_name_and_the_month_under_both(get: Get) -> None:
    for name in [*(window.name for window in WINDOWS), "1mo"]:
        span = DAY if name in ("1m", "5m", "15m", "1h", "6h") else {}
        page = get("/api/v1/metrics", window=name, metric="latency_ms", **span)
        (row,) = page["items"]
        assert page["window"] == ("1M" if name == "1mo" else name)
        assert (page["unit"], set(row["measures"])) == ("ms", set(MEASURES))
        assert (row["team"], row["subtype"], row["revision"], row["is_final"]) == ("search", "latency", 1, False)
        assert row["bucket_start"] < row["bucket_end"]


def test_an_answer_holds_the_measures_that_mean_something_for_the_metrics_kind(get: Get, served: Api) -> None:
    page = get("/api/v1/metrics", window="1h", metric="score")
    assert (page["kind"], [set(row["measures"]) for row in page["items"]]) == ("summary", [])
    assert get("/api/v1/metrics", window="1h", metric="requests_per_second", measures="avg,p95")["kind"] == "gauge"
    for name, measure in (("score", "p95"), ("requests_per_second", "sum")):
        problem = _problem(served, "/api/v1/metrics", window="1h", metric=name, measures=f"count,{measure}")
        assert (problem["field"], f"`{measure}` means nothing" in problem["detail"]) == ("measures", True)


def test_series_are_found_by_producer_provider_and_tag(get: Get) -> None:
    (row,) = get("/api/v1/metrics", window="1h", metric="latency_ms")["items"]
    assert (row["source_module"], row["provider"], row["tags"], row["is_live"]) == ("llm-observatory", "", {}, False)
    for found, filters in [(1, {"provider": ""}), (0, {"provider": "x"}), (0, {"tag": "feature:x"})]:
        asked = {"source_module": row["source_module"]} | filters
        assert len(get("/api/v1/metrics", window="1h", metric="latency_ms", **asked)["items"]) == found


def test_only_the_measures_asked_for_are_answered_and_exact_sums_are_decimal_strings(get: Get) -> None:
    page = get("/api/v1/metrics", window="1h", metric="cost_usd", measures="sum,count")
    assert page["items"][0]["measures"] == {"sum": "0.000001", "count": 1}
    page = get("/api/v1/metrics", window="1h", metric="latency_ms", measures="sum,p95")
    assert page["items"][0]["measures"] == {"sum": "469", "p95": 235.0}


def test_minutes_are_served_live_and_other_windows_are_not(api: Api, get: Get) -> None:
    asked = {"window": "1m", "metric": "latency_ms"}
    assert len(get("/api/v1/metrics", **asked, live="true")["items"]) >= len(get("/api/v1/metrics", **asked)["items"])
    answer = api.client("*", "viewer").get("/api/v1/metrics", params={**asked, "window": "1h", "live": "true"})
    assert answer.status_code == 422
    assert answer.json()["field"] == "live"


def test_watermarks_are_told_per_window_and_to_their_tenant_only(api: Api) -> None:
    everything = api.client("*", "viewer").get("/api/v1/watermarks").json()["items"]
    tenants = {mark["tenant"] for mark in everything}
    assert {(mark["tenant"], mark["window"]) for mark in everything} == {
        (tenant, window.name) for tenant in tenants for window in WINDOWS
    }
    for tenant in tenants:
        own = api.client(tenant, "viewer").get("/api/v1/watermarks").json()["items"]
        assert {mark["tenant"] for mark in own} == {tenant}


def test_dimensions_filter_metrics_and_an_empty_one_means_absent(get: Get) -> None:
    asked = {"window": "1h", "metric": "latency_ms"}
    for matching in (
        {"team": "search"},
        {"region": "eu-west-1", "service": "chat"},
        {"model": "gpt-4o", "type": "telemetry"},
    ):
        assert len(get("/api/v1/metrics", **asked, **matching)["items"]) == 1
    for other in ({"team": ""}, {"team": "ops"}, {"environment": "staging"}, {"subtype": "token_cost"}):
        assert get("/api/v1/metrics", **asked, **other)["items"] == []


def test_money_is_a_decimal_string_without_an_exponent(get: Get) -> None:
    (row,) = get("/api/v1/costs")["items"]
    assert (row["reported_usd"], row["priced_usd"]) == ("0.000000000001", "12345678901234.500000000000")
    assert row["other_usd"] == "0.000000000000"


def test_every_time_is_utc_with_z(served: Api) -> None:
    seen = 0
    for path in LISTS.values():
        for text in _times(served.client("*", "admin").get(path, params=_required(path)).json()):
            assert text.endswith("Z"), (path, text)
            assert datetime.fromisoformat(text).utcoffset() == timedelta(0)
            seen += 1
    assert seen > len(LISTS)


def test_signals_are_filtered_by_their_own_words(get: Get) -> None:
    assert len(get("/api/v1/anomalies", type="spike", impact="medium", window="1h")["items"]) == 1
    assert get("/api/v1/anomalies", impact="critical")["items"] == []
    assert get("/api/v1/anomalies", window="1M")["items"] == []
    assert len(get("/api/v1/forecasts", method="combination", metric="latency_ms")["items"]) == 1
    assert get("/api/v1/forecasts", method="naive")["items"] == []
    (chain,) = get("/api/v1/correlations", type="causal_chain", min_strength=0.8, min_confidence=0.9)["items"]
    assert [(member["role"], member["metric"]) for member in chain["members"]] == [
        ("root_cause", "latency_ms"),
        ("effect", "cost_usd"),
    ]
    assert get("/api/v1/correlations", min_strength=0.81)["items"] == []
    assert len(get("/api/v1/incidents", severity="medium", is_open=False)["items"]) == 1
    assert get("/api/v1/incidents", severity="critical")["items"] == []
    assert get("/api/v1/incidents", is_open=True)["items"] == []


def test_an_incident_tells_where_it_started_whom_it_hurts_and_what_it_costs(get: Get) -> None:
    incident = get(f"/api/v1/incidents/{INCIDENT_ID}")
    assert incident["root_cause"] == "model gpt-4o"
    assert incident["cost_usd"] == "1.500000000000"
    (candidate,) = incident["story"]["where"]["candidates"]
    assert candidate["path"] == ["service chat", "model gpt-4o"]
    assert incident["story"]["hurts"]["team"] == ["search"]
    assert incident["story"]["costs"] == {
        "cost_usd": 1.5,
        "main_cause": "cache",
        "volume_usd": 0.5,
        "cache_usd": 1.0,
    }
    assert incident["story"]["next"] == ["Look at model gpt-4o (90%)"]
    assert [member["member_type"] for member in incident["members"]] == ["anomaly"]


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        (None, "application/json"),
        ("*/*", "application/json"),
        ("text/html", "text/html"),
        ("text/html,application/xhtml+xml,*/*;q=0.8", "text/html"),
        ("application/json, text/html;q=0.5", "application/json"),
        ("text/html;q=0.1, application/json;q=0.2", "application/json"),
        ("text/*", "text/html"),
        ("text/html;q=x", "application/json"),
        ("application/pdf", "application/pdf"),
        ("text/csv, application/pdf;q=0.9", "text/csv"),
    ],
)
def test_a_report_is_json_or_the_page_as_accept_prefers(served: Api, accept: str | None, kind: str) -> None:
    client = served.client("acme", "compliance")
    answer = client.get(f"/api/v1/reports/{REPORT_ID}", headers={"Accept": accept} if accept else {})
    assert answer.headers["content-type"].split(";")[0] == kind
    if kind == "text/html":
        assert answer.text == "<h1>Report of acme</h1>"
        assert "script-src" not in answer.headers["content-security-policy"]
    elif kind == "application/json":
        assert answer.json()["content"] == {"tenant": "acme"}
    else:
        assert answer.content == {"application/pdf": b"%PDF acme", "text/csv": b"tenant\r\nacme\r\n"}[kind]


def test_every_document_of_a_report_is_the_one_that_was_signed_until_somebody_touches_it(seeded: Api) -> None:
    client = seeded.client("acme", "compliance")
    address = f"/api/v1/reports/{REPORT_ID}"
    record = client.get(f"{address}/documents/signature").json()
    for name, stated in record["documents"].items():
        answer = client.get(f"{address}/documents/{name}")
        assert hashlib.sha256(answer.content).hexdigest() == stated["sha256"]
        assert answer.headers["content-type"].split(";")[0] == stated["media_type"]
    assert client.get(f"{address}/verification").json()["holds"] is True
    with connect(seeded.url) as connection:
        connection.execute(
            "update report_documents set body = body || 'x', sha256 = encode(sha256(body || 'x'), 'hex')"
            " where format = 'pdf'"
        )
    checked = client.get(f"{address}/verification").json()
    assert checked["holds"] is False
    assert {each["document"] for each in checked["verdicts"] if not each["holds"]} == {"pdf"}


def test_a_dead_letter_shows_its_bytes_and_its_reason(seeded: Api) -> None:
    client = seeded.client("acme", "compliance")
    (letter,) = client.get("/api/v1/dead-letters").json()["items"]
    assert (letter["field"], letter["code"], letter["raw_base64"]) == ("severity", "invalid_field", None)
    assert json.loads(letter["raw_text"])["severity"] == "loud"
    assert client.get("/api/v1/dead-letters", params={"code": "too_old"}).json()["items"] == []
    with connect(seeded.url) as connection:
        connection.execute("update dead_letters set raw = '\\xff00'")
    (letter,) = client.get("/api/v1/dead-letters").json()["items"]
    assert (letter["raw_text"], letter["raw_base64"]) == (None, "/wA=")


def test_a_backfill_is_requested_once_and_audited(api: Api) -> None:
    client = api.client("*", "admin")
    answer = client.post("/api/v1/backfills", json={"table": "cost_daily", "from": "2026-01-01", "to": "2026-01-31"})
    assert answer.status_code == 202
    made = client.get(answer.headers["location"]).json()
    assert made == answer.json()
    key_id = api.keys["*", "admin"].split("_")[1]
    assert (made["state"], made["requested_by"]) == ("requested", f"key:{key_id}")
    with connect(api.url) as connection:
        stored = connection.execute("select request_id::text, table_name, state from backfill_requests").fetchall()
        audited = connection.execute(
            "select actor, tenant, object_id, details->>'request' from audit_log where action = 'backfill'"
        ).fetchall()
    assert stored == [(made["request_id"], "cost_daily", "requested")]
    assert audited == [(f"key:{key_id}", "*", "cost_daily", made["request_id"])]


def test_a_backfill_from_events_that_have_left_for_the_archive_is_refused_and_one_of_rollups_is_not(api: Api) -> None:
    with connect(api.url) as connection:
        connection.execute(
            "insert into archive_files values ('2026-01-05', 1, 'p', 1, now(), now(), 0, 1, '', '{}', 9, now(), now(),"
            " now())"
        )
    client = api.client("*", "admin")
    days = {"from": "2026-01-04", "to": "2026-01-06"}
    refused = client.post("/api/v1/backfills", json={"table": "cost_daily"} | days)
    assert (refused.status_code, "are in the archive" in refused.json()["detail"]) == (422, True)
    assert client.post("/api/v1/backfills", json={"table": "rollup_1h"} | days).status_code == 202


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"table": "cost_daily", "from": "2026-01-31", "to": "2026-01-01"}, 422, "from"),
        ({"table": "cost_daily", "from": "2026-01-31"}, 422, "to"),
        ({"table": "cost_daily", "from": "2026-01-31", "to": "2026-02-01"}, 422, "to"),
        ({"table": "cost_daily", "from": "2024-01-01", "to": "2026-01-31"}, 422, "from"),
        ({"table": "events_archive", "from": "2026-01-01", "to": "2026-01-31"}, 422, "to"),
        ({"table": "users; drop table events", "from": "2026-01-01", "to": "2026-01-31"}, 422, "table"),
        ({"table": "cost_daily", "from": 5, "to": "2026-01-31"}, 422, "from"),
        ({"table": "cost_daily", "from": "2026-02-30", "to": "2026-03-31"}, 422, "from"),
        ({"table": "cost_daily", "from": "2026-01-01", "to": "2026-01-31", "force": True}, 422, "force"),
        (b"{", 400, None),
        (b"\xff", 400, None),
    ],
    ids=range(11),
)
def test_a_backfill_that_makes_no_sense_is_refused_and_changes_nothing(
    served: Api, body: Any, status: int, field: str | None
) -> None:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = served.client("*", "admin").post("/api/v1/backfills", content=content)
    assert (answer.status_code, answer.json().get("field")) == (status, field)
    with connect(served.url) as connection:
        assert connection.execute("select count(*) from backfill_requests").fetchone() == (2,)  # those seeded


@pytest.mark.parametrize("path", list(LISTS.values()))
def test_a_parameter_that_is_not_documented_is_refused_by_name(served: Api, path: str) -> None:
    problem = _problem(served, path, **_required(path), tenant="globex")
    assert problem["field"] == "tenant"
    assert "limit" in problem["advice"]


@pytest.mark.parametrize(
    ("path", "field", "value"),
    [
        ("events", "from", "2026-01-31"),
        ("events", "from", "2026-01-31T00:00:00"),
        ("events", "from", "1769817600"),
        ("events", "from", "2026-01-31T00:00:00 01:00"),
        ("events", "to", "0001-01-01T00:00:00+14:00"),
        ("events", "to", "0001-01-01T00:00:00Z"),
        ("events", "from", "2026-02-01T12:00:00Z&to=2026-01-01T00:00:00Z"),
        ("events", "limit", "0"),
        ("events", "limit", "1001"),
        ("events", "severity", "loud"),
        ("events", "type", "gossip"),
        ("events", "tag.0", "team"),
        ("events", "model", "a\0b"),
        ("events", "correlation_id", "7"),
        ("metrics", "window", "2h"),
        ("metrics", "metric", "luck"),
        ("metrics", "measures", "sum,mode"),
        ("correlations", "min_strength", "nan"),
        ("anomalies", "impact", "awful"),
        ("costs", "from", "2026-1-1"),
        ("costs", "to", "0001-01-01"),
        ("costs", "cursor", "bm90IGEgY3Vyc29y"),
    ],
)
def test_a_parameter_that_is_not_usable_is_a_problem_that_names_it(
    served: Api, path: str, field: str, value: str
) -> None:
    name = field.split(".")[0]
    value, _, rest = value.partition("&")
    more = dict([rest.split("=")]) if rest else {}
    problem = _problem(served, f"/api/v1/{path}", **({**_required(path), name: value, **more}))
    assert problem["field"] == field
    assert problem["type"] == "/docs#invalid-parameter"


def test_ends_of_the_calendar_are_answered(served: Api) -> None:
    client = served.client("acme", "admin")
    for name, path in LISTS.items():
        if name in ("reports", "checks", "dead_letters"):
            continue
        ends = (
            ("0001-01-01", "9999-12-31")
            if name in ("costs", "quality_scores")
            else ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z")
        )
        answer = client.get(path, params={**_required(path), "from": ends[0], "to": ends[1]})
        assert answer.is_success, (path, answer.text)
        assert answer.json()["items"], path


def test_missing_and_misused_addresses_are_problems(api: Api) -> None:
    client = api.client("acme")
    for method, path, status in (
        ("GET", "/api/v1/nothing", 404),
        ("DELETE", "/api/v1/events", 405),
        ("GET", "/api/v1/events/", 404),
        ("GET", "/api/v1/events/not-an-id", 422),
        ("GET", f"/api/v1/reports/{REPORT_ID}", 404),
    ):
        answer = client.request(method, path)
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
        assert answer.json()["status"] == status
        assert answer.json()["advice"]


def test_the_range_that_was_used_is_said(get: Get) -> None:
    page = get("/api/v1/anomalies")
    assert (page["from"], page["to"]) == ("2026-01-01T12:00:00Z", NOW.isoformat().replace("+00:00", "Z"))


def test_an_outlook_adds_what_there_was_and_says_when_a_budget_is_reached(get: Get) -> None:
    asked = {"metric": "cost_usd", "from": "2026-01-31T00:00:00Z", "to": "2026-02-01T00:00:00Z"}
    likely = get("/api/v1/forecasts/outlook", limit=4, **asked)
    assert likely["total"]["lower_80"] < likely["total"]["median"] < likely["total"]["upper_80"]
    assert likely["summed"] == [{"tenant": "acme", "series": 1}]
    assert likely["likely"] == likely["reached_by"][0]["target_start"]
    assert likely["probability"] > 0.9
    assert get("/api/v1/forecasts/outlook", limit=6.5, **asked)["probability"] < 0.1
    doubled = get("/api/v1/forecasts/outlook", limit=6.5, growth=1.5, price=1.4, **asked)
    assert doubled["probability"] > 0.9
    assert doubled["total"]["median"] == pytest.approx(2.1 * likely["total"]["median"])


def test_forecasts_tell_what_if_and_how_they_came_out(get: Get) -> None:
    (cost,) = get("/api/v1/forecasts", metric="cost_usd", growth=2, price=0.5)["items"]
    assert (cost["value"], cost["lower_80"], cost["upper"]) == (5, 4.5, 6)
    (latency,) = get("/api/v1/forecasts", metric="latency_ms", growth=2)["items"]
    assert latency["value"] == 5
    models = get("/api/v1/forecasts/models", metric="cost_usd")["items"]
    assert [(model["is_forecastable"], model["judged_buckets"]) for model in models] == [(True, 0)]


def test_an_outlook_sums_no_latencies_and_says_how_far_it_sees(served: Api, get: Get) -> None:
    asked: dict[str, Any] = {"metric": "latency_ms", "window": "1h", "limit": 5, "to": "2026-03-01T00:00:00Z"}
    refused = served.client("acme", "viewer").get("/api/v1/forecasts/outlook", params=asked)
    assert refused.status_code == 422
    assert "does not add up over time" in refused.json()["detail"]
    one = get("/api/v1/forecasts/outlook", kind="value", **asked)
    assert 0.3 < one["probability"] < 0.7
    assert one["forecast_until"] < one["to"]
    several = served.client("*", "viewer").get("/api/v1/forecasts/outlook", params=asked | {"kind": "value"})
    assert several.status_code == 422
    assert "several series" in several.json()["detail"]


def test_no_forecast_no_outlook(served: Api) -> None:
    answer = served.client("acme", "viewer").get("/api/v1/forecasts/outlook", params={"metric": "score", "limit": 1})
    assert answer.status_code == 404
    assert "no forecast of score" in answer.json()["detail"]
