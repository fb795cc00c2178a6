"""How earlier forecasts came out: every stored forecast beside what has come about since."""

from datetime import datetime

import numpy as np
import polars as pl

from lah_platform.forecasts.errors import errors_of
from lah_platform.forecasts.series import Gap

__all__ = ["JUDGED_SCHEMA", "judged"]

_TIME = pl.Datetime("us", "UTC")
JUDGED_SCHEMA = pl.Schema(
    {
        "series_id": pl.Int64(),
        "metric": pl.String(),
        "method": pl.String(),
        "trained_through": _TIME,
        "judged_buckets": pl.Int64(),
        "mape": pl.Float64(),
        "smape": pl.Float64(),
        "wape": pl.Float64(),
        "mase": pl.Float64(),
        "coverage_80": pl.Float64(),
        "coverage_95": pl.Float64(),
    }
)


def judged(stored: pl.DataFrame, points: pl.DataFrame, *, until: datetime, gap: Gap) -> pl.DataFrame:
    """One row (JUDGED_SCHEMA) for each forecast of `stored` of which a bucket has come about.

    stored: series_id, metric, method, trained_through, target_start, value, lower, upper, lower_80, upper_80,
    naive_step. points: series_id, metric, bucket_start, value, complete before `until` (UTC). A bucket without a point
    is 0 when `gap` is "zero", else it is not judged; a null or infinite value never is. Bounds that are null hold
    nothing and are left out.
    """
    actual = points.select("series_id", "metric", target_start="bucket_start", actual="value")
    beside = stored.filter(pl.col("target_start") < until).join(
        actual, on=["series_id", "metric", "target_start"], how="left"
    )
    if gap == "zero":
        beside = beside.with_columns(pl.col("actual").fill_null(0.0))
    beside = beside.filter(pl.col("actual").is_finite())
    held = {
        name: ((pl.col(lower) <= pl.col("actual")) & (pl.col("actual") <= pl.col(upper))).mean()
        for name, lower, upper in (("coverage_80", "lower_80", "upper_80"), ("coverage_95", "lower", "upper"))
    }
    keys = ["series_id", "metric", "method", "trained_through"]
    rows = []
    for key, part in beside.group_by(keys, maintain_order=True):
        y, f = part["actual"].to_numpy(), part["value"].to_numpy()
        errors = errors_of(y, f, np.ones(len(y), dtype=bool), float(part["naive_step"][0]))
        coverage = part.select(**held).row(0)
        rows.append((*key, len(y), errors.mape, errors.smape, errors.wape, errors.mase, *coverage))
    return pl.DataFrame(rows, schema=JUDGED_SCHEMA, orient="row")
