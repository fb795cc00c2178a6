"""The rollups on frames: rows of events to per-minute aggregates, and aggregates to aggregates of longer windows.

Belongs here: the doors for what is a frame already (archived days, notebooks, tests). The arithmetic is in `values` and
`combine`, on arrays.
"""

from collections.abc import Iterator

import polars as pl

from lah_platform.rollups.aggregates import AGGREGATE_SCHEMA, EXACT, TIME, Aggregates
from lah_platform.rollups.combine import merge as merge_groups
from lah_platform.rollups.histogram import PERCENTILES
from lah_platform.rollups.metrics import METRICS, Metric
from lah_platform.rollups.values import MetricValues, aggregate, units_of
from lah_platform.rollups.windows import Window

__all__ = ["AGGREGATE_SCHEMA", "ROWS_SCHEMA", "aggregate_minutes", "merge", "metric_values", "with_measures"]

_COLUMN_TYPES: dict[str, pl.DataType] = {"float": pl.Float64(), "integer": pl.Int64(), "decimal": EXACT}

ROWS_SCHEMA = pl.Schema(
    {"series_id": pl.Int64(), "ts": TIME, "subtype": pl.String()}
    | {metric.column: _COLUMN_TYPES[metric.exactness] for metric in METRICS if metric.column is not None}
)


def aggregate_minutes(rows: pl.DataFrame) -> pl.DataFrame:
    """One row per (series, metric, minute) that has values, in AGGREGATE_SCHEMA, sorted by these three.

    `rows` has the columns of ROWS_SCHEMA (others are ignored), one row per event; a null measure means that the
    event does not carry it. ValueError when a float measure is NaN, infinite or beyond ±MAX_MAGNITUDE: events
    that carry such values are refused before they land.
    """
    return aggregate(list(metric_values(rows))).frame()


def metric_values(rows: pl.DataFrame) -> Iterator[MetricValues]:
    """The values of each metric in rows of ROWS_SCHEMA."""
    rows = rows.select(pl.col(name).cast(dtype) for name, dtype in ROWS_SCHEMA.items())
    for metric in METRICS:
        yield _values(rows, metric)


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
    or of longer windows mixed. Result in AGGREGATE_SCHEMA, sorted by series, metric, bucket. How each measure merges:
    see `combine`. ValueError when a row's sum is not of its metric's kind.
    """
    return merge_groups(Aggregates.from_frame(frames), to).frame()


def with_measures(aggregates: pl.DataFrame) -> pl.DataFrame:
    """`aggregates` with avg, stddev (of a sample: n - 1; null below two values), p50, p95 and p99."""
    groups = Aggregates.from_frame(aggregates)
    stddev = (pl.col("m2") / (pl.col("count") - 1)).sqrt()
    return aggregates.with_columns(
        avg=pl.col("mean"),
        stddev=pl.when(pl.col("count") > 1).then(stddev),
        **{name: pl.Series(groups.quantiles(q)) for name, q in PERCENTILES.items()},
    )
