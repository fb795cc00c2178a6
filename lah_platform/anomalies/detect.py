"""All detectors over a frame of points, judged from its first bucket on: what `resume` is held equal to.

What each deviation means is in `level`, `frequency` and `distribution`; this is where they are put together.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import numpy as np
import polars as pl

from lah_platform.anomalies.config import DEFAULT, DetectorConfig
from lah_platform.anomalies.distribution import distribution_deviation
from lah_platform.anomalies.findings import (
    ANOMALY_SCHEMA,
    Finding,
    Grid,
    as_frame,
    distribution_findings,
    frequency_findings,
    level_findings,
    told,
)
from lah_platform.anomalies.judging import Levels, judge
from lah_platform.anomalies.series import Series, iter_series

__all__ = ["ANOMALY_SCHEMA", "detect"]


def detect(
    points: pl.DataFrame,
    *,
    window: str,
    step: timedelta,
    config: DetectorConfig = DEFAULT,
    until: datetime | None = None,
) -> pl.DataFrame:
    """Episodes of the five anomaly types in every series and metric of `points`, columns as ANOMALY_SCHEMA.

    points: series_id, metric, bucket_start (UTC, one row per existing bucket, any order), value (the measure to
    judge; null, NaN and infinities are passed over), count, hist_keys, hist_counts (may be null or empty).
    step: length of a bucket; calendar months have none and are refused. until: buckets ending later are ignored,
    and a series that stops before it is silent; without it, the end of the frame's last bucket.

    Out: started_at and peak_at are starts of buckets, ended_at is the end of the last one; baseline, observed and
    deviation are taken at the peak, deviation in robust standard deviations, signed; score 0..1 is `score01` of it.
    distribution_shift has distances in octaves as baseline and observed, frequency_anomaly counts. Sorted by start.

    Every verdict rests on earlier buckets only, so an episode that has been quiet for more than `max_gap` buckets
    never changes. Says nothing before `min_history` (36) buckets of a series, nor about an hour's pattern before
    `min_day_cycles` (3) days, nor about histograms before twice `min_history`.

    Raises ValueError when a column is missing, a time has no zone, or a bucket repeats or lies off the grid.
    """
    rows = []
    for series in iter_series(points, step, until, config.min_history):
        grid = Grid(series.series_id, series.metric, series.first_us, series.step_us)
        rows += [told(grid, window, found) for found in _findings(series, grid, config)]
    return as_frame(rows)


def _findings(series: Series, grid: Grid, config: DetectorConfig) -> Iterator[Finding]:
    unit, bucket = config.unit(series.metric), series.bucket
    present = ~np.isnan(series.values)
    values, at, counts = series.values[present], bucket[present], series.counts[present]
    if len(values) > config.min_history:
        verdict = judge(Levels(values, at, series.first_us, series.step_us, unit, counts, series.metric), config)
        yield from level_findings(values, at, verdict, config)
    if series.counts_events:
        yield from frequency_findings(bucket, series.counts, series.until, grid, config)
    histograms = (series.hist_row, series.hist_keys, series.hist_counts)
    yield from distribution_findings(bucket, distribution_deviation(*histograms, len(bucket), unit, config), config)
