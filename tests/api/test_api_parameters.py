"""What cannot be asked: each refusal names its parameter and what to do, and changes nothing."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from api_support import LISTS, NOW, Api, problem_of, required_by

from api.examples import REPORT_ID
from lah_platform.stores.postgres import connect

Get = Callable[..., Any]
DAY = {"from": "2026-01-31T00:00:00Z", "to": "2026-02-01T00:00:00Z"}


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
    problem = problem_of(served, path, **required_by(path), tenant="globex")
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
    problem = problem_of(served, f"/api/v1/{path}", **({**required_by(path), name: value, **more}))
    assert problem["field"] == field
    assert problem["type"] == "/docs#invalid-parameter"


def test_ends_of_the_calendar_are_answered(served: Api) -> None:
    client = served.client("acme", "admin")
    for name, path in LISTS.items():
        if name in ("reports", "checks", "dead_letters"):
            continue
        is_dated = name in ("costs", "quality_scores")
        ends = ("0001-01-01", "9999-12-31") if is_dated else ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z")
        answer = client.get(path, params={**required_by(path), "from": ends[0], "to": ends[1]})
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
