"""In a real PostgreSQL: any query of landed events is answered as a recount of them says, and to their tenant only."""

import random
from contextlib import closing
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lah_platform.landing.batch import prepare
from lah_platform.landing.records import Partition, Record
from lah_platform.stack.landing_process import decode_now
from lah_platform.stores import timeseries
from lah_platform.stores.landing import PostgresLanding
from lah_platform.stores.postgres import Connection
from lah_platform.stores.rollups import tick
from lah_platform.stores.timeseries import Behind, snapshot
from lah_platform.timeseries.query import make_query
from lah_platform.timeseries.refusal import QueryError
from tests.landing.messages import NOW, message
from tests.timeseries.asking import DIMENSIONS, queries
from tests.timeseries.naive import Happening, assert_is_field, end_of, values_of

_P = Partition("t", "one", 0)
_WHOLE = {"from_": NOW.replace(second=0) - timedelta(100), "to": NOW.replace(second=0) + timedelta(minutes=1)}


def _events(seed: int, count: int = 400) -> tuple[list[bytes], list[Happening]]:
    """Messages of all dimensions' values, and the same as the oracle takes them."""
    choose = random.Random(seed)
    messages, happenings = [], []
    for number in range(count):
        of = {name: choose.choice(texts) for name, texts in DIMENSIONS.items()}
        of["event_type"] = "cost" if of["subtype"] == "api_cost" else "telemetry"
        tags = {name: of[name] for name in ("tenant", "service", "region", "team") if of[name]}
        tags |= {"feature": of["tags.feature"]} if of["tags.feature"] else {}
        thousandths = choose.randint(1, 10**7)
        values = {"events": Fraction(1)}
        match of["subtype"]:
            case "latency":
                of["model"] = of["model"] or "gpt-4"
                tags |= {"provider": of["provider"]} if of["provider"] else {}
                data: dict[str, Any] = {
                    "model_id": of["model"],
                    "request_id": "r",
                    "total_latency_ms": thousandths / 1000,
                }
                values["latency_ms"] = Fraction(thousandths / 1000)
            case "token_usage":
                of["model"] = of["model"] or "gpt-4"
                tags |= {"provider": of["provider"]} if of["provider"] else {}
                data = {"model_id": of["model"], "request_id": "r", "prompt_tokens": thousandths}
                data |= {"completion_tokens": 1, "total_tokens": thousandths + 1}
                values["input_tokens"] = Fraction(thousandths)
            case _:
                of |= {"model": "", "provider": "p"}
                data = {"provider": "p", "api_endpoint": "/", "request_count": 1, "cost_per_request": 0}
                data |= {"total_cost_usd": f"{thousandths / 10**9:.12f}", "billing_period": "2026-03"}
                values["cost_usd"] = Fraction(data["total_cost_usd"])
        data[f"{of['event_type']}_type"] = of["subtype"]
        ago = choose.choice([10, 600, 60 * 24, 60 * 24 * 99]) * choose.random()
        at = NOW - timedelta(minutes=1) - timedelta(seconds=int(ago * 60))
        payload = {"payload_type": of["event_type"], "data": data}
        envelope = {name: of[name] for name in ("event_type", "environment", "source_module")}
        messages.append(message(number, timestamp=at.isoformat(), tags=tags, payload=payload, **envelope))
        happenings.append(Happening(at, of, values))
    return messages, happenings


def _land(database: str, connection: Connection, messages: list[bytes]) -> None:
    with closing(PostgresLanding(database)) as store:
        start = store.adopt(_P, 0)
        records = [Record(_P, start + i, None, value) for i, value in enumerate(messages)]
        store.land(prepare(records, {_P: start}, decoder=decode_now, received_at=NOW, series_tags=["feature"]))
    while tick(connection, now=NOW).partials:
        pass


@pytest.fixture
def landed(database: str, connection: Connection) -> list[Happening]:
    """Events of two tenants over a hundred days, rolled up."""
    messages, happenings = _events(7)
    _land(database, connection, messages)
    assert connection.execute("select count(*) from events").fetchone() == (len(happenings),)
    return happenings


def _ask(connection: Connection, asked: dict[str, Any], tenant: str = "*") -> tuple[pl.DataFrame, Behind]:
    with snapshot(connection, make_query(**asked), tenant) as seen:
        return seen.answer(), seen.behind


@given(asked=queries(), tenant=st.sampled_from(["acme", "globex", "*"]))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_query_is_answered_as_a_recount_of_the_events_says_and_for_its_tenant_only(
    asked: dict[str, Any], tenant: str, landed: list[Happening], connection: Connection
) -> None:
    rows, behind = _ask(connection, asked, tenant)
    own = [each for each in landed if tenant in ("*", each.dimensions["tenant"])]
    wanted = values_of(own, asked)
    found = {(row["bucket_start"], tuple(row[name] for name in asked["group_by"])): row for row in rows.to_dicts()}
    assert len(found) == rows.height
    assert set(found) == set(wanted)
    assert (behind.rows > 0) == bool(wanted)
    for (start, group), row in found.items():
        end = end_of(start, asked["window"], asked["to"])
        seconds = Fraction(int((min(end, asked["to"]) - max(start, asked["from_"])).total_seconds()))
        for name in asked["fields"]:
            assert_is_field(name, row[name], wanted[start, group], seconds, asked["metric"])


def test_many_rows_are_read_in_pieces_to_the_same_answer(
    landed: list[Happening], connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = {"metric": "events", "fields": ["count", "sum"], "window": "7m", "group_by": ["model"], **_WHOLE}
    whole, behind = _ask(connection, asked)
    assert behind.rows > 100
    monkeypatch.setattr(timeseries, "_ROWS_AT_ONCE", 10)
    for window in ("7m", None):
        pieces, _ = _ask(connection, asked | {"window": window})
        assert pieces.get_column("count").sum() == len(landed)
        order = ["bucket_start", "model"]
        assert window is None or pieces.sort(order).equals(whole.sort(order))


def test_an_answer_from_more_rows_than_may_be_is_refused(
    landed: list[Happening], connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timeseries, "MOST_STORED_ROWS", len(landed) // 20)
    with pytest.raises(QueryError, match="stored rows are behind this answer"):
        _ask(connection, {"metric": "events", "fields": ["count"], "window": "1m", **_WHOLE})


def test_an_answer_says_its_newest_revision_and_changes_what_it_is_known_by_when_a_late_event_lands(
    database: str, connection: Connection
) -> None:
    asked = {"metric": "events", "fields": ["count"], "window": "1h", **_WHOLE}
    seen = []
    for number in range(3):
        _land(database, connection, [message(number, minutes_ago=60 * 24)])
        rows, behind = _ask(connection, asked)
        assert rows.get_column("count").to_list() == [number + 1]
        assert behind.revision == number + 1
        assert rows.get_column("revision").to_list() == [number + 1]
        assert behind.computed_at == NOW
        seen.append(behind)
    assert len(set(seen)) == 3
    assert _ask(connection, asked)[1] == seen[-1]
    _land(database, connection, [message(8, minutes_ago=60 * 48)])
    older = _ask(connection, asked)[1]
    connection.execute("update rollup_1h set revision = 2 where bucket_start < %s", [NOW - timedelta(hours=30)])
    assert _ask(connection, asked)[1].revision == older.revision
    assert _ask(connection, asked)[1] != older
    elsewhere = asked | {"to": NOW.replace(second=0) - timedelta(1, hours=2)}
    before = _ask(connection, elsewhere)[1]
    _land(database, connection, [message(9, minutes_ago=60 * 24)])
    assert _ask(connection, elsewhere)[1] == before


def test_what_lies_before_the_watermark_is_final(landed: list[Happening], connection: Connection) -> None:
    assert landed
    connection.execute("update rollup_state set final_before = %s", [NOW.replace(hour=0, minute=0, second=0)])
    asked = {"metric": "events", "fields": ["count"], "window": "1d", **_WHOLE}
    rows, behind = _ask(connection, asked)
    assert not behind.is_final
    assert rows.sort("bucket_start").get_column("is_final").to_list() == [True] * (rows.height - 1) + [False]
    closed, behind = _ask(connection, asked | {"to": NOW.replace(hour=0, minute=0, second=0)})
    assert behind.is_final
    assert closed.get_column("is_final").all()
    connection.execute("update rollup_state set final_before = %s", [NOW + timedelta(9)])
    assert _ask(connection, asked | {"to": NOW.replace(hour=0, minute=0, second=0)})[1] == behind


def test_patterns_that_only_postgresql_refuses_are_refused_with_their_place(connection: Connection) -> None:
    asked = {"metric": "events", "fields": ["count"], **_WHOLE}
    for pattern in ("a++", "a{2}+"):
        with pytest.raises(QueryError) as refused:
            _ask(connection, asked | {"filters": [("team", "not", "x"), ("model", "regex", pattern)]})
        assert refused.value.field == "filters.1.value"


def test_an_empty_hub_answers_with_nothing(connection: Connection) -> None:
    rows, behind = _ask(connection, {"metric": "cost_usd", "fields": ["sum", "p95"], "group_by": ["team"], **_WHOLE})
    assert rows.is_empty()
    assert (behind.rows, behind.revision, behind.computed_at, behind.is_final) == (0, None, None, False)
    rows, _ = _ask(connection, {"metric": "cost_usd", "fields": ["sum"], "fill": "zero", **_WHOLE})
    assert rows.get_column("sum").to_list() == [0]
    assert datetime(1970, 1, 1, tzinfo=UTC) < rows.item(0, "bucket_start")
