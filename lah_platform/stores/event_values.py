"""The measures of stored events, metric by metric as arrays.

An event takes 0.7 to 1.0 µs to read so; as rows through psycopg 1.2 µs and into a frame several more.
"""

from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import numpy as np
from psycopg import sql

from lah_platform.rollups.aggregates import UNITS_PER_ONE
from lah_platform.rollups.metrics import METRICS, Metric
from lah_platform.rollups.values import MetricValues
from lah_platform.rollups.windows import WINDOWS
from lah_platform.stores.binary_arrays import array_cursor
from lah_platform.stores.postgres import Connection
from lah_platform.stores.queries import queries

__all__ = ["event_values"]

_Q = queries("rollups")
_MINUTES = WINDOWS[0]
_ROWS_AT_ONCE = 600_000
_MINUTE = timedelta(minutes=1)


def event_values(
    connection: Connection,
    start: datetime,
    end: datetime,
    metrics: Collection[Metric] = METRICS,
    *,
    rows_at_once: int = _ROWS_AT_ONCE,
) -> Iterator[list[MetricValues]]:
    """The values of the events in [start, end), whole UTC minutes, in slices of whole minutes, none of them twice.

    A slice has about `rows_at_once` events, or one minute's. While one is worked on, the next is read in a thread.
    """
    slices = _slices(connection, start, end, list(metrics), rows_at_once)
    with ThreadPoolExecutor(1) as reader:
        coming = reader.submit(next, slices, None)
        while (values := coming.result()) is not None:
            coming = reader.submit(next, slices, None)
            yield values


def _slices(
    connection: Connection, start: datetime, end: datetime, metrics: list[Metric], rows_at_once: int
) -> Iterator[list[MetricValues]]:
    statement = _statement(metrics)
    while start < end:
        period = {"start": start, "end": end, "rows": rows_at_once}
        beyond = connection.execute(_Q["event_after_so_many"], period).fetchone()
        stop = end if beyond is None else max(_MINUTES.floor(beyond[0]), start + _MINUTE)
        # by their places: by the index each row of another kind of payload is elsewhere, which takes twice as long
        connection.execute(_Q["read_in_place"], {"may_use_index": False})
        arrays = array_cursor(connection).execute(statement, {"start": start, "end": stop}).fetchone()
        connection.execute(_Q["read_in_place"], {"may_use_index": True})
        assert arrays is not None
        yield [_values(metric, *arrays[4 * at : 4 * at + 4]) for at, metric in enumerate(metrics)]
        start = stop


def _statement(metrics: list[Metric]) -> sql.Composed:
    return sql.SQL("select {} from events where ts >= %(start)s and ts < %(end)s").format(
        sql.SQL(", ").join(map(_arrays, metrics))
    )


def _arrays(metric: Metric) -> sql.Composable:
    """Series, times, values and, of a decimal metric, units of the twelfth place beside its whole values."""
    if metric.column is None:
        return sql.SQL("array_agg(series_id), array_agg(ts), null, null")
    column = sql.Identifier(metric.column)
    carried = sql.SQL("filter (where {} is not null{})").format(
        column,
        sql.SQL("") if metric.subtype is None else sql.SQL(" and subtype = {}").format(sql.Literal(metric.subtype)),
    )
    if metric.exactness == "decimal":
        whole = sql.SQL("array_agg(trunc({})::bigint) {}").format(column, carried)
        rest = sql.SQL("array_agg(({} %% 1 * {})::bigint) {}").format(column, sql.Literal(UNITS_PER_ONE), carried)
    else:
        whole, rest = sql.SQL("array_agg({}) {}").format(column, carried), sql.SQL("null").format()
    return sql.SQL("array_agg(series_id) {0}, array_agg(ts) {0}, {1}, {2}").format(carried, whole, rest)


def _values(metric: Metric, series_ids: object, times_us: object, values: object, rest: object) -> MetricValues:
    if not isinstance(series_ids, np.ndarray) or not isinstance(times_us, np.ndarray):
        return MetricValues(metric, *(np.empty(0, np.int64),) * 3)
    if metric.column is None:
        values = np.ones(len(series_ids), np.int64)
    assert isinstance(values, np.ndarray)
    if isinstance(rest, np.ndarray):
        fits = np.abs(values).max() < 2**63 // UNITS_PER_ONE
        values = (values if fits else values.astype(object)) * UNITS_PER_ONE + rest
    return MetricValues(metric, series_ids, times_us, values)
