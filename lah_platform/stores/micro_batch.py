"""The micro-batch: rollup ticks one after another within a time, as long as events keep landing.

Belongs here: when to merge again, when to wait and when to end. Merging itself is in `rollups`.
"""

import time
from collections.abc import Callable, Set
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Literal

from psycopg import errors

from lah_platform.rollups.windows import WINDOWS
from lah_platform.stores.postgres import Connection
from lah_platform.stores.queries import queries
from lah_platform.stores.rollups import tick

__all__ = ["Merged", "Pace", "merge_within"]

_Q = queries("stack")
_SLOWER = 1.5  # a merge may take so much longer than the one before it and still end in time
_LEAST_LOCK_MS = 100

Ended = Literal["all is merged", "time is up", "held up by a recomputation", "there is something to report"]


@dataclass(frozen=True)
class Pace:
    """How long and how often to merge, in seconds.

    `budget_seconds`: no merge begins that would probably end later. `every_seconds`: from the beginning of a merge to
    the next one's while events land at a pace that one merge can take; each merge costs the same series again, however
    few events it brings. `max_partials`: what one merge takes; while more than that waits, there is no pause.
    """

    budget_seconds: float = 25.0
    every_seconds: float = 3.0
    max_partials: int = 200_000


@dataclass
class Merged:
    """What was merged: partials, rows written and windows touched by window name, UTC days, seconds without the pauses.

    A row or window counts once a merge.
    """

    partials: int = 0
    merges: int = 0
    rows: dict[str, int] = field(default_factory=lambda: dict.fromkeys((each.name for each in WINDOWS), 0))
    windows: dict[str, int] = field(default_factory=lambda: dict.fromkeys((each.name for each in WINDOWS), 0))
    days: set[date] = field(default_factory=set)
    seconds: float = 0.0
    ended: Ended = "all is merged"


def merge_within(
    connection: Connection,
    pace: Pace,
    *,
    reports: Callable[[Set[date]], bool] = lambda _: False,
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> Merged:
    """Merge what waits, and what lands meanwhile, until nothing came for one pause or the budget is spent.

    Ends early when `reports` says of the days touched so far that they have to be reported now. Waiting for a
    recomputation counts: whatever is left of the budget is how long a lock is waited for. What is not merged stays for
    the next call. `connection` must be in autocommit mode and is left with that lock_timeout.
    """
    merged = Merged()
    until = clock() + pace.budget_seconds
    last_seconds = 0.0
    while True:
        began = clock()
        if merged.merges and began + _SLOWER * last_seconds > until:
            merged.ended = "time is up"
            return merged
        try:
            _wait_for_locks_at_most(connection, until - began)
            done = tick(connection, now=datetime.now(UTC), max_partials=pace.max_partials)
        except errors.LockNotAvailable:
            merged.ended = "held up by a recomputation"
            return merged
        if not done.partials:
            return merged
        last_seconds = clock() - began
        merged.merges += 1
        merged.partials += done.partials
        merged.seconds += last_seconds
        merged.days |= done.days
        for name, count in done.rows.items():
            merged.rows[name] += count
            merged.windows[name] += done.windows[name]
        if done.partials >= pace.max_partials:
            continue
        if reports(merged.days):
            merged.ended = "there is something to report"
            return merged
        rest = began + pace.every_seconds - clock()
        if began + pace.every_seconds + _SLOWER * last_seconds > until:
            merged.ended = "time is up"
            return merged
        if rest > 0:
            pause(rest)


def _wait_for_locks_at_most(connection: Connection, seconds: float) -> None:
    milliseconds = max(round(1000 * seconds), _LEAST_LOCK_MS)
    connection.execute(_Q["wait_for_locks_at_most"], {"lock_timeout": f"{milliseconds}ms"})
