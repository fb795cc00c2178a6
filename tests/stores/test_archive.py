"""The archive loses and doubles nothing: a row is in PostgreSQL, in a verified file, or in both and counted once."""

import hashlib
import json
import re
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest
from psycopg import errors

from lah_platform.errors import ArchiveError, ConfigurationError
from lah_platform.rollups.aggregate import ROWS_SCHEMA, aggregate_minutes
from lah_platform.settings import PROJECT_ROOT
from lah_platform.stores.archive import due_days
from lah_platform.stores.cold_events import cold_rows, event_rows, refuse_cold_days
from lah_platform.stores.postgres import Connection, connect
from lah_platform.stores.retention import drop_archived_days
from tests.landing.messages import NOW, api_cost
from tests.stores.archiving import DAY, TODAY, YESTERDAY, Hub, drop_old_events, event

_START = datetime.combine(YESTERDAY, datetime.min.time(), NOW.tzinfo)
_TOKENS = {
    "payload_type": "cost",
    "data": api_cost("0.000000000001"),
}


@pytest.fixture
def hub(database: str, connection: Connection, tmp_path: Path) -> Hub:
    return Hub(database, connection, tmp_path / "archive")


def _fill(hub: Hub, count: int = 40) -> list[bytes]:
    """A day of events of several shapes, with texts that a careless writer would spoil."""
    values = [event(number, hour=number % 24) for number in range(count)]
    values += [
        event(1000, event_type="cost", payload=_TOKENS),
        event(1001, tags={"tenant": "acme", "service": 'quoted "x",\nnext\r\n\ttab \\N', "team": "ünï"}),
        event(1002, tags={"tenant": "other", "service": ""}),
    ]
    assert hub.land(values) == ["stored"] * len(values)
    hub.tick()
    return values


def _parquet(hub: Hub) -> pl.DataFrame:
    return pl.concat([pl.read_parquet(path, hive_partitioning=False) for path in hub.files()])


def test_a_day_is_kept_to_the_last_bit_in_the_order_of_its_key_and_its_manifest_says_what_it_holds(hub: Hub) -> None:
    _fill(hub)
    done = hub.archive()
    assert done.file is not None
    (path,) = hub.files()
    assert path == hub.folder / f"events/day={YESTERDAY}/1.parquet"
    columns = hub.rows(
        "select attname, atttypid = any ('{text,bigint,integer,timestamptz,double precision,numeric}'::regtype[])"
        " from pg_attribute where attrelid = 'events'::regclass and attnum > 0"
    )
    names = [name for name, _ in columns]
    values = ", ".join(name if is_plain else f"{name}::text" for name, is_plain in columns)
    stored = hub.rows(f"select {values} from events order by ts, tenant, event_id")
    kept = pl.read_parquet(path, hive_partitioning=False)
    assert kept.columns == names
    assert kept.rows() == stored
    first = pq.ParquetFile(path).metadata.row_group(0)
    assert (first.column(0).compression, first.column(0).statistics.min) == ("ZSTD", stored[0][0])
    assert [column.column_index for column in first.sorting_columns] == [0, 1, 2]
    manifest = json.loads(path.with_suffix(".json").read_text())
    assert manifest["rows"] == len(stored) == 43
    assert manifest["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert manifest["min_ts"] == min(row[0] for row in stored).isoformat()
    recorded = hub.rows(
        "select row_count, rows_checksum::text, sha256, verified_at is not null, dropped_at from archive_files"
    )
    assert recorded == [(43, manifest["rows_checksum"], manifest["sha256"], True, None)]


def test_archiving_a_day_again_writes_nothing_when_nothing_landed(hub: Hub) -> None:
    _fill(hub)
    hub.archive()
    again = hub.archive()
    assert (again.file, again.repeats) == (None, 0)
    assert len(hub.files()) == 1


def test_rows_that_land_late_go_to_a_further_file_whether_their_day_was_dropped_or_not(hub: Hub) -> None:
    _fill(hub)
    hub.archive()
    hub.land([event(2000), event(1, hour=1)])
    late = hub.archive()
    assert late.file is not None
    assert (late.file.number, late.file.rows, late.repeats) == (2, 1, 0)
    assert hub.drop() is None
    hub.land([event(2001)])
    later = hub.archive()
    assert later.file is not None
    assert (later.file.number, later.file.rows, later.repeats) == (3, 1, 0)
    assert hub.drop() is None
    assert hub.rows("select count(*) from events") == [(0,)]
    assert len(_parquet(hub)) == 45
    hub.tick()
    hub.recompute(YESTERDAY)
    assert hub.rows("select sum(count)::int from rollup_1d where metric = 'events'") == [(45,)]


def test_a_day_leaves_postgresql_only_when_every_row_is_in_a_verified_file(hub: Hub) -> None:
    _fill(hub)
    assert "lah backfill events_archive" in str(hub.drop())
    hub.archive()
    hub.land([event(2000)])
    assert "lah backfill events_archive" in str(hub.drop())
    assert hub.rows("select count(*) from events") == [(44,)]
    hub.archive()
    hub.connection.execute("update events set latency_ms = 1 where request_id = 'r1'")
    assert "lah backfill events_archive" in str(hub.drop()), "the same number of rows, one of them changed"
    hub.archive()
    assert hub.drop() is None
    assert hub.rows("select count(*) from events") == [(0,)]
    assert hub.rows("select action, details ->> 'rows' from audit_log where action like 'drop%'") == [
        ("drop archived day", "44")
    ]


def test_the_drop_waits_for_a_landing_that_has_written_into_the_day_and_sees_its_rows(hub: Hub) -> None:
    _fill(hub)
    hub.archive()
    with connect(hub.url) as landing, landing.transaction():
        landing.execute("create temporary table one on commit drop as select * from events limit 1")
        landing.execute("update one set event_id = gen_random_uuid()")
        landing.execute("insert into events select * from one")
        with pytest.raises(errors.LockNotAvailable):
            hub.drop()
    assert "lah backfill events_archive" in str(hub.drop())


def test_a_repeat_of_an_event_that_has_left_postgresql_becomes_a_duplicate_and_is_counted_once(hub: Hub) -> None:
    values = _fill(hub)
    hub.archive()
    hub.drop()
    before = hub.rows("select bucket_start, series_id, metric, count from rollup_1h order by 1, 2, 3")
    assert hub.land([values[3], values[4], event(2000, hour=3)]) == ["stored"] * 3
    hub.tick()
    assert hub.outcomes() == (46, 46, 0)
    done = hub.archive()
    assert done.file is not None
    assert (done.file.rows, done.repeats) == (1, 2)
    assert hub.outcomes() == (46, 44, 2)
    assert hub.rows("select count(*) from ledger_imbalance") == [(0,)]
    hub.tick()
    after = hub.rows("select sum(count)::int from rollup_1h where metric = 'events'")
    assert after == [(sum(row[3] for row in before if row[2] == "events") + 1,)]


def test_a_replayed_dead_letter_that_repeats_an_archived_event_is_a_duplicate_where_it_was_booked(hub: Hub) -> None:
    values = _fill(hub)
    hub.archive()
    hub.drop()
    hub.land([values[3]], at=NOW)
    # as a replay books it: in the minute of the first receipt, under the offset of the first record
    earlier = NOW - timedelta(hours=2)
    at = {"now": NOW.replace(second=0), "earlier": earlier}
    for statement in (
        "insert into dead_letters (tenant, topic, topic_id, partition, record_offset, dead_lettered_at, code, field,"
        " reason, replayed_at, replayed_as) select tenant, topic, 'one', partition, record_offset, %(earlier)s, 'c',"
        " 'f', 'r', received_at, 'stored' from events",
        "update ledger set received = received - 1, stored = stored - 1 where minute = %(now)s",
        "insert into ledger values ('t', 0, date_trunc('minute', %(earlier)s), 'acme', 1, 1, 0, 0)",
    ):
        hub.connection.execute(statement.encode(), at)
    assert hub.archive().repeats == 1
    assert hub.rows("select replayed_as from dead_letters") == [("duplicate",)]
    moved = hub.rows("select minute, received, stored, duplicate from ledger where duplicate > 0")
    assert moved == [(earlier.replace(second=0, microsecond=0), 1, 0, 1)]


def test_an_erased_row_leaves_the_files_of_a_day_that_postgresql_holds_still(hub: Hub) -> None:
    _fill(hub)
    hub.archive()
    hub.land([event(2000)])
    hub.archive()
    hub.connection.execute("delete from events where request_id in ('r7', 'r2000')")
    done = hub.archive()
    assert done.file is not None
    assert (done.file.rows, done.file.number) == (42, 3)
    assert [path.name for path in hub.files()] == ["3.parquet"]
    assert not _parquet(hub).get_column("request_id").is_in(["r7", "r2000"]).any()
    assert hub.rows("select details ->> 'replaced' from audit_log where action = 'rewrite'") == [("[1, 2]",)]


def test_cold_days_give_the_same_aggregates_from_the_archive_as_they_gave_from_postgresql(hub: Hub) -> None:
    values = _fill(hub)
    period = (_START, _START + DAY)
    hot = event_rows(hub.connection, *period, archive_dir=None)
    assert cold_rows(hub.connection, *period, archive_dir=hub.folder) is None
    hub.archive()
    hub.drop()
    cold = event_rows(hub.connection, *period, archive_dir=hub.folder)
    assert cold.schema == ROWS_SCHEMA
    assert cold.equals(hot)
    assert aggregate_minutes(cold).equals(aggregate_minutes(hot))
    hub.land([values[0], event(2000)])
    late = event_rows(hub.connection, *period, archive_dir=hub.folder)
    assert len(late) == len(hot) + 1, "the repeat is left out, the late row is there"
    assert len(event_rows(hub.connection, _START, _START + timedelta(hours=1), archive_dir=hub.folder)) < len(hot)


def test_a_period_of_hot_and_cold_days_has_each_event_once(hub: Hub) -> None:
    hub.land([event(number, days_ago=1 + number % 3) for number in range(30)])
    hub.archive(TODAY - 2 * DAY)
    hub.archive(TODAY - 3 * DAY)
    hub.drop(TODAY - 3 * DAY)
    rows = event_rows(hub.connection, _START - 2 * DAY, _START + DAY, archive_dir=hub.folder)
    assert sorted(rows.get_column("latency_ms")) == sorted(10.0 + number / 7 for number in range(30))


def test_a_cold_day_is_never_taken_for_an_empty_one(hub: Hub) -> None:
    _fill(hub)
    hub.archive()
    hub.drop()
    with pytest.raises(ConfigurationError, match="LAH_ARCHIVE_DIR"):
        event_rows(hub.connection, _START, _START + DAY, archive_dir=None)
    with pytest.raises(ConfigurationError, match="are in the archive"):
        refuse_cold_days(hub.connection, YESTERDAY - DAY, TODAY, what="cost_daily")
    refuse_cold_days(hub.connection, TODAY, TODAY, what="cost_daily")


@pytest.mark.parametrize("damage", ["altered", "truncated", "gone"])
def test_a_damaged_file_is_found_and_said_with_what_to_do(damage: str, hub: Hub) -> None:
    _fill(hub)
    hub.archive()
    (path,) = hub.files()
    whole = path.read_bytes()

    def spoil() -> None:
        if damage == "gone":
            path.unlink()
        else:
            path.write_bytes(
                whole[:-9] if damage == "truncated" else whole[:100] + bytes([whole[100] ^ 1]) + whole[101:]
            )

    spoil()
    with pytest.raises(ArchiveError, match="lah backfill events_archive"):
        hub.drop()
    assert hub.rows("select count(*) from events") == [(43,)]
    assert hub.archive().file is not None, "PostgreSQL has the rows still: the file is written anew"
    hub.drop()
    (path,) = hub.files()
    whole = path.read_bytes()
    spoil()
    with pytest.raises(ArchiveError, match="from a backup"):
        hub.recompute(YESTERDAY)
    assert hub.rows("select sum(count)::int from rollup_1d where metric = 'events'") == [(43,)]


def test_a_writer_that_is_killed_leaves_nothing_that_counts(hub: Hub) -> None:
    _fill(hub)
    hub.connection.execute("alter table archive_files add constraint killed check (row_count < 0)")
    with pytest.raises(errors.CheckViolation):
        hub.archive()
    hub.connection.execute("alter table archive_files drop constraint killed")
    partial = hub.folder / f"events/day={YESTERDAY}/2.parquet.partial"
    partial.write_bytes(b"PAR1 half a file")
    assert "lah backfill events_archive" in str(hub.drop())
    done = hub.archive()
    assert done.file is not None
    assert done.file.path.endswith("/2.parquet"), "the file without a record is left alone: it may be another's"
    assert not partial.exists()
    assert hub.rows("select row_count from archive_files") == [(43,)]


def test_a_day_that_has_not_ended_is_not_archived(hub: Hub) -> None:
    with pytest.raises(ConfigurationError, match="has not ended"):
        hub.archive(TODAY)


def test_days_are_due_when_their_files_do_not_hold_what_the_rollups_count(hub: Hub) -> None:
    hub.land([event(number, days_ago=number % 4) for number in range(20)])
    hub.tick()
    since = TODAY - 30 * DAY
    assert due_days(hub.connection, since, TODAY) == [TODAY - 3 * DAY, TODAY - 2 * DAY, YESTERDAY]
    for day in due_days(hub.connection, since, TODAY):
        hub.archive(day)
    assert due_days(hub.connection, since, TODAY) == []
    hub.land([event(100, days_ago=2)])
    hub.tick()
    assert due_days(hub.connection, since, TODAY) == [TODAY - 2 * DAY]


def test_maintenance_drops_the_archived_days_past_their_hot_days_and_says_why_others_stayed(hub: Hub) -> None:
    hub.land([event(number, days_ago=number % 4) for number in range(20)])
    hub.archive(TODAY - 3 * DAY)
    stayed = drop_archived_days(hub.connection, hub.folder, TODAY - DAY)
    assert list(stayed) == [TODAY - 2 * DAY]
    assert "5 rows are in PostgreSQL" in stayed[TODAY - 2 * DAY]
    assert hub.rows("select distinct (ts at time zone 'UTC')::date from events order by 1") == [
        (TODAY - 2 * DAY,),
        (YESTERDAY,),
        (TODAY,),
    ]


def test_a_day_is_put_back_by_hand_as_the_operations_page_says(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fill(hub)
    before = hub.rows("select e::text from events e order by ts, tenant, event_id")
    hub.archive()
    hub.drop()
    hub.land([event(2000)])
    hub.archive()
    hub.drop()
    page = (PROJECT_ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    (python,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (statements,) = re.findall(r"```\n(begin;.*?)```", page, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    paths = ", ".join(f"'{path}'" for path in hub.files())
    exec(python.replace("'1.parquet'", paths), {})
    hub.connection.execute("select ensure_event_partition(%s)", (YESTERDAY,))
    for line in statements.split("\n"):
        if line.startswith("\\copy"):
            copied = line.replace("\\copy", "copy").replace("'day.csv'", "stdin")
            with hub.connection.cursor() as cursor, cursor.copy(copied.encode()) as copy:
                copy.write((tmp_path / "day.csv").read_bytes())
    hub.connection.execute(b"update archive_files set dropped_at = null")
    after = hub.rows(
        "select e::text from events e where request_id is distinct from 'r2000' order by ts, tenant, event_id"
    )
    assert after == before
    assert hub.archive().file is None, "the files hold exactly what was put back"
    assert hub.drop() is None


def test_past_their_retention_files_go_with_a_line_in_the_audit_log(hub: Hub) -> None:
    hub.land([event(number, days_ago=1 + number % 2) for number in range(20)])
    hub.archive(TODAY - 2 * DAY)
    hub.archive(YESTERDAY)
    hub.drop(TODAY - 2 * DAY)
    (hub.folder / f"events/day={TODAY - 3 * DAY}").mkdir()
    assert [drop.store for drop in drop_old_events(hub.connection, YESTERDAY, hub.folder)] == ["archive"]
    assert drop_old_events(hub.connection, YESTERDAY, hub.folder) == []
    assert [path.parent.name for path in hub.files()] == [f"day={YESTERDAY}"]
    assert hub.rows("select day from archive_files") == [(YESTERDAY,)]
    audited = hub.rows("select count(*)::int from audit_log where object_type = 'retention_run'")
    assert audited == [(1,)]
    assert sorted(path.name for path in (hub.folder / "events").iterdir()) == [f"day={YESTERDAY}"]
