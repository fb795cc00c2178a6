"""Reading: what was asked for and nothing else, in pages that lose nothing, in numbers that lose no digit."""

import hashlib
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from api_support import LISTS, Api, problem_of, required_by
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.examples import EVENT_ID, REPORT_ID
from lah_platform.events.examples import EXAMPLE_DATA, flat_example
from lah_platform.rollups.metrics import MEASURES
from lah_platform.rollups.windows import WINDOWS
from lah_platform.stores.postgres import connect
from lah_platform.stores.serving import LISTINGS, CursorError

Get = Callable[..., Any]
DAY = {"from": "2026-01-31T00:00:00Z", "to": "2026-02-01T00:00:00Z"}


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
        asked = required_by(path)
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
            assert problem_of(served, path, **required_by(path), cursor=cursor)["field"] == "cursor"
    assert client.get("/api/v1/events", params={"cursor": cursor[:-3] + "AAA"}).status_code == 422


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
        problem = problem_of(served, "/api/v1/metrics", window="1h", metric=name, measures=f"count,{measure}")
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
        for text in _times(served.client("*", "admin").get(path, params=required_by(path)).json()):
            assert text.endswith("Z"), (path, text)
            assert datetime.fromisoformat(text).utcoffset() == timedelta(0)
            seen += 1
    assert seen > len(LISTS)


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
