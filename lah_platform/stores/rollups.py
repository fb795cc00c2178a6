"""Rollups in PostgreSQL: the tick that merges partials upward, and the recomputation that repairs whole days.

The protocol (docs/architecture.md): both hold the rollups' session lock before they begin, so nothing is counted
twice; rows that land meanwhile leave partials of their own, so nothing is lost.
"""

import logging
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import polars as pl
import psycopg
from psycopg import errors, sql

from lah_platform.errors import ConfigurationError
from lah_platform.landing.columns import from_us
from lah_platform.rollups.aggregate import metric_values
from lah_platform.rollups.aggregates import Aggregates
from lah_platform.rollups.combine import combine, merge, roll_up
from lah_platform.rollups.compare import differ
from lah_platform.rollups.metrics import METRICS, Metric
from lah_platform.rollups.values import MetricValues, aggregate
from lah_platform.rollups.windows import WINDOWS, Window
from lah_platform.stores.binary_arrays import array_cursor
from lah_platform.stores.event_values import event_values
from lah_platform.stores.live_feed import note_merged, note_recomputed
from lah_platform.stores.partial_sets import Taken
from lah_platform.stores.postgres import Connection
from lah_platform.stores.queries import queries
from lah_platform.stores.rollup_rows import copy_keys, copy_rows, read_rows

__all__ = ["ColdRows", "Tick", "Waiting", "pending", "recompute_day", "recompute_days", "tick", "waiting"]

_log = logging.getLogger("lah.rollups")
_Q = queries("rollups")
_ATTEMPTS = 5
_DAY = timedelta(days=1)
_ONE_DAY, _MINUTES = next(each for each in WINDOWS if each.name == "1d"), WINDOWS[0]
_WITHIN_A_DAY = [each for each in WINDOWS if each.source is not _ONE_DAY]
_OF_DAYS = [each for each in WINDOWS if each.source is _ONE_DAY]
_T = TypeVar("_T")

ColdRows = Callable[[Connection, datetime, datetime], pl.DataFrame | None]
"""The events of [start, end) in the columns of ROWS_SCHEMA, or None when all of them are in PostgreSQL."""


@dataclass(frozen=True)
class Tick:
    """What one tick did: rows written and windows touched per window name, UTC days, seconds taken.

    `partials` were merged into some window, `fresh` of them are new to the minutes.
    """

    partials: int
    fresh: int
    rows: Mapping[str, int]
    windows: Mapping[str, int]
    days: frozenset[date]
    seconds: float


@dataclass(frozen=True)
class Waiting:
    """How many partials are not in all windows yet, whether the minutes lack some, and the longer windows only."""

    partials: int
    for_minutes: bool
    for_longer: bool


@contextmanager
def _rollup_lock(connection: Connection) -> Iterator[None]:
    connection.execute(_Q["lock"])
    try:
        yield
    finally:
        if not connection.closed:
            connection.execute(_Q["unlock"])


def _retried(attempt: Callable[[], _T]) -> _T:
    for left in range(_ATTEMPTS - 1, -1, -1):
        try:
            return attempt()
        except (errors.SerializationFailure, errors.DeadlockDetected) as error:
            if not left:
                raise
            _log.info("rollups try again after %s", error.sqlstate)
    raise AssertionError("unreachable")


def tick(connection: Connection, *, now: datetime, max_partials: int = 200_000, minutes_only: bool = False) -> Tick:
    """Merge the oldest partials into all eight windows, in one transaction: `max_partials`, to the end of their set.

    With `minutes_only` into minutes, an eighth of the work, and a later tick merges them into the longer windows.
    `connection` must be in autocommit mode; `now` (UTC) becomes computed_at.
    """
    started = time.monotonic()
    query = _Q["take_minutes" if minutes_only else "take_partials"]

    def attempt() -> tuple[Taken, dict[str, int]]:
        with _working(connection):
            taken = Taken.of(array_cursor(connection).execute(query, {"limit": max_partials}).fetchall())
            merged, window_of, rows = _merge_in(connection, taken.levels(minutes_only=minutes_only), now)
            note_merged(connection, merged, window_of)
            return taken, rows

    with _rollup_lock(connection):
        taken, rows = _retried(attempt)
    starts_us = np.unique(np.concatenate([taken.fresh.starts_us, taken.in_minutes.starts_us]))
    touched = {each.name: np.unique(each.floor_us(starts_us)) for each in WINDOWS}
    return Tick(
        partials=len(taken.fresh) + len(taken.in_minutes),
        fresh=len(taken.fresh),
        rows=rows,
        windows={name: len(starts) if rows[name] else 0 for name, starts in touched.items()},
        days=frozenset(from_us(start).date() for start in touched[_ONE_DAY.name].tolist()),
        seconds=time.monotonic() - started,
    )


def recompute_days(
    connection: Connection,
    start: date,
    end: date,
    *,
    now: datetime,
    metrics: Collection[Metric] = METRICS,
    cold_rows: ColdRows | None = None,
    on_day: Callable[[date], None] = lambda _: None,
) -> Mapping[str, int]:
    """Recompute every UTC day of [start, end); returns rows written per window name. `on_day` hears of each day."""
    total = dict.fromkeys((each.name for each in WINDOWS), 0)
    for offset in range((end - start).days):
        day = start + offset * _DAY
        for name, rows in recompute_day(connection, day, now=now, metrics=metrics, cold_rows=cold_rows).items():
            total[name] += rows
        on_day(day)
    return total


def recompute_day(
    connection: Connection,
    day: date,
    *,
    now: datetime,
    metrics: Collection[Metric] = METRICS,
    cold_rows: ColdRows | None = None,
) -> Mapping[str, int]:
    """Replace the day's rows of 1m to 1d by what its events say, and rebuild its week and month from stored days.

    `metrics`: only their rows. `cold_rows` reads days whose events are no longer in PostgreSQL. A row whose values do
    not change, but for the rounding of another order of adding, keeps its revision. Rows of metrics that this version
    does not know stay. One repeatable-read transaction; safe beside landing and ticks.

    Raises ConfigurationError when retention has dropped the day's events: its rollups are all that is left of them.
    """
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    numbers = [number for number, metric in enumerate(METRICS) if metric in metrics]

    def attempt() -> dict[str, int]:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        try:
            with _working(connection):
                others, window_of, rows = _merge_in(
                    connection, _partials_of_others(connection, start, numbers).levels(), now
                )
                changed = {each.name: [others.series_ids[window_of == n]] for n, each in enumerate(WINDOWS)}
                events = _event_values(connection, start, metrics, cold_rows)
                levels = roll_up(Aggregates.concat([aggregate(values) for values in events]))
                for each in _WITHIN_A_DAY:
                    changed[each.name].append(
                        _replace(connection, each, levels[each.name], start, start + _DAY, metrics, now)
                    )
                for each in _OF_DAYS:
                    first, end = each.floor(start), each.end(each.floor(start))
                    days, _ = read_rows(connection, [(0, _period(_ONE_DAY, first, end))], _named(metrics))
                    changed[each.name].append(_replace(connection, each, merge(days, each), first, end, metrics, now))
                for each in WINDOWS:
                    rows[each.name] += len(changed[each.name][-1])
                    names = [other.name for other in (METRICS if len(others) else metrics)]
                    first, end = each.floor(start), max(start + _DAY, each.end(each.floor(start)))
                    note_recomputed(connection, each, first, end, np.concatenate(changed[each.name]), names)
                return rows
        finally:
            connection.isolation_level = None

    with _rollup_lock(connection):
        return _retried(attempt)


def waiting(connection: Connection) -> Waiting:
    """What a tick would find."""
    return Waiting(*(connection.execute(_Q["waiting"]).fetchone() or (0, False, False)))


def pending(connection: Connection) -> int:
    """How many partials are not in all windows yet."""
    return waiting(connection).partials


@contextmanager
def _working(connection: Connection) -> Iterator[None]:
    """A transaction with the rollups' scratch tables, empty."""
    connection.execute(_Q["make_keys"])
    connection.execute(_Q["make_stage"])
    with connection.transaction():
        connection.execute(_Q["plan_by_key"])
        yield


def _merge_in(
    connection: Connection, levels: Sequence[Aggregates], now: datetime
) -> tuple[Aggregates, npt.NDArray[np.int64], dict[str, int]]:
    """Merge into each window what it lacks; returns the rows, the window of each, and how many per window name."""
    rows = dict.fromkeys((each.name for each in WINDOWS), 0)
    deltas = Aggregates.concat(levels)
    if not len(deltas):
        return deltas, np.empty(0, np.int64), rows
    delta_windows = np.repeat(np.arange(len(WINDOWS)), [len(each) for each in levels])
    copy_keys(connection, deltas, delta_windows)
    touched = [
        (number, _query("rows_of_keys", WINDOWS[number], number)) for number in np.unique(delta_windows).tolist()
    ]
    stored, stored_windows = read_rows(connection, touched)
    part_windows = np.concatenate([stored_windows, delta_windows])
    merged, group_of = combine(Aggregates.concat([stored, deltas]), part_windows)
    window_of = np.empty(len(merged), np.int64)
    window_of[group_of] = part_windows
    is_stored = np.zeros(len(merged), np.bool_)
    is_stored[group_of[: len(stored)]] = True
    _update(connection, merged, window_of, np.flatnonzero(is_stored), now)
    for number, each in enumerate(WINDOWS):
        of_window = window_of == number
        copy_rows(connection, each.table, merged.take(np.flatnonzero(of_window & ~is_stored)), None, now)
        rows[each.name] = int(of_window.sum())
    return merged, window_of, rows


def _partials_of_others(connection: Connection, start: datetime, numbers: list[int]) -> Taken:
    """Remove the day's partials, and return those of metrics that are not recomputed: they have to be merged."""
    period = {"start": start, "end": start + _DAY}
    if len(numbers) == len(METRICS):
        connection.execute(_Q["drop_pending_partials"], period)
        return Taken.of([])
    taken = Taken.of(array_cursor(connection).execute(_Q["take_partials_of_days"], period).fetchall())
    return taken.only(set(range(len(METRICS))) - set(numbers))


def _event_values(
    connection: Connection, start: datetime, metrics: Collection[Metric], cold_rows: ColdRows | None
) -> Iterator[list[MetricValues]]:
    cold = cold_rows(connection, start, start + _DAY) if cold_rows is not None else None
    if cold is not None:
        yield [values for values in metric_values(cold) if values.metric in metrics]
        return
    if connection.execute(_Q["outlives_its_events"], {"day": start.date(), "start": start}).fetchone() == (True,):
        raise ConfigurationError(
            f"The events of {start.date()} are no longer kept: computing its rollups again would empty them",
            "Name a later day, or put its events back first (docs/operations.md)",
        )
    yield from event_values(connection, start, start + _DAY, metrics)


def _replace(
    connection: Connection,
    to: Window,
    groups: Aggregates,
    start: datetime,
    end: datetime,
    metrics: Collection[Metric],
    now: datetime,
) -> npt.NDArray[np.int64]:
    """Make the metrics' rows that start in [start, end) equal to `groups`; returns the series of each that changed."""
    stored, _ = read_rows(connection, [(0, _period(to, start, end))], _named(metrics))
    both = Aggregates.concat([stored, groups])
    _, group_of = combine(both)
    place_of = np.full(len(both), -1)
    place_of[group_of[: len(stored)]] = np.arange(len(stored))
    counterpart = place_of[group_of[len(stored) :]]
    is_there = np.flatnonzero(counterpart >= 0)
    changed = is_there[differ(groups.take(is_there), stored.take(counterpart[is_there]))]
    added = np.flatnonzero(counterpart < 0)
    gone = np.setdiff1d(np.arange(len(stored)), counterpart)
    number = WINDOWS.index(to)
    _update(connection, groups, np.full(len(groups), number), changed, now)
    copy_rows(connection, to.table, groups.take(added), None, now)
    if len(gone):
        connection.execute("truncate rollup_keys")
        copy_keys(connection, stored.take(gone), np.full(len(gone), number))
        connection.execute(_query("delete_rows", to, number))
    return np.concatenate([groups.series_ids[changed], groups.series_ids[added], stored.series_ids[gone]])


def _update(
    connection: Connection,
    groups: Aggregates,
    window_of: npt.NDArray[np.int64],
    places: npt.NDArray[np.intp],
    now: datetime,
) -> None:
    """Give the rows that are there the values of those groups, as their next revision."""
    if not len(places):
        return
    connection.execute("truncate rollup_stage")
    copy_rows(connection, "rollup_stage", groups.take(places), window_of[places], now)
    for number in np.unique(window_of[places]).tolist():
        connection.execute(_query("update_rows", WINDOWS[number], number))


def _query(name: str, of: Window, number: int) -> sql.Composed:
    return sql.SQL(_Q[name].decode()).format(table=sql.Identifier(of.table), number=sql.Literal(number))


def _period(of: Window, start: datetime, end: datetime) -> sql.Composed:
    return sql.SQL(_Q["rows_of_period"].decode()).format(
        table=sql.Identifier(of.table), start=sql.Literal(start), end=sql.Literal(end)
    )


def _named(metrics: Collection[Metric]) -> dict[str, Any]:
    return {"metrics": [metric.name for metric in metrics]}
