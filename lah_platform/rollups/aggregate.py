"""Rows of events to per-minute aggregates, and aggregates to aggregates of longer windows.

Belongs here: the pure functions that landing, the rollup tick, backfills and repairs share. Reading, locking and
writing belong to `stores` and `assets`; how groups are combined is in `combine`.
"""

import polars as pl

from lah_platform.rollups.combine import combine
from lah_platform.rollups.histogram import with_percentiles
from lah_platform.rollups.metrics import METRICS, Metric
from lah_platform.rollups.values import AGGREGATE_SCHEMA, EXACT, TIME, MetricValues, aggregate_values, units_of
from lah_platform.rollups.windows import Window

__all__ = ["AGGREGATE_SCHEMA", "ROWS_SCHEMA", "aggregate_minutes", "merge", "with_measures"]

_COLUMN_TYPES: dict[str, pl.DataType] = {"float": pl.Float64(), "integer": pl.Int64(), "decimal": EXACT}

ROWS_SCHEMA = pl.Schema(
    {"series_id": pl.Int64(), "ts": TIME, "subtype": pl.String()}
    | {metric.column: _COLUMN_TYPES[metric.exactness] for metric in METRICS if metric.column is not None}
)
_GROUP = ["series_id", "metric", "bucket_start"]


def aggregate_minutes(rows: pl.DataFrame) -> pl.DataFrame:
    """One row per (series, metric, minute) that has values, in AGGREGATE_SCHEMA, sorted by these three.

    `rows` has the columns of ROWS_SCHEMA (others are ignored), one row per event; a null measure means that the
    event does not carry it. ValueError when a float measure is NaN, infinite or beyond ±MAX_MAGNITUDE: events
    that carry such values are refused before they land.
    """
    rows = rows.select(pl.col(name).cast(dtype) for name, dtype in ROWS_SCHEMA.items())
    return aggregate_values([_values(rows, metric) for metric in METRICS])


def _values(rows: pl.DataFrame, metric: Metric) -> MetricValues:
    column = pl.lit(1, pl.Int64) if metric.column is None else pl.col(metric.column)
    carried = rows if metric.subtype is None else rows.filter(pl.col("subtype") == metric.subtype)
    found = carried.select("series_id", pl.col("ts").to_physical(), given=column).drop_nulls()
    given = found.get_column("given")
    values = units_of(given) if metric.exactness == "decimal" else given.to_numpy()
    return MetricValues(metric, found.get_column("series_id").to_numpy(), found.get_column("ts").to_numpy(), values)


def merge(frames: pl.DataFrame, to: Window) -> pl.DataFrame:
    """The aggregates of `to` from any aggregates of windows that fit into it, deltas among them.

    `frames` has the columns of AGGREGATE_SCHEMA (others are ignored) and any number of rows per group, of minutes
    or of longer windows mixed. Counts add, sums of integers and decimals add exactly, moments merge as in Chan,
    Golub and LeVeque (1979), histograms by key. Result in AGGREGATE_SCHEMA, sorted by series, metric, bucket.
    ValueError when a metric's rows disagree on whether its sum is exact.
    """
    parts = frames.select(pl.col(name).cast(dtype) for name, dtype in AGGREGATE_SCHEMA.items())
    parts = parts.with_columns(to.floor_expr(pl.col("bucket_start")))
    index = parts.select(_GROUP).unique().sort(_GROUP).with_row_index("group")
    parts = parts.join(index, on=_GROUP, how="left", maintain_order="left").with_columns(pl.col("group").cast(pl.Int64))
    buckets = parts.select("group", key="hist_keys", count="hist_counts").explode("key", "count", empty_as_null=False)
    combined = combine(parts, buckets)
    return index.hstack(combined.drop("group")).select(AGGREGATE_SCHEMA.names())


def with_measures(aggregates: pl.DataFrame) -> pl.DataFrame:
    """`aggregates` with avg, stddev (of a sample: n - 1; null below two values), p50, p95 and p99."""
    stddev = (pl.col("m2") / (pl.col("count") - 1)).sqrt()
    return with_percentiles(
        aggregates.with_columns(avg=pl.col("mean"), stddev=pl.when(pl.col("count") > 1).then(stddev))
    )
