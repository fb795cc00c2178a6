"""Our side: real `lah land` processes, from an empty table to the last record of the topic committed.

The clock starts when the last partition is adopted, which is a moment before the first message is received (counted
against us), and ends when the database's own offsets, looked at every 10 ms, cover the topic.
"""

import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.landing_services import PARTITIONS, Services
from lah_platform.settings import TELEMETRY_OFF
from lah_platform.stores.embedded.process import Child
from lah_platform.stores.postgres import Connection

__all__ = ["Landed", "cpu_seconds_of", "landing", "measure", "wait_adopted", "wait_landed"]

_POLL_SECONDS = 0.01
_START_SECONDS = 60.0


@dataclass(frozen=True)
class Landed:
    """One turn: `seconds` from the first message to the last commit, CPU user and system of that time."""

    events: int
    seconds: float
    cpu_seconds: float
    backend_cpu_seconds: float | None
    peak_rss_mb: float
    transactions: int
    duplicates: int
    dead_letters: int

    @property
    def rate(self) -> float:
        return self.events / self.seconds

    @property
    def batch_rows(self) -> float:
        return self.events / self.transactions


@contextmanager
def landing(
    services: Services, topic: str, *, processes: int = 1, settings: Mapping[str, str] | None = None
) -> Iterator[list[Child]]:
    """`lah land` on the topic, started and at the end stopped; `settings` are further LAH_ variables, in lower case."""
    # the measured program is configured by what is named here and nothing of the caller's own LAH_ variables
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("LAH_")}
    told = {
        "LAH_HOME": str(services.folder / "home"),
        "LAH_DATABASE_URL": services.database_url,
        "LAH_KAFKA_BOOTSTRAP": services.bootstrap,
        "LAH_TOPIC": topic,
        "LAH_TOPIC_PARTITIONS": str(PARTITIONS),
    } | {f"LAH_{name.upper()}": value for name, value in (settings or {}).items()}
    command = [sys.executable, "-m", "lah_platform.cli", "land"]
    with ExitStack() as stack:
        children = []
        for number in range(processes):
            log = services.folder / f"landing-{topic}-{number}.log"
            child = Child("lah land", command, log=log, env=inherited | TELEMETRY_OFF | told)
            stack.callback(child.stop, seconds=15)
            children.append(child)
        yield children


def measure(
    services: Services, topic: str, events: int, *, seconds: float = 240, settings: Mapping[str, str] | None = None
) -> Landed:
    """Land the filled topic from its beginning with one process. Raises RuntimeError when it does not balance."""
    with services.connect() as connection:
        with landing(services, topic, settings=settings) as children:
            (child,) = children
            wait_adopted(connection, topic, children)
            started = time.monotonic()
            before = _cpu_seconds(_tree(child.pid) + _backends(services, connection))
            ended = wait_landed(connection, topic, events, children, seconds=seconds)
            tree, backends = _tree(child.pid), _backends(services, connection)
            after = _cpu_seconds(tree + backends)
            peak = sum(_peak_rss_bytes(pid) for pid in tree)
        received, duplicates, dead = _ledger(connection, topic)
        if received != events:
            raise RuntimeError(f"{received} of {events} messages are in the ledger of topic {topic}")
        row = connection.execute(
            "select count(distinct xmin::text) from landing_batches where topic = %s", [topic]
        ).fetchone()
    return Landed(
        events,
        ended - started,
        sum(after[pid] - before.get(pid, 0.0) for pid in tree if pid in after),
        sum(after[pid] - before.get(pid, 0.0) for pid in backends if pid in after) if backends else None,
        peak / 1e6,
        int(row[0]) if row else 0,
        duplicates,
        dead,
    )


def wait_adopted(connection: Connection, topic: str, children: list[Child]) -> None:
    """Until every partition has its row in landing_offsets. Raises RuntimeError when a process ends before."""
    deadline = time.monotonic() + _START_SECONDS
    query = "select count(*) from landing_offsets where topic = %s"
    while connection.execute(query, [topic]).fetchone() != (PARTITIONS,):
        _check(children, deadline, "adopted its partitions")
        time.sleep(_POLL_SECONDS)


def wait_landed(
    connection: Connection, topic: str, events: int, children: list[Child], *, seconds: float = 240
) -> float:
    """Until the stored offsets add up to `events`; returns that moment (monotonic)."""
    deadline = time.monotonic() + seconds
    query = "select coalesce(sum(next_offset), 0)::bigint from landing_offsets where topic = %s"
    while (row := connection.execute(query, [topic]).fetchone()) is None or row[0] < events:
        _check(children, deadline, f"landed {events} messages")
        time.sleep(_POLL_SECONDS)
    return time.monotonic()


def _check(children: list[Child], deadline: float, what: str) -> None:
    for child in children:
        if child.return_code is not None:
            raise RuntimeError(f"lah land ended with status {child.return_code}: {child.log_tail()}")
        if time.monotonic() > deadline:
            raise RuntimeError(f"lah land has not {what} in time: {child.log_tail()}")


def _ledger(connection: Connection, topic: str) -> tuple[int, int, int]:
    row = connection.execute(
        "select coalesce(sum(received), 0)::bigint, coalesce(sum(duplicate), 0)::bigint,"
        " coalesce(sum(dead_lettered), 0)::bigint from ledger"
        " where topic = %s and received = stored + duplicate + dead_lettered",
        [topic],
    ).fetchone()
    assert row is not None
    return row[0], row[1], row[2]


def _tree(pid: int) -> list[int]:
    process = psutil.Process(pid)
    return [pid, *(child.pid for child in process.children(recursive=True))]


def _backends(services: Services, connection: Connection) -> list[int]:
    if not services.is_local:
        return []
    rows = connection.execute(
        "select pid from pg_stat_activity where application_name like 'lah-landing%' and datname = current_database()"
    )
    return [pid for (pid,) in rows if psutil.pid_exists(pid)]


def cpu_seconds_of(pid: int) -> float:
    """User and system seconds so far of the process and everything below it."""
    return sum(_cpu_seconds(_tree(pid)).values())


def _cpu_seconds(pids: list[int]) -> dict[int, float]:
    """User and system seconds of each process so far; one that has ended is left out."""
    spent = {}
    for pid in pids:
        try:
            times = psutil.Process(pid).cpu_times()
        except psutil.NoSuchProcess:
            continue
        spent[pid] = times.user + times.system
    return spent


def _peak_rss_bytes(pid: int) -> int:
    status = Path(f"/proc/{pid}/status")
    if not status.exists():  # not Linux: what it holds now is the best there is
        return int(psutil.Process(pid).memory_info().rss)
    line = next(line for line in status.read_text(encoding="ascii").splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024
