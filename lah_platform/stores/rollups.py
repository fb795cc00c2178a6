"""Rollups in PostgreSQL: the tick that merges partials upward, and the recomputation that repairs whole days.

The protocol (docs/architecture.md): both hold the rollups' session lock before they begin, so nothing is counted
twice; rows that land meanwhile leave partials of their own, so nothing is lost.
"""

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TypeVar

import polars as pl
import psycopg
from psycopg import errors, sql

from lah_platform.rollups.aggregate import AGGREGATE_SCHEMA, ROWS_SCHEMA, aggregate_minutes, merge, with_measures
from lah_platform.rollups.histogram import PERCENTILES
from lah_platform.rollups.windows import WINDOWS, Window, window
from lah_platform.stores.frames import copy_frame, read_frame
from lah_platform.stores.partial_sets import partials_frame
from lah_platform.stores.postgres import Connection
from lah_platform.stores.queries import queries

__all__ = ["Tick", "advance_watermark", "pending", "recompute_day", "recompute_days", "tick"]

_log = logging.getLogger("lah.rollups")
_Q = queries("rollups")
_ROW_COLUMNS = [*AGGREGATE_SCHEMA, *PERCENTILES]
_COLUMNS = sql.SQL(", ").join(map(sql.Identifier, _ROW_COLUMNS))
_KEY = ("bucket_start", "series_id", "metric")
_ATTEMPTS = 5
_DAY = timedelta(days=1)
_T = TypeVar("_T")


@dataclass(frozen=True)
class Tick:
    """What one tick did: partials merged, rows written per window name, UTC days touched, seconds taken."""

    partials: int
    rows: Mapping[str, int]
    days: frozenset[date]
    seconds: float


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


def tick(connection: Connection, *, now: datetime, max_partials: int = 50_000) -> Tick:
    """Merge the oldest partials into all eight windows, in one transaction: `max_partials`, to the end of their set.

    `connection` must be in autocommit mode; `now` (UTC) becomes computed_at.
    """
    started = time.monotonic()

    def attempt() -> tuple[int, dict[str, int], frozenset[date]]:
        connection.execute(_Q["stage"])
        with connection.transaction():
            taken = connection.cursor(binary=True).execute(_Q["take_partials"], {"limit": max_partials}).fetchall()
            partials = partials_frame(taken)
            if partials.is_empty():
                return 0, {}, frozenset()
            deltas: dict[str, pl.DataFrame] = {}
            rows = {}
            for each in WINDOWS:
                deltas[each.name] = merge(partials if each.source is None else deltas[each.source.name], each)
                _stage(connection, with_measures(deltas[each.name]))
                stored = read_frame(connection, _touched(each), schema=AGGREGATE_SCHEMA)
                rows[each.name] = _write(connection, each, merge(pl.concat([stored, deltas[each.name]]), each), now)
            days = deltas["1d"].get_column("bucket_start").dt.date().unique()
            return partials.height, rows, frozenset(days.to_list())

    with _rollup_lock(connection):
        merged, rows, days = _retried(attempt)
    return Tick(merged, rows, days, time.monotonic() - started)


def recompute_days(connection: Connection, start: date, end: date, *, now: datetime) -> Mapping[str, int]:
    """Recompute every UTC day of [start, end); returns rows written per window name."""
    total = dict.fromkeys((each.name for each in WINDOWS), 0)
    for offset in range((end - start).days):
        for name, rows in recompute_day(connection, start + offset * _DAY, now=now).items():
            total[name] += rows
    return total


def recompute_day(connection: Connection, day: date, *, now: datetime) -> Mapping[str, int]:
    """Replace the day's rows of 1m to 1d by what its events say, and rebuild its week and month from stored days.

    A row whose values do not change keeps its revision. One repeatable-read transaction; safe beside landing and ticks.
    """
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    period = {"start": start, "end": start + _DAY}

    def attempt() -> dict[str, int]:
        connection.execute(_Q["stage"])
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        try:
            with connection.transaction():
                connection.execute(_Q["drop_pending_partials"], period)
                events = read_frame(connection, _Q["event_rows"], period, schema=ROWS_SCHEMA)
                level = aggregate_minutes(events)
                rows = {}
                for each in WINDOWS:
                    if each.source is not None and each.source.name == "1d":
                        bucket = each.floor(start)
                        level = _stored(connection, window("1d"), bucket, each.end(bucket))
                        period_of = (bucket, each.end(bucket))
                    else:
                        period_of = (start, start + _DAY)
                    level = merge(level, each)
                    rows[each.name] = _replace(connection, each, level, *period_of, now)
                return rows
        finally:
            connection.isolation_level = None

    with _rollup_lock(connection):
        return _retried(attempt)


def advance_watermark(
    connection: Connection, *, now: datetime, allowed_lateness: timedelta, topic: str | None
) -> datetime | None:
    """Move the moment before which windows are final; None when older partials still wait.

    `topic` is the landed topic, or None without a broker: REST lands before it answers.
    """
    row = connection.execute(
        _Q["advance_watermark"], {"now": now, "allowed_lateness": allowed_lateness, "topic": topic}
    ).fetchone()
    return row[0] if row else None


def pending(connection: Connection) -> int:
    """How many partials wait for a tick."""
    (count,) = connection.execute(_Q["pending"]).fetchone() or (0,)
    return int(count)


def _stage(connection: Connection, rows: pl.DataFrame) -> None:
    connection.execute("delete from rollup_stage")
    marked = rows.with_columns(revision=pl.lit(1), computed_at=pl.lit(datetime.now(UTC)))
    copy_frame(connection, "rollup_stage", marked, [*_ROW_COLUMNS, "revision", "computed_at"])


def _touched(of: Window) -> sql.Composed:
    columns = sql.SQL(", ").join(sql.SQL("r.{}").format(sql.Identifier(name)) for name in AGGREGATE_SCHEMA)
    return sql.SQL("select {} from {} r join rollup_stage using ({})").format(
        columns, sql.Identifier(of.table), sql.SQL(", ").join(map(sql.Identifier, _KEY))
    )


def _stored(connection: Connection, of: Window, start: datetime, end: datetime) -> pl.DataFrame:
    statement = sql.SQL("select {} from {} where bucket_start >= %(start)s and bucket_start < %(end)s").format(
        sql.SQL(", ").join(map(sql.Identifier, AGGREGATE_SCHEMA)), sql.Identifier(of.table)
    )
    return read_frame(connection, statement, {"start": start, "end": end}, schema=AGGREGATE_SCHEMA)


def _write(connection: Connection, to: Window, rows: pl.DataFrame, now: datetime) -> int:
    """Upsert `rows`; a row that changes gets the next revision, one that does not is left alone."""
    _stage(connection, with_measures(rows))
    values = [name for name in _ROW_COLUMNS if name not in _KEY]
    statement = sql.SQL(
        "insert into {table} as r ({columns}, revision, computed_at) select {columns}, 1, %(now)s from rollup_stage"
        " on conflict (bucket_start, series_id, metric)"
        " do update set {sets}, revision = r.revision + 1, computed_at = %(now)s"
        " where ({old}) is distinct from ({new})"
    ).format(
        table=sql.Identifier(to.table),
        columns=_COLUMNS,
        sets=sql.SQL(", ").join(sql.SQL("{0} = excluded.{0}").format(sql.Identifier(name)) for name in values),
        old=sql.SQL(", ").join(sql.SQL("r.{}").format(sql.Identifier(name)) for name in values),
        new=sql.SQL(", ").join(sql.SQL("excluded.{}").format(sql.Identifier(name)) for name in values),
    )
    return connection.execute(statement, {"now": now}).rowcount


def _replace(
    connection: Connection, to: Window, rows: pl.DataFrame, start: datetime, end: datetime, now: datetime
) -> int:
    written = _write(connection, to, rows, now)  # leaves exactly `rows` staged
    connection.execute(
        sql.SQL(
            "delete from {} r where bucket_start >= %(start)s and bucket_start < %(end)s and not exists"
            " (select from rollup_stage s"
            " where (s.bucket_start, s.series_id, s.metric) = (r.bucket_start, r.series_id, r.metric))"
        ).format(sql.Identifier(to.table)),
        {"start": start, "end": end},
    )
    return written
