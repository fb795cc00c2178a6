"""Stored rows behind a time-series query, read in one snapshot and held to the asker's tenant.

Belongs here: SQL and its bounds. Which windows are read, and what is made of their rows, is in `timeseries`.
"""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np
import polars as pl
import psycopg
from psycopg import sql
from psycopg.errors import InvalidRegularExpression

from lah_platform.rollups.windows import WINDOWS
from lah_platform.stores.binary_arrays import array_cursor, bigint_array, sent_bigints, sent_integers
from lah_platform.stores.postgres import Connection
from lah_platform.stores.queries import queries
from lah_platform.stores.rollup_rows import groups_of
from lah_platform.timeseries.evaluate import Groups, StoredRows, answer, complete
from lah_platform.timeseries.filters import TAG_PREFIX, Filter
from lah_platform.timeseries.plan import Segment, plan
from lah_platform.timeseries.query import Query
from lah_platform.timeseries.refusal import QueryError

__all__ = ["MOST_STORED_ROWS", "Behind", "Snapshot", "snapshot"]

MOST_STORED_ROWS: Final = 1_000_000
"""Rows that one answer may be made from; with histograms they take about 13 s."""
_ROWS_AT_ONCE: Final = 25_000  # with histograms of 20 buckets about 50 MB, and as much is on its way
_FEWEST_AT_ONCE: Final = 750  # below that, another statement costs more than what is done beside it saves
_PIECES: Final = 4
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_OPERATORS: Final = {"equals": "{} = {}", "in": "{} = any ({})", "not": "{} <> all ({})", "regex": "{} ~ {}"}
_HISTOGRAMS: Final = sql.SQL(
    ", array_agg(cardinality(hist_keys)), string_agg(array_send(hist_keys), ''),"
    " string_agg(array_send(hist_counts), '')"
)


@dataclass(frozen=True)
class Extent:
    """The rows of one segment: how many, and the first and last start of a bucket."""

    segment: Segment
    rows: int
    first: datetime
    last: datetime


@dataclass(frozen=True)
class Behind:
    """What an answer is made from; equal for the same query and tenant, so is the answer.

    `revision` and `computed_at` are the newest among the rows, None without rows. `final_before`: the watermark as far
    as it matters, at most the end of the range. `is_suspect`: windows among them, or what they were made of, failed a
    check.
    """

    segments: tuple[Segment, ...]
    rows: int
    revisions: int
    revision: int | None
    computed_at: datetime | None
    final_before: datetime | None
    is_final: bool
    is_suspect: bool


class Snapshot:
    """One query of one tenant, on one state of the tables."""

    def __init__(self, connection: Connection, query: Query, tenant: str) -> None:
        self._connection = connection
        self._query = query
        self._groups = _matching(connection, query, tenant)
        self._extents, self.behind = _behind(connection, query, self._groups)

    def answer(self) -> pl.DataFrame:
        """Every row of the answer, not ordered: see `timeseries.evaluate.answer`.

        QueryError when more than MOST_STORED_ROWS rows are behind it, or a fill makes too many.
        """
        if self.behind.rows > MOST_STORED_ROWS:
            raise QueryError(
                "window",
                f"{self.behind.rows} stored rows are behind this answer, and {MOST_STORED_ROWS} may be",
                "Ask for a longer window, a shorter range, or with more filters",
            )
        frames = list(complete(self._query, self._pieces(), self._groups))
        final_before = self.behind.final_before
        return answer(self._query, frames, self._groups, None if final_before is None else _us(final_before))

    def _pieces(self) -> Iterator[tuple[StoredRows, int]]:
        """The rows in order of time, about _ROWS_AT_ONCE at a time, and until when that is all of them.

        PostgreSQL reads the next ones while these are computed with.
        """
        spans = list(self._spans())
        ahead: deque[tuple[psycopg.Cursor[tuple[Any, ...]], datetime]] = deque()
        with self._connection.pipeline() if len(spans) > 1 else nullcontext():
            for segment, start, end in spans:
                ahead.append((self._asked_between(segment, start, end), end))
                if len(ahead) > 1:
                    yield from _read(*ahead.popleft())
            while ahead:
                yield from _read(*ahead.popleft())

    def _spans(self) -> Iterator[tuple[Segment, datetime, datetime]]:
        for extent in self._extents:
            pieces = -(-extent.rows // min(_ROWS_AT_ONCE, max(_FEWEST_AT_ONCE, extent.rows // _PIECES)))
            step = (extent.last - extent.first) / pieces + _MICROSECOND
            for piece in range(pieces):
                start = extent.first + piece * step
                yield extent.segment, start, min(start + step, extent.last + _MICROSECOND)

    def _asked_between(self, segment: Segment, start: datetime, end: datetime) -> psycopg.Cursor[tuple[Any, ...]]:
        statement = sql.SQL(queries("timeseries")["rows"].decode()).format(
            table=sql.Identifier(segment.window.table),
            histograms=_HISTOGRAMS if self._query.needs_histograms else sql.SQL(""),
        )
        parameters = {
            "metric": self._query.metric.name,
            "start": start,
            "end": end,
            "series": bigint_array(self._groups.series_ids),
        }
        return array_cursor(self._connection).execute(statement, parameters)


@contextmanager
def snapshot(connection: Connection, query: Query, tenant: str) -> Iterator[Snapshot]:
    """What `tenant` ('*': every tenant) sees of `query`, within one read-only transaction."""
    with connection.transaction():
        connection.execute(queries("timeseries")["snapshot"])
        yield Snapshot(connection, query, tenant)


def _read(found: psycopg.Cursor[tuple[Any, ...]], end: datetime) -> Iterator[tuple[StoredRows, int]]:
    for *columns, revisions, computed_us in map(_histograms_first, found):
        yield StoredRows(groups_of(*columns), revisions.astype(np.int64), computed_us), _us(end)


def _histograms_first(row: tuple[Any, ...]) -> list[Any]:
    """The columns as `groups_of` takes them, then revisions and computations.

    Rows read without histograms get one bucket each, which nothing asks for.
    """
    *columns, revisions, computed_us = row[:12]
    if len(row) == 12:
        counts = columns[3]
        return [*columns, np.ones_like(counts), np.zeros_like(counts), counts, revisions, computed_us]
    sizes, keys, counts = row[12:]
    return [*columns, sizes, sent_integers(keys, sizes), sent_bigints(counts, sizes), revisions, computed_us]


def _matching(connection: Connection, query: Query, tenant: str) -> Groups:
    """The series that the filters leave, by group; QueryError for a pattern that PostgreSQL does not take."""
    parameters: dict[str, Any] = {"tenant": tenant}
    statement = sql.SQL(queries("timeseries")["series"].decode()).format(
        dimensions=sql.SQL("").join(sql.SQL(", ") + _dimension(name, parameters) for name in query.group_by),
        conditions=sql.SQL("").join(sql.SQL(" and ") + _condition(each, parameters) for each in query.filters),
    )
    try:
        found = connection.execute(statement, parameters).fetchall()
    except InvalidRegularExpression as error:
        place = next(place for place, each in enumerate(query.filters) if each.operator == "regex")
        reason = str(error).strip().splitlines()[0]
        raise QueryError(f"filters.{place}.value", reason, "Use a simpler pattern, or operator `in`") from error
    schema = {"series_id": pl.Int64(), **{name: pl.String() for name in query.group_by}}
    return Groups.of(pl.DataFrame(found, schema=schema, orient="row"), query.group_by)


def _condition(each: Filter, parameters: dict[str, Any]) -> sql.Composed:
    takes_list = each.operator in ("in", "not")
    values = _parameter(list(each.values) if takes_list else each.values[0], parameters)
    cast = sql.SQL("::text[]" if takes_list else "::text")
    return sql.SQL(_OPERATORS[each.operator]).format(_dimension(each.dimension, parameters), values + cast)


def _dimension(name: str, parameters: dict[str, Any]) -> sql.Composable:
    if name.startswith(TAG_PREFIX):
        tag = _parameter(name.removeprefix(TAG_PREFIX), parameters)
        return sql.SQL("coalesce(s.tags ->> {}::text, '')").format(tag)
    return sql.Identifier("s", name)


def _parameter(value: object, parameters: dict[str, Any]) -> sql.Placeholder:
    name = f"value_{len(parameters)}"
    parameters[name] = value
    return sql.Placeholder(name)


def _behind(connection: Connection, query: Query, groups: Groups) -> tuple[list[Extent], Behind]:
    segments = plan(query)
    statement = sql.SQL(" union all ").join(
        sql.SQL(queries("timeseries")["behind"].decode()).format(
            number=sql.Literal(number),
            table=sql.Identifier(segment.window.table),
            start=sql.Literal(_at(segment.from_us)),
            end=sql.Literal(_at(segment.to_us)),
        )
        for number, segment in enumerate(segments)
    )
    parameters = {"metric": query.metric.name, "series": bigint_array(groups.series_ids)}
    found = sorted(connection.execute(statement, parameters).fetchall()) if len(groups.series_ids) else []
    parameters |= {
        "starts": [_at(segment.from_us) for segment in segments],
        "ends": [_at(segment.to_us) for segment in segments],
        "ranks": [WINDOWS.index(segment.window) + 1 for segment in segments],
    }
    watermark, is_suspect = connection.execute(queries("timeseries")["state"], parameters).fetchone() or (None, False)
    to = _at(query.to_us)
    extents = [Extent(segments[number], rows, first, last) for number, rows, _, _, _, first, last in found]
    return extents, Behind(
        segments=segments,
        rows=sum(row[1] for row in found),
        revisions=sum(row[2] for row in found),
        revision=max((row[3] for row in found), default=None),
        computed_at=max((row[4] for row in found), default=None),
        final_before=None if watermark is None else min(watermark, to),
        is_final=watermark is not None and to <= watermark,
        is_suspect=is_suspect,
    )


def _us(at: datetime) -> int:
    return (at - _EPOCH) // _MICROSECOND


def _at(us: int) -> datetime:
    return _EPOCH + us * _MICROSECOND
