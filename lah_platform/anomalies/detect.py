"""All detectors over a frame of points: which bucket belongs to which episode, and the episodes as a frame.

What each deviation means is in `level`, `frequency` and `distribution`; this is where they are put together.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from lah_platform.anomalies.config import DEFAULT, DetectorConfig
from lah_platform.anomalies.distribution import distribution_deviation
from lah_platform.anomalies.episodes import Episode, active, episodes
from lah_platform.anomalies.explanation import explain
from lah_platform.anomalies.frequency import frequency_deviation
from lah_platform.anomalies.impact import impact_level, score01
from lah_platform.anomalies.judging import Levels, judge, tell
from lah_platform.anomalies.phase import slot_us
from lah_platform.anomalies.rolling import Bools, Floats, Ints
from lah_platform.anomalies.series import Series, iter_series

_UTC = pl.Datetime("us", "UTC")
ANOMALY_SCHEMA: dict[str, Any] = {
    "series_id": pl.Int64,
    "metric": pl.Utf8,
    "window_name": pl.Utf8,
    "anomaly_type": pl.Utf8,
    "method": pl.Utf8,
    "started_at": _UTC,
    "peak_at": _UTC,
    "ended_at": _UTC,
    "score": pl.Float64,
    "baseline": pl.Float64,
    "observed": pl.Float64,
    "deviation": pl.Float64,
    "impact": pl.Utf8,
    "explanation": pl.Utf8,
}


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
    rows: list[tuple[Any, ...]] = []
    for series in iter_series(points, step, until, config.min_history):
        for told_by in (_level_episodes, _frequency_episodes, _distribution_episodes):
            rows.extend(_row(series, window, found) for found in told_by(series, config))
    frame = pl.DataFrame(rows, schema=ANOMALY_SCHEMA, orient="row")
    return frame.sort("started_at", "series_id", "metric", "anomaly_type")


@dataclass(frozen=True, slots=True)
class _Finding:
    anomaly_type: str
    method: str
    first_bucket: int
    peak_bucket: int
    last_bucket: int
    active_buckets: int
    observed: float
    baseline: float
    deviation: float
    score: float


def _level_episodes(series: Series, config: DetectorConfig) -> Iterator[_Finding]:
    present = ~np.isnan(series.values)
    values, bucket = series.values[present], series.bucket[present]
    if len(values) <= config.min_history:
        return
    unit, counts = config.unit(series.metric), series.counts[present]
    levels = Levels(values, bucket, series.first_us, series.step_us, unit, counts, series.metric)
    verdict = judge(levels, config)
    for told in tell(values, bucket, verdict, config):
        numbers = (told.observed, told.baseline, told.deviation)
        yield _finding(told.anomaly_type, told.method, bucket, told.episode, told.is_active, numbers, told.score)


def _frequency_episodes(series: Series, config: DetectorConfig) -> Iterator[_Finding]:
    if not series.counts_events:
        return
    slot = slot_us(series.step_us)
    slot_of = None if slot is None else (series.first_us, series.step_us, slot)
    verdict = frequency_deviation(series.bucket, series.counts, series.until, slot_of, config)
    z, silent = verdict.deviation, verdict.is_silent_still
    for found in _found(verdict.bucket, z, config.enter, config.exit, config.max_gap, low_hold=silent):
        at = found.episode.peak
        numbers = (verdict.count[at], verdict.expected[at], z[at])
        score = score01(numbers[2], config.enter)
        method, episode = "negative_binomial_rate", found.episode
        yield _finding("frequency_anomaly", method, verdict.bucket, episode, found.is_active, numbers, score)


def _distribution_episodes(series: Series, config: DetectorConfig) -> Iterator[_Finding]:
    histograms = (series.hist_row, series.hist_keys, series.hist_counts)
    verdict = distribution_deviation(*histograms, len(series.bucket), config.unit(series.metric), config)
    enter, leave = config.distribution_enter, config.distribution_exit
    for found in _found(series.bucket, verdict.deviation, enter, leave, config.max_gap):
        at = found.episode.peak
        numbers = (verdict.distance[at], verdict.usual[at], verdict.deviation[at])
        score, episode = score01(numbers[2], enter), found.episode
        yield _finding("distribution_shift", "wasserstein", series.bucket, episode, found.is_active, numbers, score)


@dataclass(frozen=True, slots=True)
class _Found:
    episode: Episode
    is_active: Bools


def _found(
    bucket: Ints, deviation: Floats, enter: float, leave: float, max_gap: int, *, low_hold: Bools | None = None
) -> Iterator[_Found]:
    for sign in (1.0, -1.0):
        z = sign * deviation
        hold = z >= leave
        if sign < 0 and low_hold is not None:
            hold |= low_hold
        is_active = active(bucket, z >= enter, hold, max_gap)
        for episode in episodes(bucket, is_active, np.maximum(z, 0.0), max_gap):
            yield _Found(episode, is_active)


def _finding(
    anomaly_type: str,
    method: str,
    bucket: Ints,
    episode: Episode,
    is_active: Bools,
    numbers: tuple[float, float, float],
    score: float,
) -> _Finding:
    first, peak, last = (int(bucket[at]) for at in (episode.start, episode.peak, episode.end))
    buckets = int(np.count_nonzero(is_active[episode.start : episode.end + 1]))
    observed, baseline, deviation = (float(value) for value in numbers)
    return _Finding(anomaly_type, method, first, peak, last, buckets, observed, baseline, deviation, score)


def _row(series: Series, window: str, found: _Finding) -> tuple[Any, ...]:
    first_us, step_us = series.first_us, series.step_us
    score = found.score
    return (
        series.series_id,
        series.metric,
        window,
        found.anomaly_type,
        found.method,
        first_us + found.first_bucket * step_us,
        first_us + found.peak_bucket * step_us,
        first_us + (found.last_bucket + 1) * step_us,
        score,
        found.baseline,
        found.observed,
        found.deviation,
        impact_level(score),
        explain(
            found.anomaly_type,
            series.metric,
            found.method,
            found.observed,
            found.baseline,
            found.deviation,
            found.active_buckets,
        ),
    )
