"""Deviations of a value: from the buckets just before it (spike, drop) and from its phase (pattern_deviation)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lah_platform.anomalies.config import DetectorConfig
from lah_platform.anomalies.phase import phase_reference, slot_medians
from lah_platform.anomalies.rolling import (
    IQR_TO_SIGMA,
    MAD_TO_SIGMA,
    Bools,
    Floats,
    Ints,
    scale_floor,
    scatter,
    small_sample_factor,
    smaller_agreeing,
    trailing_baseline,
)

METHODS = ("zscore", "mad", "iqr")


@dataclass(frozen=True, slots=True)
class LevelVerdict:
    """Per value: signed deviation (0 where nothing can be said), the level it was measured from, and z by METHODS."""

    deviation: Floats
    baseline: Floats
    by_method: Floats

    @property
    def plain(self) -> Floats:
        """The median of the three methods, whatever logarithms and phases say."""
        middle: Floats = np.median(self.by_method, axis=0)
        return middle

    def method(self, at: int, threshold: float, side: float) -> str:
        """Names of the methods that put this value beyond the threshold, above (side 1) or below (-1)."""
        z = self.by_method[:, at] * side
        return "+".join(name for name, size in zip(METHODS, z, strict=True) if size >= threshold)


@dataclass(frozen=True, slots=True)
class PhaseVerdict:
    """Per value: signed deviation (NaN where the phase is not known yet), level, and whether it is hour of week."""

    deviation: Floats
    baseline: Floats
    is_weekly: Bools

    def method(self, at: int) -> str:
        """Which phase the value was compared with."""
        return "same_hour_of_week_mad" if self.is_weekly[at] else "same_hour_of_day_mad"


def recent_deviation(values: Floats, unit: float, config: DetectorConfig) -> LevelVerdict:
    """Rolling z-score, MAD and IQR of each value against up to `history` values before it.

    The deviation is the median of the three, so it passes a threshold exactly when two of three do. MAD: modified
    z-score (Iglewicz and Hoaglin 1993). IQR: distance beyond the nearer quartile, counted so that a normal value
    gets its z-score; 4.5 is then 2.8 IQR beyond, about Tukey's "far out" fence (Exploratory Data Analysis, 1977).
    The milder verdict of values and logarithms counts: skewed sums would else spike every week.
    """
    plain, level = three_z(values, config.relative_floor, unit, config)
    logarithmic, _ = three_z(_signed_log(values, unit), 0.0, config.relative_floor, config)
    deviation = smaller_agreeing(np.median(plain, axis=0), np.median(logarithmic, axis=0))
    return LevelVerdict(deviation, level, plain)


def three_z(values: Floats, relative_floor: float, unit: float, config: DetectorConfig) -> tuple[Floats, Floats]:
    """Signed deviation of each value by METHODS, and the median it was measured from. What screens: it is cheap."""
    base = trailing_baseline(values, config.history)
    floor = scale_floor(base, relative_floor, unit)
    beyond = values - np.clip(values, base.q1, base.q3)
    z = np.stack(
        [
            (values - base.mean) / np.maximum(base.std, floor),
            (values - base.median) / np.maximum(MAD_TO_SIGMA * base.mad, floor),
            beyond / np.maximum(IQR_TO_SIGMA * (base.q3 - base.q1), floor) + np.sign(beyond) / MAD_TO_SIGMA,
        ]
    )
    z[:, base.count < config.min_history] = 0.0
    return z * small_sample_factor(base.count), base.median


def _signed_log(values: Floats, unit: float) -> Floats:
    logarithms: Floats = np.sign(values) * np.log1p(np.abs(values) / unit)
    return logarithms


def same_phase_deviation(
    values: Floats, slots: Ints, slots_per_day: int, unit: float, config: DetectorConfig
) -> PhaseVerdict:
    """Residual of each value from the median of its phase, in robust deviations.

    The scale is the greater of the MAD of the last `history` residuals and the MAD within the phase: the first is
    steady, the second knows that busy hours vary more. Needs `min_history` residuals besides the phase itself.
    As with recent values, the milder verdict of values and logarithms counts.
    """
    plain = _phase_z(values, slots, slots_per_day, config.relative_floor, unit, config)
    logarithmic = _phase_z(_signed_log(values, unit), slots, slots_per_day, 0.0, config.relative_floor, config)
    return PhaseVerdict(smaller_agreeing(plain.deviation, logarithmic.deviation), plain.baseline, plain.is_weekly)


def _phase_z(
    values: Floats, slots: Ints, slots_per_day: int, relative_floor: float, unit: float, config: DetectorConfig
) -> PhaseVerdict:
    size = len(values)
    reference = phase_reference(values, slots, slot_medians(slots, values), slots_per_day, config)
    known = np.flatnonzero(~np.isnan(reference.level))
    residual = values[known] - reference.level[known]
    past = trailing_baseline(residual, config.history)
    level = reference.level[known] + past.median
    floor = np.maximum(np.maximum(relative_floor * np.abs(level), unit), reference.spread[known])
    floor = np.maximum(floor, scale_floor(past, relative_floor, unit))
    deviation = (values[known] - level) / np.maximum(MAD_TO_SIGMA * past.mad, floor) * small_sample_factor(past.count)
    deviation[past.count < config.min_history] = np.nan
    return PhaseVerdict(
        scatter(size, known, deviation, np.nan), scatter(size, known, level, np.nan), reference.is_weekly
    )


def unexplained_by_phase(recent: LevelVerdict, phase: PhaseVerdict | None) -> LevelVerdict:
    """The recent deviation as far as the phase does not explain it: the nine o'clock rise is not a spike every day."""
    if phase is None:
        return recent
    return LevelVerdict(smaller_agreeing(recent.deviation, phase.deviation), recent.baseline, recent.by_method)
