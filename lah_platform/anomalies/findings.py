"""From judged arrays of one series to what is told of it: findings by type, and rows of the table `anomalies`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from lah_platform.anomalies.config import DetectorConfig
from lah_platform.anomalies.distribution import DistributionVerdict
from lah_platform.anomalies.episodes import Episode, active, episodes
from lah_platform.anomalies.explanation import explain
from lah_platform.anomalies.frequency import frequency_deviation
from lah_platform.anomalies.impact import impact_level, score01
from lah_platform.anomalies.judging import Judgement, tell
from lah_platform.anomalies.phase import slot_us
from lah_platform.anomalies.rolling import Bools, Floats, Ints

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


@dataclass(frozen=True, slots=True)
class Grid:
    """Which series and metric it is, and where its bucket 0 starts: microseconds since the epoch, and of a step."""

    series_id: int
    metric: str
    first_us: int
    step_us: int


@dataclass(frozen=True, slots=True)
class Finding:
    """One episode in numbers of buckets; observed, baseline and deviation at its peak, a score 0..1."""

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


def level_findings(values: Floats, bucket: Ints, verdict: Judgement, config: DetectorConfig) -> Iterator[Finding]:
    """Spikes, drops and pattern deviations of a judged series."""
    for told in tell(values, bucket, verdict, config):
        numbers = (told.observed, told.baseline, told.deviation)
        yield _finding(told.anomaly_type, told.method, bucket, told.episode, told.is_active, numbers, told.score)


def frequency_findings(
    bucket: Ints, counts: Floats, until: int, grid: Grid, config: DetectorConfig
) -> Iterator[Finding]:
    """Too many events, too few, and silence."""
    slot = slot_us(grid.step_us)
    slot_of = None if slot is None else (grid.first_us, grid.step_us, slot)
    verdict = frequency_deviation(bucket, counts, until, slot_of, config)
    z, silent = verdict.deviation, verdict.is_silent_still
    for episode, is_active in _found(verdict.bucket, z, config.enter, config.exit, config.max_gap, low_hold=silent):
        at = episode.peak
        numbers = (verdict.count[at], verdict.expected[at], z[at])
        score = score01(numbers[2], config.enter)
        yield _finding(
            "frequency_anomaly", "negative_binomial_rate", verdict.bucket, episode, is_active, numbers, score
        )


def distribution_findings(bucket: Ints, verdict: DistributionVerdict, config: DetectorConfig) -> Iterator[Finding]:
    """Shifts of the distribution; buckets that deviate less than `distribution_exit` may be left out."""
    enter, leave = config.distribution_enter, config.distribution_exit
    for episode, is_active in _found(bucket, verdict.deviation, enter, leave, config.max_gap):
        at = episode.peak
        numbers = (verdict.distance[at], verdict.usual[at], verdict.deviation[at])
        score = score01(numbers[2], enter)
        yield _finding("distribution_shift", "wasserstein", bucket, episode, is_active, numbers, score)


def _found(
    bucket: Ints, deviation: Floats, enter: float, leave: float, max_gap: int, *, low_hold: Bools | None = None
) -> Iterator[tuple[Episode, Bools]]:
    for sign in (1.0, -1.0):
        z = sign * deviation
        hold = z >= leave
        if sign < 0 and low_hold is not None:
            hold |= low_hold
        is_active = active(bucket, z >= enter, hold, max_gap)
        for episode in episodes(bucket, is_active, np.maximum(z, 0.0), max_gap):
            yield episode, is_active


def _finding(
    anomaly_type: str,
    method: str,
    bucket: Ints,
    episode: Episode,
    is_active: Bools,
    numbers: tuple[float, float, float],
    score: float,
) -> Finding:
    first, peak, last = (int(bucket[at]) for at in (episode.start, episode.peak, episode.end))
    buckets = int(np.count_nonzero(is_active[episode.start : episode.end + 1]))
    observed, baseline, deviation = (float(value) for value in numbers)
    return Finding(anomaly_type, method, first, peak, last, buckets, observed, baseline, deviation, score)


def told(grid: Grid, window: str, found: Finding) -> tuple[Any, ...]:
    """A finding as a row of ANOMALY_SCHEMA."""
    start = [grid.first_us + at * grid.step_us for at in (found.first_bucket, found.peak_bucket, found.last_bucket + 1)]
    numbers = (found.observed, found.baseline, found.deviation)
    said = explain(found.anomaly_type, grid.metric, found.method, *numbers, found.active_buckets)
    return (
        *(grid.series_id, grid.metric, window, found.anomaly_type, found.method, *start, found.score),
        *(found.baseline, found.observed, found.deviation, impact_level(found.score), said),
    )


def as_frame(rows: Iterable[tuple[Any, ...]]) -> pl.DataFrame:
    """Rows of `told` as a frame, sorted by start."""
    frame = pl.DataFrame(list(rows), schema=ANOMALY_SCHEMA, orient="row")
    return frame.sort("started_at", "series_id", "metric", "anomaly_type")
