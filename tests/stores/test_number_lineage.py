"""A number says what it was made from, and whether its events still add up to it."""

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import pytest

from lah_platform.events.envelope import DEFAULT_TENANT
from lah_platform.events.examples import flat_example
from lah_platform.rollups.metrics import METRICS, metric
from lah_platform.rollups.windows import WINDOWS, window
from lah_platform.stores.landing import PostgresLanding
from lah_platform.stores.number_lineage import number_lineage
from lah_platform.stores.postgres import Connection
from lah_platform.stores.rollups import tick
from tests.landing.messages import NOW, api_cost, message
from tests.rollups.test_rollup_store import land


@pytest.fixture
def store(database: str) -> Iterator[PostgresLanding]:
    with closing(PostgresLanding(database)) as opened:
        yield opened


def _lineage(connection: Connection, name: str = "1h", of: str = "latency_ms", tenant: str = "acme") -> dict[str, Any]:
    size = window(name)
    (series_id,) = connection.execute(
        "select series_id from series where subtype = 'latency' and tenant = 'acme'"
    ).fetchone() or (0,)
    start = size.floor(datetime(2026, 3, 4, 11, 30, tzinfo=UTC))
    found = number_lineage(connection, tenant=tenant, window=size, metric=metric(of), series_id=series_id, start=start)
    return found or {}


def test_every_number_of_every_window_is_explained_by_its_rows_and_events(
    store: PostgresLanding, connection: Connection
) -> None:
    land(store, [message(number, minutes_ago=5 + number) for number in range(25)])
    cost = {"payload_type": "cost", "data": api_cost("0.5")}
    land(store, [message(99, minutes_ago=7, event_type="cost", payload=cost)])
    tick(connection, now=NOW)
    explained = 0
    for size in WINDOWS:
        for each in METRICS:
            rows = connection.execute(
                f"select series_id, bucket_start, tenant from {size.view} where metric = %s".encode(), [each.name]
            ).fetchall()
            for series_id, start, tenant in rows:
                found = number_lineage(
                    connection, tenant=tenant, window=size, metric=each, series_id=series_id, start=start
                )
                assert found is not None
                assert found["is_explained"] is True, (size.name, each.name)
                assert {step["values"] for step in found["made_from"]} <= {found["number"]["count"]}
                explained += 1
    assert explained > 40
    hour = _lineage(connection)
    assert [step["window"] for step in hour["made_from"]] == ["15m", "5m", "1m"]
    assert hour["made_from"][-1]["rows"] == hour["number"]["count"] == 25
    (source,) = hour["events"]
    assert (source["first_offset"], source["last_offset"], source["events"]) == (0, 24, 25)


def test_in_the_series_of_all_that_is_too_much_only_events_that_carry_the_metric_are_counted(
    database: str, connection: Connection
) -> None:
    at = "2026-03-04T11:30:00Z"
    events = [json.dumps(flat_example(subtype, at)).encode() for subtype in ("token_usage", "token_cost")]
    with closing(PostgresLanding(database, series_limit=1)) as store:
        land(store, [message(1, tenant=json.loads(events[0])["tags"].get("tenant", DEFAULT_TENANT))])
        land(store, events)
    tick(connection, now=NOW)
    (series_id, start) = connection.execute(
        "select series_id, bucket_start from metrics_1h where metric = 'input_tokens' and event_type = '__other__'"
    ).fetchone() or (0, NOW)
    found = number_lineage(
        connection, tenant="*", window=window("1h"), metric=metric("input_tokens"), series_id=series_id, start=start
    )
    assert found is not None
    assert (found["number"]["count"], found["is_explained"]) == (1, True)


def test_a_late_value_that_waits_and_an_event_that_went_missing_are_told(
    store: PostgresLanding, connection: Connection
) -> None:
    land(store, [message(1, minutes_ago=30), message(2, minutes_ago=31)])
    tick(connection, now=NOW)
    land(store, [message(3, minutes_ago=32)])
    waiting = _lineage(connection)
    assert (waiting["waiting_values"], waiting["is_explained"], waiting["number"]["count"]) == (1, None, 2)
    tick(connection, now=NOW)
    merged = _lineage(connection)
    assert (merged["waiting_values"], merged["is_explained"], merged["number"]["revision"]) == (0, True, 2)
    connection.execute("delete from events where ts = (select min(ts) from events)")
    assert _lineage(connection)["is_explained"] is False


def test_another_tenants_number_is_not_there(store: PostgresLanding, connection: Connection) -> None:
    land(store, [message(1, minutes_ago=30)])
    tick(connection, now=NOW)
    assert _lineage(connection)["number"]["count"] == 1
    assert _lineage(connection, tenant="*")["number"]["count"] == 1
    assert _lineage(connection, tenant="globex") == {}
    assert _lineage(connection, of="ttft_ms") == {}
