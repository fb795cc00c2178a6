"""An event, or all events of a correlation, is found without reading the day it lies in."""

from contextlib import closing
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from lah_platform.stores.postgres import Connection, open_pool
from lah_platform.stores.serving import page, rows

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
_EVENTS = 60_000
_NO_FILTER = dict.fromkeys(("type", "subtype", "model", "severity", "correlation_id", "tags"))
_RANGE = {"from_": NOON, "to": NOON + timedelta(days=1)}


@pytest.fixture
def request_of_three(connection: Connection) -> UUID:
    """A day of events of three a correlation, and one of those correlations."""
    connection.execute("select ensure_event_partition(%s)", (NOON.date(),))
    connection.execute(
        "insert into events (ts, tenant, event_id, series_id, received_at, source_module, event_type, payload_type,"
        " subtype, severity, environment, schema_version, correlation_id, tags, payload, topic, partition,"
        " record_offset) select %(noon)s + n * interval '100 ms', 'acme', md5(n::text)::uuid, 1, %(noon)s,"
        " 'llm-observatory',"
        " 'telemetry', 'telemetry', 'latency', 'info', 'production', '1.0.0', md5((n / 3)::text || 'c')::uuid, '{}',"
        """ ('{"text": "' || repeat(md5(n::text), 40) || '"}')::jsonb, 't', 0, n from generate_series(0, %(last)s) n""",
        {"noon": NOON, "last": _EVENTS - 1},
    )
    connection.execute("vacuum (analyze) events")
    row = connection.execute("select md5('7000c')::uuid").fetchone()
    assert row is not None
    found: UUID = row[0]
    return found


def _blocks_read(connection: Connection) -> int:
    connection.execute("select pg_stat_force_next_flush()")
    row = connection.execute(
        "select sum(heap_blks_read + heap_blks_hit + idx_blks_read + idx_blks_hit) from pg_statio_user_tables"
        " where relid in (select inhrelid from pg_inherits where inhparent = 'events'::regclass)"
    ).fetchone()
    return int(row[0]) if row else 0


def _pages(connection: Connection) -> int:
    row = connection.execute(
        "select sum(pg_relation_size(inhrelid)) / 8192 from pg_inherits where inhparent = 'events'::regclass"
    ).fetchone()
    assert row is not None
    return int(row[0])


def test_an_event_and_those_of_its_correlation_are_found_in_a_share_of_their_day_however_often_they_are_asked_for(
    database: str, connection: Connection, request_of_three: UUID
) -> None:
    of_it = _RANGE | _NO_FILTER | {"correlation_id": request_of_three}
    with closing(open_pool(database, application_name="test", max_size=1)) as pool:
        for _ in range(12):
            with pool.connection() as asking:
                before = _blocks_read(asking)
                found = page(asking, "events", tenant="acme", limit=10, **of_it).rows
                ids = [each["event_id"] for each in found]
                (event,) = rows(asking, "event", tenant="acme", event_id=ids[0], limit=2, **_RANGE)
                assert 0 < _blocks_read(asking) - before < _pages(asking) / 4
    offsets = connection.execute("select record_offset from events where event_id = any (%s) order by 1", (ids,))
    assert [offset for (offset,) in offsets] == [21_000, 21_001, 21_002]
    assert event["event_id"] == ids[0]
