"""Housekeeping keeps its promises on native partitions and on TimescaleDB's chunks alike."""

from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from psycopg import errors

from lah_platform.landing.batch import prepare
from lah_platform.landing.records import Outcome, Partition, Record
from lah_platform.stack.landing_process import decode_now
from lah_platform.stores.landing import PostgresLanding
from lah_platform.stores.postgres import Connection
from lah_platform.stores.retention import (
    make_partitions_ahead,
    prune_dagster_checks,
    prune_dagster_events,
    set_compression,
)
from lah_platform.stores.rollups import recompute_day, tick
from tests.landing.messages import NOW, message
from tests.stores.archiving import drop_old_events
from tests.stores.event_rows import add_event

DAY = timedelta(days=1)
TODAY = date(2026, 3, 4)
WEEK = timedelta(days=7)
_PARTITION = Partition("t", "one", 0)


def _hours_of_events(connection: Connection) -> list[datetime]:
    return [ts for (ts,) in connection.execute("select ts from events order by ts")]


def _retention_audited(connection: Connection) -> list[dict[str, Any]]:
    rows = connection.execute("select details from audit_log where action = 'retention' order by position")
    return [details for (details,) in rows]


def test_whole_days_before_the_given_one_are_dropped_and_nothing_of_that_day(connection: Connection) -> None:
    midnight = datetime(2026, 3, 4, tzinfo=UTC)
    moments = [midnight - 2 * DAY, midnight - timedelta(microseconds=1), midnight, midnight + DAY]
    for number, ts in enumerate(moments):
        add_event(connection, number, ts)
    assert len(drop_old_events(connection, TODAY)) == 2
    assert _hours_of_events(connection) == moments[2:]


def test_what_was_dropped_is_in_the_audit_log_and_dropping_nothing_is_not(connection: Connection) -> None:
    add_event(connection, 1, datetime(2026, 3, 1, 12, tzinfo=UTC))
    dropped = drop_old_events(connection, TODAY)
    assert len(dropped) == 1
    assert drop_old_events(connection, TODAY) == []
    ((run_id,),) = connection.execute("select run_id::text from retention_runs").fetchall()
    assert _retention_audited(connection) == [{"run_id": run_id, "rows_dropped": 1}]


def test_an_event_of_a_day_that_was_dropped_can_land_again(connection: Connection) -> None:
    long_ago = datetime(2026, 3, 1, 12, tzinfo=UTC)
    add_event(connection, 1, long_ago)
    drop_old_events(connection, TODAY)
    add_event(connection, 1, long_ago)
    assert _hours_of_events(connection) == [long_ago]


def test_a_week_of_days_takes_events_before_anything_of_them_has_landed(connection: Connection) -> None:
    noon = datetime(2026, 3, 4, 12, tzinfo=UTC)
    add_event(connection, 1, noon - DAY)
    for _ in range(2):
        assert make_partitions_ahead(connection, TODAY) == 7
    connection.execute("create temporary table one as select * from events")
    for ahead in range(8):
        connection.execute("update one set ts = %s", [noon + ahead * DAY])
        connection.execute("insert into events select * from one")
    assert _hours_of_events(connection) == [noon + days * DAY for days in range(-1, 8)]


def _land(database: str, numbers: Sequence[int]) -> list[Outcome]:
    with closing(PostgresLanding(database)) as store:
        start = store.adopt(_PARTITION, 0)
        records = [Record(_PARTITION, start + i, b"k", message(number)) for i, number in enumerate(numbers)]
        return list(store.land(prepare(records, {_PARTITION: start}, decoder=decode_now, received_at=NOW)).outcomes)


def _rollups(connection: Connection) -> list[tuple[Any, ...]]:
    return connection.execute("select * from rollup_1d order by bucket_start, series_id, metric").fetchall()


def test_a_compressed_day_takes_late_events_counts_repeats_and_is_recomputed_to_the_same(
    database: str, connection: Connection
) -> None:
    assert _land(database, range(5)) == ["stored"] * 5
    if set_compression(connection, WEEK):
        assert connection.execute("select compress_chunk(chunk) from show_chunks('events') chunk").fetchall()
    assert _land(database, [2, 3]) == ["duplicate", "duplicate"]
    assert _land(database, [4, 5, 5, 6]) == ["duplicate", "stored", "duplicate", "stored"]
    tick(connection, now=NOW)
    landed = _rollups(connection)
    assert set(recompute_day(connection, NOW.date(), now=NOW + DAY).values()) == {0}
    assert _rollups(connection) == landed
    counted = connection.execute("select count from rollup_1d where metric = 'events'").fetchall()
    assert counted == connection.execute("select count(*) from events").fetchall() == [(7,)]
    assert len(drop_old_events(connection, NOW.date() + DAY)) == 1


def test_chunks_are_compressed_at_the_age_that_was_set_last(connection: Connection) -> None:
    if not set_compression(connection, WEEK):
        with pytest.raises(errors.UndefinedTable):
            connection.execute("select from timescaledb_information.jobs")
        pytest.skip("native partitions are not compressed")
    policy = (
        "select job_id, config ->> 'compress_after' from timescaledb_information.jobs where hypertable_name = 'events'"
    )
    first = connection.execute(policy).fetchall()
    assert set_compression(connection, WEEK)
    assert connection.execute(policy).fetchall() == first, "an age that stays does not touch the table"
    assert set_compression(connection, 3 * DAY)
    assert [age for _, age in connection.execute(policy)] == ["3 days"]


def test_pruning_keeps_the_newest_event_of_each_asset_and_kind_and_every_event_of_a_run(connection: Connection) -> None:
    connection.execute(
        "create table dagster.event_logs (id bigint primary key, run_id text not null, dagster_event_type text,"
        " asset_key text, partition text, timestamp timestamp not null)"
    )
    kept = {3, 4, 5, 6, 8}
    events = [
        (1, "", "MATERIALIZATION", "a", None, 9),
        (2, "", "MATERIALIZATION", "a", None, 8),
        (3, "", "MATERIALIZATION", "a", None, 7),
        (4, "", "OBSERVATION", "a", None, 9),
        (5, "", "MATERIALIZATION", "b", None, 9),
        (6, "run", "MATERIALIZATION", "b", "2026-03-01", 9),
        (7, "", "MATERIALIZATION", "b", "2026-03-01", 9),
        (8, "", "MATERIALIZATION", "b", "2026-03-01", 1),
    ]
    connection.cursor().executemany(
        "insert into dagster.event_logs values (%s, %s, %s, %s, %s, %s)",
        [(*event[:5], NOW.replace(tzinfo=None) - event[5] * DAY) for event in events],
    )
    assert prune_dagster_events(connection, NOW - 5 * DAY) == 3
    assert {number for (number,) in connection.execute("select id from dagster.event_logs")} == kept
    assert prune_dagster_events(connection, NOW - 5 * DAY) == 0


def test_pruning_leaves_a_recent_event_although_a_newer_one_is_there(connection: Connection) -> None:
    assert prune_dagster_events(connection, NOW) == 0, "Dagster stores elsewhere"
    connection.execute(
        "create table dagster.event_logs as select n as id, ''::text as run_id, 'MATERIALIZATION'::text as"
        " dagster_event_type, 'a'::text as asset_key, null::text as partition, timestamp '2026-03-04' as timestamp"
        " from generate_series(1, 3) n"
    )
    assert prune_dagster_events(connection, datetime(2026, 3, 4, tzinfo=UTC)) == 0
    assert prune_dagster_events(connection, datetime(2026, 3, 5, tzinfo=UTC)) == 2


def test_pruning_keeps_the_newest_verdict_of_each_check_however_old(connection: Connection) -> None:
    assert prune_dagster_checks(connection, NOW) == 0, "Dagster stores elsewhere"
    connection.execute(
        "create table dagster.asset_check_executions (id bigint primary key, asset_key text, check_name text,"
        " create_timestamp timestamp not null)"
    )
    verdicts = [
        (1, "a", "x", 9),
        (2, "a", "x", 8),
        (3, "a", "y", 9),
        (4, "b", "x", 9),
        (5, "b", "x", 2),
        (6, "b", "x", 1),
    ]
    connection.cursor().executemany(
        "insert into dagster.asset_check_executions values (%s, %s, %s, %s)",
        [(*verdict[:3], NOW.replace(tzinfo=None) - verdict[3] * DAY) for verdict in verdicts],
    )
    assert prune_dagster_checks(connection, NOW - 5 * DAY) == 2
    kept = connection.execute("select id from dagster.asset_check_executions order by id").fetchall()
    assert [number for (number,) in kept] == [2, 3, 5, 6]
