"""The schema: reached by migrations alone, safely, however often they run."""

import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lah_platform.errors import SchemaError
from lah_platform.settings import SQL_ROOT
from lah_platform.stores.embedded.postgres import EmbeddedPostgres
from lah_platform.stores.migrations import has_timescaledb, migrate, schema_snapshot, status
from lah_platform.stores.postgres import Connection, connect
from lah_platform.stores.rollups import pending, tick
from tests.stores.event_rows import add_event


def _empty_database(server: EmbeddedPostgres, name: str) -> str:
    with connect(server.url) as admin:
        admin.execute(f"drop database if exists {name} with (force)".encode())
        admin.execute(f"create database {name}".encode())
    return server.url.rsplit("/", 1)[0] + "/" + name


def test_migrations_reach_exactly_the_published_schema(connection: Connection) -> None:
    if has_timescaledb(connection):
        pytest.skip("the published snapshot is of plain PostgreSQL")
    published = (SQL_ROOT / "schema.snapshot").read_text(encoding="utf-8")
    assert schema_snapshot(connection) == published, "run `lah migrate snapshot` and read the difference"


def test_a_second_run_changes_nothing_and_reports_every_migration_as_applied(connection: Connection) -> None:
    before = schema_snapshot(connection)
    assert migrate(connection) == []
    assert schema_snapshot(connection) == before
    assert all(step.applied_at is not None for step in status(connection))


def test_two_migrators_at_once_apply_each_migration_once(server: EmbeddedPostgres) -> None:
    url = _empty_database(server, "two_migrators")
    applied: list[int] = []

    def run() -> None:
        with connect(url) as own:
            applied.extend(step.version for step in migrate(own))

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(applied) == len(set(applied)) > 0


def test_a_failing_migration_leaves_the_database_at_the_one_before(server: EmbeddedPostgres, tmp_path: Path) -> None:
    (tmp_path / "0001_good.sql").write_text("create table lah.good (a int)")
    (tmp_path / "0002_bad.sql").write_text("create table lah.half (a int); select 1 / 0")
    with connect(_empty_database(server, "failing")) as own:
        with pytest.raises(Exception, match="division by zero"):
            migrate(own, tmp_path)
        assert [step.applied_at is not None for step in status(own, tmp_path)] == [True, False]
        assert own.execute("select to_regclass('lah.half')").fetchone() == (None,)


def test_a_migration_that_was_changed_after_release_is_refused_by_name(
    server: EmbeddedPostgres, tmp_path: Path
) -> None:
    path = tmp_path / "0001_good.sql"
    path.write_text("create table lah.good (a int)")
    with connect(_empty_database(server, "changed")) as own:
        migrate(own, tmp_path)
        path.write_text("create table lah.good (a bigint)")
        with pytest.raises(SchemaError, match="0001_good was changed"):
            migrate(own, tmp_path)
        path.unlink()
        with pytest.raises(SchemaError, match="does not know"):
            migrate(own, tmp_path)


def test_partitions_made_later_have_the_index_by_arrival_too(connection: Connection) -> None:
    days = [datetime(2026, 3, day, 12, tzinfo=UTC) for day in (4, 5, 6)]
    for number, day in enumerate(days):
        add_event(connection, number, day)
    names = connection.execute("select inhrelid::regclass::text from pg_inherits where inhparent = 'events'::regclass")
    partitions = [name for (name,) in names]
    indexed = connection.execute(
        "select tablename from pg_indexes where indexdef like '%USING brin (received_at)'"
    ).fetchall()
    assert len(partitions) == len(days)
    assert {name.rsplit(".")[-1] for name in partitions} < {name for (name,) in indexed}


def test_every_migration_states_the_locks_it_takes() -> None:
    for path in sorted((SQL_ROOT / "migrations").glob("*.sql")):
        assert "Locks:" in path.read_text(encoding="utf-8").split("\n\n")[0], f"{path.name} does not state its locks"


def test_partials_that_wait_for_a_tick_are_moved_and_read_as_before(server: EmbeddedPostgres, tmp_path: Path) -> None:
    for file in sorted((SQL_ROOT / "migrations").glob("000[1-6]_*.sql")):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    columns = "series_id, metric, bucket_start, count, sum, sum_exact, min, max, mean, m2, hist_keys, hist_counts"
    rows = [
        (1, "latency_ms", "2026-03-01 23:59+00", 3, 1.5, None, 0.25, 1.0, 0.5, 0.1, [-1048577, 0, 1048576], [1, 1, 1]),
        (1, "events", "2026-03-02 00:00+00", 2, None, 2, 1, 1, 1, 0, [1048576], [2]),
        (2, "cost_usd", "2026-03-02 00:01+00", 1, None, "-0.000000000001", -1e-12, -1e-12, -1e-12, 0, [-1047300], [1]),
    ]
    with connect(_empty_database(server, "waiting_partials")) as own:
        migrate(own, tmp_path)
        own.cursor().executemany(f"insert into rollup_partials ({columns}) values ({', '.join(['%s'] * 12)})", rows)
        before = own.execute(f"select {columns} from rollup_partials order by bucket_start").fetchall()
        assert [step.version for step in migrate(own)][:1] == [7]
        assert own.execute(f"select {columns} from rollup_partials order by bucket_start").fetchall() == before
        assert pending(own) == 3
        assert tick(own, now=datetime.now(UTC)).partials == 3
