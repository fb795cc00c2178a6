"""Eight windows with percentiles: what ours cost, first pass and live ticks, beside reading the events once, plain SQL,
TimescaleDB's continuous aggregates, DuckDB and ClickHouse.

The events are the requests of the real traces' clients at their own rates, three events a request, over the end of a
day, a week and a month. They are landed minute by minute by landing's own code, with a tick after each minute.

`ours` is what all eight windows cost as they come about: making and writing the partial rollups of every batch, and one
tick that merges all of them. What computing them again from the events takes (a backfill) is among the scores.
"""

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from psycopg import sql

from benchmarks.landing_peers import PeerMissing, environment
from benchmarks.landing_prepared import PARTITION, SeriesIds, records_of
from benchmarks.report import progress, report, seconds_of
from benchmarks.rollups_late import by_touched_windows, late_event_ms
from benchmarks.rollups_sql import continuous_aggregates, plain_sql
from benchmarks.rollups_workload import generate
from lah_platform.landing.batch import prepare
from lah_platform.landing.fast_lane import FastLane
from lah_platform.landing.kinds import kinds, partials
from lah_platform.landing.shapes import ShapeBook
from lah_platform.rollups.windows import WINDOWS
from lah_platform.settings import settings
from lah_platform.stack.landing_process import decode_now
from lah_platform.stores.embedded.ports import unused_port
from lah_platform.stores.embedded.postgres import EmbeddedPostgres
from lah_platform.stores.landing import PostgresLanding
from lah_platform.stores.migrations import has_timescaledb, migrate
from lah_platform.stores.partial_sets import SET_COLUMNS, partial_copy
from lah_platform.stores.postgres import Connection, connect
from lah_platform.stores.queries import queries
from lah_platform.stores.rollups import recompute_days, tick

_BATCH_ROWS = 20_000
_SEED = 20260531
_START = datetime(2026, 5, 31, 23, 50, tzinfo=UTC)  # a Sunday: a day, a week and a month end ten minutes later
_SERIES_LIMIT = 100_000
_LEFT_SECONDS = 45.0


@dataclass
class Landed:
    """What landing and ticking minute by minute took, in seconds of the wall."""

    events: int = 0
    landing: list[float] = field(default_factory=list)
    ticks: list[float] = field(default_factory=list)
    partials: float = 0.0
    streams: list[bytes] = field(default_factory=list)
    """Every batch's partial rollups as they are written, and the seconds that making them took."""
    first_pass_us: dict[int, float] = field(default_factory=dict)
    """µs an event of computing everything again, by how many events there were."""


class Server:
    """A PostgreSQL server for the run: an embedded one, or the named one's superuser URL."""

    def __init__(self, url: str) -> None:
        self.url = url

    @contextmanager
    def database(self, name: str) -> Iterator[str]:
        """The URL of a migrated database of this run's own, dropped at the end."""
        named = f"lah_bench_{os.getpid()}_{name}"
        with connect(self.url) as admin:
            admin.execute(sql.SQL("create database {}").format(sql.Identifier(named)))
            try:
                url = self.url.rsplit("/", 1)[0] + "/" + named
                with connect(url) as connection:
                    migrate(connection)
                yield url
            finally:
                admin.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(named)))


def _land(url: str, *, minutes: int, folder: Path, split: int, sizes: Sequence[int]) -> Landed:
    """Land and tick minute by minute; after each minute of `sizes` compute everything again as well."""
    done = Landed()
    received_at = _START + timedelta(hours=1)
    lane, series = FastLane(ShapeBook()), SeriesIds()
    with closing(PostgresLanding(url, series_limit=_SERIES_LIMIT)) as store, connect(url) as connection:
        at = store.adopt(PARTITION, 0)
        made = generate(minutes, start=_START, folder=folder, seed=_SEED, split=split)
        for minute, messages in enumerate(made, 1):
            values = [value for _, value in messages]
            started = time.perf_counter()
            batches = []
            for first in range(0, len(values), _BATCH_ROWS):
                records = records_of(values[first : first + _BATCH_ROWS], at)
                batches.append(
                    prepare(records, {PARTITION: at}, decoder=decode_now, received_at=received_at, lane=lane)
                )
                store.land(batches[-1])
                at += len(records)
            done.landing.append(time.perf_counter() - started)
            for batch in batches:
                by_kind = kinds(batch.events)
                started = time.perf_counter()
                done.streams.append(partial_copy(partials(by_kind, series)))
                done.partials += time.perf_counter() - started
            done.ticks.append(seconds_of(lambda: tick(connection, now=received_at)))
            done.events += len(values)
            if minute in sizes:
                done.first_pass_us[done.events] = _first_pass(connection) / done.events * 1e6
            progress(f"{done.events:,} events, {done.landing[-1]:.2f} s to land, {done.ticks[-1]:.2f} s to tick")
    return done


def _as_they_come(connection: Connection, done: Landed) -> float:
    """Seconds of all windows by partials: making them, writing them, merging them."""
    _empty(connection)
    copy_in = sql.SQL("copy rollup_partial_sets ({}) from stdin (format binary)").format(
        sql.SQL(", ").join(map(sql.Identifier, SET_COLUMNS))
    )

    def write() -> None:
        with connection.transaction():
            for stream in done.streams:
                with connection.cursor() as cursor, cursor.copy(copy_in) as copy:
                    copy.write(stream)

    written = seconds_of(write)
    merged = seconds_of(lambda: tick(connection, now=datetime.now(UTC), max_partials=10**9))
    progress(f"partials: {done.partials:.2f} s to make, {written:.2f} s to write, {merged:.2f} s to merge")
    return done.partials + written + merged


def _empty(connection: Connection) -> None:
    tables = sql.SQL(", ").join(sql.Identifier(each.table) for each in WINDOWS)
    connection.execute(sql.SQL("truncate {}").format(tables))
    connection.execute("vacuum (analyze) events")
    connection.execute("checkpoint")


def _first_pass(connection: Connection) -> float:
    """Seconds of all windows from the events, into empty tables."""
    _empty(connection)
    end = _START.date() + timedelta(days=2)
    return seconds_of(lambda: recompute_days(connection, _START.date(), end, now=datetime.now(UTC)))


def _shares_of_raw(connection: Connection) -> tuple[float, float]:
    """Bytes of 1m and of all rollup tables, as shares of the bytes of events, indexes included."""

    def size(name: str) -> float:
        row = connection.execute(
            "select sum(pg_total_relation_size(oid)) from pg_class where oid = %(name)s::regclass or oid in"
            " (select inhrelid from pg_inherits where inhparent = %(name)s::regclass)",
            {"name": name},
        ).fetchone()
        assert row is not None
        return float(row[0])

    raw, rollups = size("lah.events"), [size(f"lah.{each.table}") for each in WINDOWS]
    return rollups[0] / raw, sum(rollups) / raw


def _peers(url: str, *, may_install: bool) -> dict[str, list[float]]:
    """Seconds of reading once, of DuckDB and of ClickHouse. Raises PeerMissing."""
    python = environment(may_install=may_install, seconds=180)
    query = queries("rollups")["event_rows"].decode()
    period = {"start": _START - timedelta(days=1), "end": _START + timedelta(days=2)}
    with tempfile.TemporaryDirectory() as folder, connect(url) as connection:
        text = sql.SQL(
            query.replace("%(start)s", "{start}").replace("%(end)s", "{end}").replace("from events", "from lah.events")
        ).format(**{name: sql.Literal(value) for name, value in period.items()})
        job = {"url": url, "folder": folder, "query": text.as_string(connection)}
        script = Path(__file__).parent / "peers" / "read_and_aggregate.py"
        done = subprocess.run(
            [str(python), str(script)], env=os.environ | {"PEER": json.dumps(job)}, capture_output=True, text=True
        )
    if done.returncode:
        raise PeerMissing(done.stderr.strip().splitlines()[-1])
    found: dict[str, list[float]] = json.loads(done.stdout.splitlines()[-1])
    return found


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.rollups",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Example: python -m benchmarks.rollups --quick --json",
    )
    parser.add_argument("--quick", action="store_true", help="within a minute: two minutes of events, no plain SQL")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    parser.add_argument("--minutes", type=int, help="minutes of events, 180,000 to 250,000 each (default 28)")
    parser.add_argument("--database", help="URL of a server's superuser; default: an embedded server")
    chosen = parser.parse_args()
    chosen.minutes = chosen.minutes or (2 if chosen.quick else 28)
    chosen.seconds = 55.0 if chosen.quick else 590.0
    return chosen


def _run(server: Server, chosen: argparse.Namespace, folder: Path) -> None:
    started = time.monotonic()
    sizes = sorted({max(chosen.minutes // 4, 1), max(chosen.minutes // 2, 1), chosen.minutes})
    references: dict[str, float] = {}
    scores: dict[str, float] = {}
    with server.database("rollups") as url, connect(url) as connection:
        done = _land(url, minutes=chosen.minutes, folder=folder, split=1, sizes=sizes)
        recomputed = done.first_pass_us[done.events] * done.events / 1e6
        for events, us in done.first_pass_us.items():
            scores[f"recomputed_{events}_events_us_per_event"] = us
        scores["tick_share_of_landing"] = sum(done.ticks) / sum(done.landing)
        scores["rollup_1m_share_of_raw"], scores["rollup_share_of_raw"] = _shares_of_raw(connection)
        ours = _as_they_come(connection, done)
        try:
            peers = _peers(url, may_install=not chosen.quick)
            names = {"read": "one_read", "duckdb": "duckdb", "chdb": "chdb"}
            references |= {names[name]: statistics.median(taken) for name, taken in peers.items()}
        except PeerMissing as error:
            progress(f"skipped one_read, duckdb and chdb: {error}")
        if has_timescaledb(connection):
            references["timescaledb"], has_percentiles = continuous_aggregates(connection)
            scores["timescaledb_has_percentiles"] = float(has_percentiles)
        else:
            progress("skipped timescaledb: the server does not offer the extension")
        scores["late_event_ms"], scores["late_event_most_ms"] = late_event_ms(url)
        scores |= by_touched_windows(url)
        if chosen.quick:
            progress("skipped sql: it takes minutes")
        else:
            references["sql"] = plain_sql(connection)
    left = chosen.seconds - (time.monotonic() - started)
    minutes = max(chosen.minutes // 4, 1)
    if left > _LEFT_SECONDS * minutes / 5 or chosen.quick:
        with server.database("many") as url, connect(url) as connection:
            many = _land(url, minutes=minutes, folder=folder, split=10, sizes=[minutes])
            scores["ten_times_series_tick_share_of_landing"] = sum(many.ticks) / sum(many.landing)
            scores["ten_times_series_recomputed_us_per_event"] = many.first_pass_us[many.events]
            scores["ten_times_series_1m_share_of_raw"], scores["ten_times_series_share_of_raw"] = _shares_of_raw(
                connection
            )
    else:
        progress("skipped ten times the series: the time is over")
    scores |= {f"recomputed_against_{name}": seconds / recomputed for name, seconds in references.items()}
    report(
        "rollups",
        [done.events / ours],
        {name: [done.events / seconds] for name, seconds in references.items()},
        unit="events/s, one pass each",
        as_json=chosen.json,
        scores=scores,
    )


def main() -> None:
    """Run it and print it."""
    chosen = _options()
    folder = settings().traces_dir()
    if folder is None:
        sys.exit("The real traces are not on this machine: set LAH_TRACES to their folder")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if chosen.database:
        _run(Server(chosen.database), chosen, folder)
        return
    with tempfile.TemporaryDirectory() as home:
        embedded = EmbeddedPostgres(Path(home) / "postgres", port=unused_port())
        embedded.start()
        try:
            _run(Server(embedded.url), chosen, folder)
        finally:
            embedded.destroy()


if __name__ == "__main__":
    main()
