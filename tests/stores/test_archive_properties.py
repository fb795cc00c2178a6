"""Whatever happens to a day, in whatever order: each event is in PostgreSQL or in the archive, and is counted once."""

import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from psycopg import errors

from lah_platform.errors import ArchiveError
from lah_platform.rollups.windows import WINDOWS
from lah_platform.stores.postgres import Connection
from tests.stores.archiving import TODAY, YESTERDAY, Hub, assert_rollups_say, event

_BEFORE = YESTERDAY - (TODAY - YESTERDAY)
_DAYS = (YESTERDAY, _BEFORE)
_TABLES = (
    "events, dead_letters, ledger, landing_batches, landing_offsets, rollup_partial_sets, series, archive_files,"
    " archive_arrivals, " + ", ".join(window.table for window in WINDOWS)
)
_MEASURES = (
    "latency_ms, ttft_ms, tokens_per_second, requests_per_second, score, total_requests, failed_requests,"
    " input_tokens, output_tokens, total_tokens, cost_usd"
)
_STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["land", "land", "land", "tick", "archive", "archive", "drop", "drop", "recompute"]
            + ["killed before the record", "killed while writing", "altered", "truncated"]
        ),
        st.sampled_from(_DAYS),
    ),
    min_size=3,
    max_size=14,
)


class _Life:
    """A hub, and what has been landed in it: every event once, copied when it first arrives."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        hub.connection.execute(f"truncate {_TABLES} cascade".encode())
        hub.connection.execute("create temporary table if not exists landed (like events)")
        hub.connection.execute("truncate landed")
        shutil.rmtree(hub.folder, ignore_errors=True)

    def land(self, numbers: list[int], day: date) -> None:
        self.hub.land([event(number, days_ago=1 if day == YESTERDAY else 2) for number in numbers])
        self.hub.connection.execute(
            "insert into landed select * from events e where not exists (select from landed l"
            " where (l.ts, l.tenant, l.event_id) = (e.ts, e.tenant, e.event_id))"
        )

    def drop(self, day: date) -> None:
        """Nothing happens to a day with a damaged file; PostgreSQL has its rows, and the next night writes it anew."""
        try:
            self.hub.drop(day)
        except ArchiveError as error:
            if "lah backfill events_archive" not in f"{error}":
                raise

    def kill_before_the_record(self, day: date) -> None:
        """The file is complete and in its place; the database never hears of it."""
        self.hub.connection.execute("alter table archive_files add constraint killed check (row_count < 0) not valid")
        try:
            self.hub.archive(day)
        except errors.CheckViolation:
            pass
        finally:
            self.hub.connection.execute("alter table archive_files drop constraint killed")

    def spoil(self, day: date, how: Callable[[bytes], bytes]) -> None:
        """A file of the day changes under its record; when it is all there is of its rows, it is put back."""
        recorded = self.hub.rows(f"select path, dropped_at is null from archive_files where day = '{day}' limit 1")
        for path, is_hot in recorded:
            file = self.hub.folder / path
            whole = file.read_bytes()
            file.write_bytes(how(whole))
            if not is_hot:
                with pytest.raises(ArchiveError, match="from a backup"):
                    self.hub.recompute(day)
                file.write_bytes(whole)
            elif self.hub.rows(f"select from events where (ts at time zone 'UTC')::date = '{day}'"):
                with pytest.raises(ArchiveError, match="lah backfill events_archive"):
                    self.hub.drop(day)

    def settle(self) -> None:
        """What the nights do: merge, and archive whatever is due."""
        self.hub.tick()
        for day in _DAYS:
            self.hub.archive(day)
        self.hub.tick()

    def assert_each_event_is_there_once_and_counted_once(self) -> None:
        keys = "(extract(epoch from ts) * 1000000)::bigint, tenant, event_id::text"
        landed = sorted(self.hub.rows(f"select {keys} from landed"))
        stored = self.hub.rows(f"select {keys} from events")
        recorded = self.hub.rows("select path, dropped_at is null from archive_files")
        cold, hot = (
            [key for path, is_hot in recorded if is_hot == wanted for key in _keys(self.hub.folder / path)]
            for wanted in (False, True)
        )
        assert sorted(stored + cold) == landed
        assert sorted(hot + cold) == landed, "after a night every closed day is in the archive"
        received, stored_count, duplicates = self.hub.outcomes()
        assert (stored_count, received - duplicates) == (len(landed), len(landed))
        assert self.hub.rows("select count(*) from ledger_imbalance") == [(0,)]
        with self.hub.connection.cursor() as cursor:
            cursor.execute(f"select series_id, ts, subtype, {_MEASURES} from landed".encode())
            names = [column.name for column in cursor.description or ()]
            events = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
        assert_rollups_say(self.hub.connection, events)


def _keys(path: Path) -> list[tuple[int, str, str]]:
    frame = pl.read_parquet(path, hive_partitioning=False, columns=["ts", "tenant", "event_id"])
    return frame.with_columns(pl.col("ts").dt.timestamp("us")).rows()


@hypothesis_settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(steps=_STEPS, data=st.data())
def test_landing_repeats_archiving_dropping_and_crashes_in_any_order_lose_nothing_and_double_nothing(
    steps: list[tuple[str, date]], data: st.DataObject, database: str, connection: Connection, tmp_path: Path
) -> None:
    life = _Life(Hub(database, connection, tmp_path / "archive"))
    life.land([1, 2, 3], YESTERDAY)
    if data.draw(st.booleans(), label="cold from the start"):
        life.hub.archive(YESTERDAY)
        life.hub.drop(YESTERDAY)
    for step, day in steps:
        if step == "land":
            life.land(data.draw(st.lists(st.integers(0, 12), min_size=1, max_size=6), label="numbers"), day)
        elif step == "tick":
            life.hub.tick()
        elif step == "archive":
            life.hub.archive(day)
        elif step == "drop":
            life.drop(day)
        elif step == "recompute":
            life.hub.recompute(day)
        elif step == "killed before the record":
            life.kill_before_the_record(day)
        elif step == "killed while writing":
            leftover = life.hub.folder / f"events/day={day}/1.parquet.partial"
            leftover.parent.mkdir(parents=True, exist_ok=True)
            leftover.write_bytes(b"PAR1")
        else:
            life.spoil(day, lambda whole: whole[:-1] if step == "truncated" else whole[:-1] + b"?")  # noqa: B023
    life.settle()
    life.assert_each_event_is_there_once_and_counted_once()
