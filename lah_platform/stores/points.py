"""Points of the rollups as a frame: one measure of each bucket, with what is known of its series."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import polars as pl
from psycopg import sql

from lah_platform.rollups.windows import window as window_named
from lah_platform.stores.binary_arrays import array_cursor
from lah_platform.stores.frames import read_frame
from lah_platform.stores.postgres import Connection
from lah_platform.stores.queries import queries

__all__ = ["read_points"]

_Q = queries("signals")
_TIME = pl.Datetime("us", "UTC")
_MEASURES = {  # measure: its SQL on a rollup row
    "count": "count::double precision",
    "sum": "coalesce(sum_exact::double precision, sum)",
    "avg": "mean",
    "min": "min",
    "max": "max",
    "stddev": "case when count > 1 then sqrt(m2 / (count - 1)) end",
    "p50": "p50",
    "p95": "p95",
    "p99": "p99",
}
_POINT_ROWS = sql.SQL(
    "select s.tenant, r.series_id, s.event_type, s.subtype, s.model, r.metric, r.bucket_start, {value} as value,"
    " r.count, r.hist_keys, r.hist_counts from {table} r join series s using (series_id)"
    " where r.metric = any(%(metrics)s) and r.bucket_start >= %(start)s and r.bucket_start < %(end)s and {chosen}"
)
_POINT_COLUMNS = sql.SQL(
    "select r.metric, array_agg(r.series_id), array_agg(r.bucket_start), array_agg(coalesce({value}, 'NaN')),"
    " array_agg(r.count) from {table} r where r.metric = any(%(metrics)s) and r.bucket_start >= %(start)s"
    " and r.bucket_start < %(end)s and {chosen} group by r.metric"
)
_POINTS: dict[str, Any] = {
    "tenant": pl.String,
    "series_id": pl.Int64,
    "event_type": pl.String,
    "subtype": pl.String,
    "model": pl.String,
    "metric": pl.String,
    "bucket_start": _TIME,
    "value": pl.Float64,
    "count": pl.Int64,
    "hist_keys": pl.List(pl.Int32),
    "hist_counts": pl.List(pl.Int64),
}
_DIMENSIONS = {name: _POINTS[name] for name in ("series_id", "tenant", "event_type", "subtype", "model")}


def read_points(
    connection: Connection,
    window: str,
    measure: str,
    metrics: Sequence[str],
    start: datetime,
    end: datetime,
    *,
    with_histograms: bool = True,
    series_ids: Sequence[int] | None = None,
) -> pl.DataFrame:
    """The points of `metrics` in [start, end) UTC, `value` being `measure` of each bucket of `window`; of all series,
    or of `series_ids`.

    Without histograms (they are null then) they come as whole columns: a million points take 1.5 s instead of 6.
    ValueError for an unknown window or measure.
    """
    if measure not in _MEASURES:
        raise ValueError(f"no measure is called {measure!r}: use one of {', '.join(_MEASURES)}")
    statement = (_POINT_ROWS if with_histograms else _POINT_COLUMNS).format(
        chosen=sql.SQL("true" if series_ids is None else "r.series_id = any(%(series_ids)s)"),
        value=sql.SQL(_MEASURES[measure]),
        table=sql.Identifier(window_named(window).table),
    )
    asked = {"metrics": list(metrics), "start": start, "end": end, "series_ids": list(series_ids or ())}
    if with_histograms:
        return read_frame(connection, statement, asked, schema=_POINTS)
    return _joined(connection, array_cursor(connection).execute(statement, asked).fetchall())


def _joined(connection: Connection, columns: list[tuple[Any, ...]]) -> pl.DataFrame:
    """Points from their columns, one row of arrays for each metric, with what is known of their series."""
    parts = [
        pl.DataFrame(
            {"series_id": ids, "bucket_start": starts_us, "value": values, "count": counts},
            schema={"series_id": pl.Int64, "bucket_start": pl.Int64, "value": pl.Float64, "count": pl.Int64},
        ).with_columns(metric=pl.lit(metric))
        for metric, ids, starts_us, values, counts in columns
    ]
    if not parts:
        return pl.DataFrame(schema=_POINTS)
    points = pl.concat(parts)
    asked = {"series_ids": points["series_id"].unique().to_list()}
    dimensions = read_frame(connection, _Q["dimensions_of_series"], asked, schema=_DIMENSIONS)
    return (
        points.join(dimensions, on="series_id")
        .with_columns(
            pl.col("bucket_start").cast(_TIME),
            pl.col("value").fill_nan(None),
            hist_keys=pl.lit(None, _POINTS["hist_keys"]),
            hist_counts=pl.lit(None, _POINTS["hist_counts"]),
        )
        .select(list(_POINTS))
    )
