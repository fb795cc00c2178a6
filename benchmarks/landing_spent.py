"""What one run of an alternative spends.

Belongs here: the record of it, and how the client's and a backend's CPU time is read. The server's meter is in
`landing_variant_server`, the table of all in `landing_alternatives`.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

__all__ = ["Alternative", "Spent", "check_rows", "cpu_seconds", "spent_by_client"]


@dataclass(frozen=True)
class Spent:
    """CPU seconds, user and system, of one run over `events` events; None where that side has no part in it."""

    events: int
    backend_seconds: float | None = None
    client_seconds: float | None = None
    wal_bytes: int | None = None
    note: str = ""


# one run; what each of its parts spent, by the name of its line in the table
Alternative = Callable[[], Mapping[str, Spent]]


def spent_by_client(events: int, spend: Callable[[], object], note: str = "") -> Spent:
    """What this process, all its threads, spends on `events` events where no server takes part."""
    started = time.process_time()
    spend()
    return Spent(events, client_seconds=time.process_time() - started, note=note)


def cpu_seconds(pid: int) -> float:
    """Of one process since it began, user and system."""
    # the scheduler's nanoseconds where there are any; cpu_times counts in hundredths of a second
    exact = Path(f"/proc/{pid}/schedstat")
    if exact.exists():
        return int(exact.read_text(encoding="ascii").split()[0]) / 1e9
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


def check_rows(name: str, found: int, wanted: int) -> None:
    """RuntimeError when an alternative did not do what it was measured for."""
    if found != wanted:
        raise RuntimeError(f"{name}: {found} of {wanted} events came in")
