"""Rows of events to per-minute aggregates, and aggregates to aggregates of longer windows.

Belongs here: the pure functions that landing, the rollup tick, backfills and repairs share. Reading, locking and
writing belong to `stores` and `assets`; how groups are combined is in `combine`.
"""

import polars as pl

from lah_platform.rollups.combine import combine
from lah_platform.rollups.histogram import keys, with_percentiles
from lah_platform.rollups.metrics import MAX_MAGNITUDE, METRICS, Metric
from lah_platform.rollups.windows import Window, window

__all__ = ["AGGREGATE_SCHEMA", "ROWS_SCHEMA", "aggregate_minutes", "merge", "with_measures"]

_TIME = pl.Datetime("us", "UTC")
_EXACT = pl.Decimal(38, 12)
_COLUMN_TYPES: dict[str, pl.DataType] = {"float": pl.Float64(), "integer": pl.Int64(), "decimal": _EXACT}

ROWS_SCHEMA = pl.Schema(
    {"series_id": pl.Int64(), "ts": _TIME, "subtype": pl.String()}
    | {metric.column: _COLUMN_TYPES[metric.exactness] for metric in METRICS if metric.column is not None}
)
AGGREGATE_SCHEMA = pl.Schema(
    {
        "series_id": pl.Int64(),
        "metric": pl.String(),
        "bucket_start": _TIME,
        "count": pl.Int64(),
        "sum": pl.Float64(),
        "sum_exact": _EXACT,
        "min": pl.Float64(),
        "max": pl.Float64(),
        "mean": pl.Float64(),
        "m2": pl.Float64(),
        "hist_keys": pl.List(pl.Int32()),
        "hist_counts": pl.List(pl.Int64()),
    }
)
_GROUP = ["series_id", "metric", "bucket_start"]
_METRIC_NAMES = pl.Series([metric.name for metric in METRICS])
# 2^53 units of the twelfth decimal place: up to here polars' cast of a decimal gives the nearest double
_EXACTLY_CAST_DECIMAL = 9007


def aggregate_minutes(rows: pl.DataFrame) -> pl.DataFrame:
    """One row per (series, metric, minute) that has values, in AGGREGATE_SCHEMA, sorted by these three.

    `rows` has the columns of ROWS_SCHEMA (others are ignored), one row per event; a null measure means that the
    event does not carry it. ValueError when a float measure is NaN, infinite or beyond ±MAX_MAGNITUDE: events
    that carry such values are refused before they land.
    """
    rows = rows.select(pl.col(name).cast(dtype) for name, dtype in ROWS_SCHEMA.items())
    minutes = rows.select("series_id", window("1m").floor_expr(pl.col("ts")).alias("bucket_start"))
    index = minutes.unique().sort("series_id", "bucket_start").with_row_index("minute")
    numbers = minutes.join(index, on=["series_id", "bucket_start"], how="left", maintain_order="left")
    rows = rows.with_columns(numbers.get_column("minute").cast(pl.Int64))
    values = pl.concat([_values(rows, metric, position) for position, metric in enumerate(METRICS)])
    value = pl.col("value")
    combined = combine(
        values.select(
            "group",
            count=pl.lit(1, pl.Int64),
            sum=pl.when(pl.col("exact").is_null()).then(value),
            sum_exact="exact",
            min=value,
            max=value,
            mean=value,
            m2=pl.lit(0.0),
        ),
        values.select("group", key=keys(values.get_column("value")), count=pl.lit(1, pl.Int64)),
    )
    return (
        combined.join(index, left_on=pl.col("group") // len(METRICS), right_on=pl.col("minute").cast(pl.Int64))
        .with_columns(metric=pl.lit(_METRIC_NAMES).gather(pl.col("group") % len(METRICS)))
        .select(AGGREGATE_SCHEMA.names())
        .sort(_GROUP)
    )


def _values(rows: pl.DataFrame, metric: Metric, position: int) -> pl.DataFrame:
    """The metric's values with their group: as doubles and, for exact metrics, to the last digit."""
    column = pl.lit(1, pl.Int64) if metric.column is None else pl.col(metric.column)
    group = (pl.col("minute") * len(METRICS) + position).alias("group")
    carried = rows if metric.subtype is None else rows.filter(pl.col("subtype") == metric.subtype)
    found = carried.select(group, given=column).drop_nulls()
    given = found.get_column("given")
    doubles = given.cast(pl.Float64)
    if metric.exactness == "decimal" and (given.abs() > _EXACTLY_CAST_DECIMAL).any():
        doubles = given.cast(pl.String).cast(pl.Float64)
    if metric.exactness == "float" and not (doubles.abs() <= MAX_MAGNITUDE).all():
        raise ValueError(
            f"{metric.name} holds NaN, an infinity or a value beyond ±{MAX_MAGNITUDE:g}: "
            "decoding has to refuse such events, for their moments cannot be kept in doubles"
        )
    exact = given.cast(_EXACT) if metric.is_exact else pl.lit(None, _EXACT)
    return found.select("group", value=doubles, exact=exact)


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
