"""What a running hub spends: CPU by part, and what Dagster writes into its tables.

Belongs here: reading these figures. Not: printing them.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil
from psycopg import sql

from benchmarks.hub import Hub
from lah_platform.stores.embedded.process import wait_until
from lah_platform.stores.postgres import Connection
from sensors.lineage_allowance import ROWS_PER_DAY

__all__ = ["DagsterCost", "SensorTick", "cpu_seconds_by_part", "dagster_cost", "peak_rss_bytes", "sensor_ticks"]

_TICKS = "select tick_body from dagster.job_ticks where timestamp >= to_timestamp(%s) at time zone 'UTC' order by id"
_UNFINISHED = """
select count(*) from dagster.job_ticks where status = 'STARTED' and timestamp >= to_timestamp(%s) at time zone 'UTC'
"""
_ROWS = """
select count(*) filter (where run_id = ''), count(*) filter (where run_id <> ''),
       count(distinct run_id) filter (where run_id <> '')
from dagster.event_logs where timestamp >= to_timestamp(%s) at time zone 'UTC'
"""
_COPIES = """
insert into public.copied ({columns}) select {selected} from {table} e cross join generate_series(1, %s)
"""
_COPIED_ROWS = 3000
_DAY_SECONDS = 86_400
_TICK_SECONDS = 30.0
_MARTS_RUNS_A_DAY = 96  # the marts' automation asks every quarter of an hour, and finds that something has landed


@dataclass(frozen=True)
class DagsterCost:
    """Rows that were added to Dagster's event log and ticks, and what one takes with its indexes, in bytes."""

    seconds: float
    runless_rows: int
    run_rows: int
    runs: int
    event_bytes: float
    tick_rows: int
    tick_bytes: float

    @property
    def lineage_mb_a_day(self) -> float:
        """Refreshed for ever in a steady flow: what the sensor's allowance permits, at the size of a row here."""
        return ROWS_PER_DAY * self.event_bytes / 1e6

    @property
    def runs_mb_a_day(self) -> float:
        """A build of the marts every quarter of an hour, when one was run; 0.0 when none was."""
        return _MARTS_RUNS_A_DAY * self.run_rows / self.runs * self.event_bytes / 1e6 if self.runs else 0.0

    @property
    def ticks_mb_a_day(self) -> float:
        """Ticks that skip are dropped after a day, so this is about what there is."""
        return self.tick_rows / self.seconds * _DAY_SECONDS * self.tick_bytes / 1e6


@dataclass(frozen=True)
class SensorTick:
    """One evaluation of a sensor: when it began (Unix seconds), how long it took, how it ended."""

    sensor: str
    began: float
    seconds: float
    status: str
    said: str


def cpu_seconds_by_part(hub: Hub, others: Mapping[str, int]) -> dict[str, float]:
    """User and system seconds so far by part, with children that have ended; `others` are further processes."""
    return {name: _cpu_seconds(pid) for name, pid in (hub.pids() | dict(others)).items()}


def dagster_cost(connection: Connection, since: float, seconds: float, ticks: int) -> DagsterCost:
    """What Dagster wrote since the moment `since` (Unix seconds); `ticks` began in the `seconds` after it."""
    (runless, of_runs, runs) = connection.execute(_ROWS, [since]).fetchone() or (0, 0, 0)
    event_bytes, tick_bytes = _bytes_a_row(connection, "event_logs"), _bytes_a_row(connection, "job_ticks")
    return DagsterCost(seconds, runless, of_runs, runs, event_bytes, ticks, tick_bytes)


def _bytes_a_row(connection: Connection, table: str) -> float:
    """Indexes included: the rows copied until they are thousands, for a small table's size is mostly empty pages."""
    source = sql.Identifier("dagster", table)
    (rows,) = connection.execute(sql.SQL("select count(*) from {}").format(source)).fetchone() or (0,)
    if not rows:
        return 0.0
    names = [
        name
        for (name,) in connection.execute(
            "select column_name from information_schema.columns"
            " where table_schema = 'dagster' and table_name = %s and column_name <> 'id'",
            [table],
        )
    ]
    times = max(1, _COPIED_ROWS // rows)
    connection.execute(sql.SQL("create table public.copied (like {} including all)").format(source))
    try:
        statement = sql.SQL(_COPIES).format(
            columns=sql.SQL(", ").join(map(sql.Identifier, names)),
            selected=sql.SQL(", ").join(sql.SQL("e.{}").format(sql.Identifier(name)) for name in names),
            table=source,
        )
        connection.execute(statement, [times])
        (size,) = connection.execute("select pg_total_relation_size('public.copied')").fetchone() or (0,)
    finally:
        connection.execute("drop table public.copied")
    return float(size) / (rows * times)


def sensor_ticks(connection: Connection, since: float, seconds: float) -> list[SensorTick]:
    """Every evaluation that began in the `seconds` after `since` (Unix seconds), oldest first; waits for its end."""
    wait_until(
        lambda: connection.execute(_UNFINISHED, [since]).fetchone() == (0,), seconds=_TICK_SECONDS, poll_seconds=0.25
    )
    found = []
    for (body,) in connection.execute(_TICKS, [since]):
        tick = json.loads(body)
        began, ended = tick["timestamp"], tick.get("end_timestamp")
        if ended is not None and began < since + seconds:
            status = tick["status"]["__enum__"].rsplit(".")[-1]
            found.append(SensorTick(tick["job_name"], began, ended - began, status, tick.get("skip_reason") or ""))
    return found


def _cpu_seconds(pid: int) -> float:
    total = 0.0
    for process in _tree(pid):
        try:
            total += sum(process.cpu_times()[:4])  # user, system, and those of children that were waited for
        except psutil.NoSuchProcess:
            continue
    return total


def _tree(pid: int) -> list[psutil.Process]:
    first = psutil.Process(pid)
    return [first, *first.children(recursive=True)]


def peak_rss_bytes(pid: int) -> int:
    """The most a process held resident so far; 0 when it has ended."""
    try:
        text = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except (FileNotFoundError, ProcessLookupError):
        return 0
    line = next((line for line in text.splitlines() if line.startswith("VmHWM")), None)  # none: it is a zombie
    return int(line.split()[1]) * 1024 if line else 0
