"""How many events a bucket holds against the fitted rate, empty buckets included: silence is an anomaly.

A bucket must be improbable by itself: at the default threshold silence shows once about 13 events are usual in a
bucket. Rarer events are for the wider windows to miss.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lah_platform.anomalies.config import DetectorConfig
from lah_platform.anomalies.phase import DAY_US, phase_reference, slot_means
from lah_platform.anomalies.rolling import Bools, Floats, Ints, smaller_agreeing

_HAIR = 1.0 - 1e-6  # sums of fewer terms round otherwise
_TINY = 1e-300  # tail probabilities underflow below; 37 standard deviations are enough for any verdict


@dataclass(frozen=True, slots=True)
class FrequencyVerdict:
    """Per bucket of the grid: its number, count, expected count, signed deviation, and whether silence goes on."""

    bucket: Ints
    count: Floats
    expected: Floats
    deviation: Floats
    is_silent_still: Bools


def filled_grid(bucket: Ints, until: int, longest_gap: int) -> tuple[Ints, Ints]:
    """Bucket numbers with gaps filled, and how many rows lie before each.

    After `longest_gap` empty buckets a series counts as retired until it speaks again, which bounds the grid.
    """
    keep = np.minimum(np.diff(bucket, append=until), longest_gap + 1)
    row = np.repeat(np.arange(len(bucket)), keep)
    step = np.arange(len(row)) - np.repeat(np.cumsum(keep) - keep, keep)
    return bucket[row] + step, row + (step > 0)


def frequency_deviation(
    bucket: Ints, row_counts: Floats, until: int, slot_of: tuple[int, int, int] | None, config: DetectorConfig
) -> FrequencyVerdict:
    """Standard-normal equivalent of each count's tail probability under a negative binomial law.

    Mean and dispersion come from the last `history` buckets. Once the same phase of earlier days is known, too few
    are judged by its mean alone (where nights are silent, recent buckets alone would excuse a silent noon), and too
    many must be too many by both (where bursts come at any hour, three earlier days alone prove little). Buckets
    that deviate in a first pass are left out of the fit of the second, so that an outage does not become the norm
    at once. `slot_of` is (first bucket's time in us, bucket length in us, slot length in us); None for windows
    without phase.
    """
    grid, rows_before = filled_grid(bucket, until, config.history)
    count, phase_rate = _counted(bucket, row_counts, grid, slot_of, config, 0)
    judged = rows_before >= config.min_history
    deviation, expected = _refitted(count, phase_rate, judged, 0, config)
    return FrequencyVerdict(grid, count, expected, deviation, _silence_goes_on(count, deviation, config.enter))


def may_deviate(
    bucket: Ints,
    row_counts: Floats,
    since: int,
    until: int,
    slot_of: tuple[int, int, int] | None,
    config: DetectorConfig,
) -> bool:
    """False where `frequency_deviation` opens nothing from bucket `since` on; true also a hair below the threshold.

    Looks at what those buckets are judged by only: as many before them as are refitted, and as many before those.
    """
    grid, rows_before = filled_grid(bucket, until, config.history)
    first = int(np.searchsorted(grid, since))
    count, phase_rate = _counted(bucket, row_counts, grid, slot_of, config, max(first - 2 * config.history, 0))
    deviation, _ = _refitted(count, phase_rate, rows_before >= config.min_history, first, config)
    return bool((np.abs(deviation[first:]) >= _HAIR * config.enter).any())


def _counted(
    bucket: Ints,
    row_counts: Floats,
    grid: Ints,
    slot_of: tuple[int, int, int] | None,
    config: DetectorConfig,
    first: int,
) -> tuple[Floats, Floats]:
    """Counts on the grid, and the rate of the phase from place `first` on (NaN where there is none)."""
    count = np.zeros(len(grid))
    count[np.searchsorted(grid, bucket)] = row_counts
    phase_rate = np.full(len(grid), np.nan)
    if slot_of is not None and first < len(grid):
        first_us, step_us, slot_us = slot_of
        slots = (first_us + grid * step_us) // slot_us
        reference = phase_reference(count, slots, slot_means(slots, count), DAY_US // slot_us, config, first)
        # half an event is added (Jeffreys prior): three empty nights do not prove a rate of zero
        phase_rate[first:] = reference.level + 0.5 / np.maximum(reference.samples, 1)
    return count, phase_rate


def _refitted(
    count: Floats, phase_rate: Floats, judged: Bools, since: int, config: DetectorConfig
) -> tuple[Floats, Floats]:
    """Deviation and expected count from `since` on, by a fit from which what deviates in a first one is left out."""
    early = max(since - config.history, 0)
    deviation, expected = _fit_and_judge(count, phase_rate, np.ones(len(count)), early, config)
    usual = np.where(np.abs(deviation) < config.enter, 1.0, 0.0)
    usual[~judged] = 1.0
    fitted = _trailing(usual, config.history) >= config.min_history
    second, second_expected = _fit_and_judge(count, phase_rate, usual, since, config)
    deviation = np.where(judged, np.where(fitted, second, deviation), 0.0)
    return deviation, np.where(fitted, second_expected, expected)


def _fit_and_judge(
    count: Floats, phase_rate: Floats, weight: Floats, since: int, config: DetectorConfig
) -> tuple[Floats, Floats]:
    """Deviation and rate, fitted to what lies before each bucket; deviations before `since` stay 0."""
    floor = config.relative_floor**2
    n = np.maximum(_trailing(weight, config.history), 1.0)
    total = _trailing(weight * count, config.history)
    variance = (_trailing(weight * count**2, config.history) - total**2 / n) / np.maximum(n - 1, 1.0)
    rate = (total + 0.5) / n
    here = slice(since, None)
    recent = np.zeros(len(count))
    recent[here] = negative_binomial_z(
        count[here], rate[here], np.maximum((variance[here] - rate[here]) / rate[here] ** 2, floor)
    )
    known = ~np.isnan(phase_rate)
    if not known.any():
        return recent, rate
    mean, use = np.where(known, phase_rate, 0.0), np.where(known, weight, 0.0)
    excess = _trailing(use * ((count - mean) ** 2 - mean), config.history)
    dispersion = np.maximum(excess / np.maximum(_trailing(use * mean**2, config.history), _TINY), floor)
    known &= _trailing(use, config.history) >= config.min_history
    known[:since] = False
    phase = negative_binomial_z(count[known], phase_rate[known], dispersion[known])
    judged = np.where(phase < 0, phase, smaller_agreeing(phase, recent[known]))
    is_by_phase = judged == phase
    rate[known] = np.where(is_by_phase, phase_rate[known], rate[known])
    recent[known] = judged
    return recent, rate


def negative_binomial_z(count: Floats, mean: Floats, dispersion: Floats) -> Floats:
    """Signed z with the tail probability of a count: P(X >= count) above the mean, P(X <= count) below.

    X has variance mean + dispersion * mean^2; the tails are regularised incomplete beta functions
    (Johnson, Kemp and Kotz, Univariate Discrete Distributions, section 5.6).
    """
    from scipy.special import betainc, ndtri

    size = 1.0 / dispersion
    success = size / (size + mean)
    above = count > mean
    tail = np.empty(len(count))
    tail[above] = betainc(count[above], size[above], 1.0 - success[above])
    tail[~above] = betainc(size[~above], count[~above] + 1.0, success[~above])
    z: Floats = np.maximum(-ndtri(np.maximum(tail, _TINY)), 0.0)
    return np.where(above, z, -z)


def _trailing(values: Floats, history: int) -> Floats:
    total = np.concatenate([[0.0], np.cumsum(values)])
    here = np.arange(len(values))
    difference: Floats = total[here] - total[np.maximum(here - history, 0)]
    return difference


def _silence_goes_on(count: Floats, deviation: Floats, threshold: float) -> Bools:
    """A silence that was once improbable lasts until the series speaks, though the rate forgets it meanwhile."""
    here = np.arange(len(count))
    spoke = np.maximum.accumulate(np.where(count > 0, here, -1))
    alarmed = np.maximum.accumulate(np.where((count == 0) & (deviation <= -threshold), here, -1))
    goes_on: Bools = (count == 0) & (alarmed > spoke)
    return goes_on
