"""Anomaly methods as the benchmark runs them: series in; scores per point, alarms, and a score for how unsettled it is,
out.

Ours is the code that `lah_platform.anomalies.detect` runs on rollups. The simple references are causal and rolling,
with the thresholds that their textbooks give. What comes from packages runs in the peers' environment.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from benchmarks.anomalies_data import Bools, Floats, Ints, Labelled
from benchmarks.anomalies_published import windowed_gaussian
from lah_platform.anomalies.config import DEFAULT, DetectorConfig
from lah_platform.anomalies.judging import Levels, judge, tell
from lah_platform.anomalies.level import three_z
from lah_platform.anomalies.surprise import unrest

__all__ = ["SIMPLE", "Scored", "lah", "screening_seconds"]

_WINDOW_POINTS = 288  # a day of five-minute values
_UNREST_HALF_LIFE = 50.0


@dataclass(frozen=True, slots=True)
class Scored:
    """One series judged: an alarm score per point (NAB), a score of the state (VUS-PR), which points are alarmed at the
    method's own threshold, and the points that alarms begin at (None: the runs of the alarmed points)."""

    alarm: Floats
    state: Floats
    alarmed: Bools
    onsets: Bools | None = None


def lah(series: Labelled, config: DetectorConfig = DEFAULT) -> Scored:
    """Surprise that is news, unrest, and the episodes as told."""
    step = int(np.median(np.diff(series.at_us))) if len(series.at_us) > 1 else 60_000_000
    present = np.isfinite(series.values)
    bucket, values = buckets(series.at_us, max(step, 1))[present], series.values[present]
    verdict = judge(Levels(values, bucket, int(series.at_us[0]), max(step, 1), _unit(values)), config)
    alarmed, onsets = np.zeros(len(values), dtype=np.bool_), np.zeros(len(values), dtype=np.bool_)
    for told in tell(values, bucket, verdict, config):
        part = slice(told.episode.start, told.episode.end + 1)
        alarmed[part] |= told.is_active[part]
        onsets[told.episode.start] = True
    state = unrest(verdict.surprise, _UNREST_HALF_LIFE)
    return Scored(*(_spread(each, present) for each in (verdict.alarm, state, alarmed, onsets)))


def screening_seconds(series: Sequence[Labelled]) -> float:
    """Processor time of what screens: z-score, MAD and IQR of every value against the 168 before it."""
    started = time.process_time()
    for each in series:
        values = each.values[np.isfinite(each.values)]
        three_z(values, DEFAULT.relative_floor, _unit(values), DEFAULT)
    return time.process_time() - started


def _unit(values: Floats) -> float:
    """What no metric's registry says here: a thousandth of the size of the first values that are not zero."""
    early = np.abs(values[: DEFAULT.min_history])
    return max(1e-3 * float(np.median(early[early > 0])), 1e-9) if (early > 0).any() else 1e-3


def buckets(at_us: Ints, step_us: int) -> Ints:
    """Ascending bucket numbers of times on no exact grid; repeated times take the next bucket."""
    place = np.arange(len(at_us))
    nearest = np.rint((at_us - at_us[0]) / step_us).astype(np.int64)
    numbers: Ints = np.maximum.accumulate(nearest - place) + place
    return numbers


def _spread(values: Floats, present: Bools) -> Floats:
    whole = np.zeros(len(present), dtype=values.dtype)
    whole[present] = values
    return whole


def _zscore(values: Floats) -> Floats:
    past = _past(values)
    mean, std = past.rolling_mean(_WINDOW_POINTS, min_samples=2), past.rolling_std(_WINDOW_POINTS, min_samples=2)
    return _ratio(np.abs(values - mean.to_numpy()), std.to_numpy())


def _mad(values: Floats) -> Floats:
    median = _past(values).rolling_median(_WINDOW_POINTS, min_samples=2).to_numpy()
    mad = np.full(len(values), np.nan)
    for at in range(2, min(_WINDOW_POINTS, len(values))):
        mad[at] = np.median(np.abs(values[:at] - median[at]))
    for begin in range(_WINDOW_POINTS, len(values), _WINDOW_POINTS):
        here = np.arange(begin, min(begin + _WINDOW_POINTS, len(values)))
        windows = np.lib.stride_tricks.sliding_window_view(values, _WINDOW_POINTS)[here - _WINDOW_POINTS]
        mad[here] = np.median(np.abs(windows - median[here, None]), axis=1)
    return _ratio(0.6745 * np.abs(values - median), mad)


def _iqr(values: Floats) -> Floats:
    past = _past(values)
    low, high = (
        past.rolling_quantile(share, "linear", window_size=_WINDOW_POINTS, min_samples=2).to_numpy()
        for share in (0.25, 0.75)
    )
    return _ratio(np.maximum(values - high, low - values).clip(0.0), high - low)


def _past(values: Floats) -> pl.Series:
    return pl.Series(values).shift(1)


def _ratio(distance: Floats, scale: Floats) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        scores = np.where(distance > 0.0, distance / scale, 0.0)
    return np.nan_to_num(scores, nan=0.0, posinf=1e6)


def _simple(score: Callable[[Floats], Floats], threshold: float) -> Callable[[Labelled], Scored]:
    def run(series: Labelled) -> Scored:
        scores = score(np.nan_to_num(series.values))
        return Scored(scores, scores, scores >= threshold)

    return run


SIMPLE: Mapping[str, Callable[[Labelled], Scored]] = {
    "rolling_zscore": _simple(_zscore, 3.0),
    "rolling_mad": _simple(_mad, 3.5),  # Iglewicz and Hoaglin 1993
    "rolling_iqr": _simple(_iqr, 1.5),  # Tukey 1977
    "windowed_gaussian": _simple(windowed_gaussian, 0.9999),
}
