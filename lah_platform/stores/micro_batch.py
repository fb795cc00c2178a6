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
from lah_platform.stores.rollups import Tick, tick, waiting

__all__ = ["Merged", "Pace", "merge_within"]

_Q = queries("stack")
_SLOWER = 1.5  # a merge may take so much longer than the one before it and still end in time
_LEAST_LOCK_MS = 100

Ended = Literal["all is merged", "time is up", "held up by a recomputation", "there is something to report"]


@dataclass(frozen=True)
class Pace:
    """How long and how often to merge, in seconds.

    `budget_seconds`: no merge begins that would probably end later. `every_seconds`: from the beginning of a merge of
    minutes to the next one's; each merge costs the same series again, however few events it brings, so a slow one is
    followed by as long a rest, as long as that does not make it `seldom_seconds`. `whole_seconds`: the seven longer
    windows, seven eighths of the work, are merged so seldom. `idle_seconds`: all is merged when nothing came for so
    long. `max_partials`: what one merge takes; while more waits, all windows are merged at once without a pause.
    """

    budget_seconds: float = 40.0
    every_seconds: float = 1.5
    seldom_seconds: float = 3.0
    whole_seconds: float = 10.0
    idle_seconds: float = 3.0
    max_partials: int = 200_000

    def next_after(self, began: float, took: float) -> float:
        """When the merge after one that began then and took so long may begin."""
        return began + max(self.every_seconds, min(2 * took, self.seldom_seconds))


@dataclass
class Merged:
    """What was merged: partials, rows written and windows touched by window name, UTC days, seconds without the pauses.

    A partial counts once, when the minutes have it; a row or window once a merge.
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
    after_all: Callable[[Set[date]], bool] = lambda _: False,
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> Merged:
    """Merge what waits, and what lands meanwhile, until nothing came for a while or the budget is spent.

    `after_all` hears the days touched so far after each merge of all windows; it ends when that says that they have to
    be reported now. Waiting for a recomputation counts: whatever is left of the budget is how long a lock is waited
    for. What is not merged stays for the next call. `connection` must be in autocommit mode and is left with that
    lock_timeout.
    """
    merged = Merged()
    began = found_at = clock()
    until = began + pace.budget_seconds
    took = {True: 0.0, False: 0.0}
    found = waiting(connection)
    is_behind = found.partials >= pace.max_partials
    whole_at = began if found.for_longer else began + pace.whole_seconds / 2
    while True:
        waits = waiting(connection).for_minutes
        is_idle = not waits and (not merged.merges or began - found_at >= pace.idle_seconds)
        is_whole = is_idle or is_behind or began >= whole_at
        if merged.merges and began + _SLOWER * took[is_whole] > until:
            merged.ended = "time is up"
            return merged
        if waits or is_whole:
            try:
                _wait_for_locks_at_most(connection, until - began)
                now = datetime.now(UTC)
                done = tick(connection, now=now, max_partials=pace.max_partials, minutes_only=not is_whole)
            except errors.LockNotAvailable:
                merged.ended = "held up by a recomputation"
                return merged
            ended = clock()
            took[is_whole] = ended - began
            _add(merged, done, ended - began)
            is_behind = done.partials >= pace.max_partials
            if done.fresh:
                found_at = ended
            elif is_idle and not is_behind:
                return merged
            if is_whole:
                whole_at = began + pace.whole_seconds
                if after_all(merged.days) and not is_behind:
                    merged.ended = "there is something to report"
                    return merged
            next_at = pace.next_after(began, ended - began)
        else:
            next_at = began + pace.every_seconds
        if not is_behind:
            if next_at + _SLOWER * took[False] > until:
                merged.ended = "time is up"
                return merged
            if (rest := next_at - clock()) > 0:
                pause(rest)
        began = clock()


def _add(merged: Merged, done: Tick, seconds: float) -> None:
    if not done.partials:
        return
    merged.merges += 1
    merged.partials += done.fresh
    merged.seconds += seconds
    merged.days |= done.days
    for name, count in done.rows.items():
        merged.rows[name] += count
        merged.windows[name] += done.windows[name]


def _wait_for_locks_at_most(connection: Connection, seconds: float) -> None:
    milliseconds = max(round(1000 * seconds), _LEAST_LOCK_MS)
    connection.execute(_Q["wait_for_locks_at_most"], {"lock_timeout": f"{milliseconds}ms"})
