"""What a bucket usually looks like at its hour of day, or at its hour of week once two weeks are known.

Hours are UTC. Buckets shorter than an hour are compared with their hour, longer ones with themselves; a day has
no hour, so days are compared with the same weekday; weeks have no phase.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lah_platform.anomalies.config import DetectorConfig
from lah_platform.anomalies.rolling import MAD_TO_SIGMA, Bools, Floats, Ints, row_quantile

HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US


@dataclass(frozen=True, slots=True)
class PhaseReference:
    """Per bucket: level, spread (as a standard deviation) and number of the same-phase slots; NaN where unknown."""

    level: Floats
    spread: Floats
    samples: Ints
    is_weekly: Bools


def slot_us(step_us: int) -> int | None:
    """Length in microseconds of a phase slot for buckets of `step_us`; None where a bucket has no phase."""
    slot = max(step_us, HOUR_US)
    return slot if DAY_US % slot == 0 else None


def slot_medians(slots: Ints, values: Floats) -> Floats:
    """Median value per slot from the first slot to the last; NaN where a slot has no bucket. Slots ascend."""
    order = np.lexsort((values, slots))
    ordered, (_, begin, size) = values[order], np.unique(slots[order], return_index=True, return_counts=True)
    medians = (ordered[begin + (size - 1) // 2] + ordered[begin + size // 2]) / 2
    dense = np.full(slots[-1] - slots[0] + 1, np.nan)
    dense[slots[order][begin] - slots[0]] = medians
    return dense


def slot_means(slots: Ints, values: Floats) -> Floats:
    """Mean value per slot, as `slot_medians`."""
    offset = slots - slots[0]
    size = np.bincount(offset)
    means: Floats = np.where(size > 0, np.bincount(offset, weights=values) / np.maximum(size, 1), np.nan)
    return means


def phase_reference(
    observed: Floats, slots: Ints, by_slot: Floats, slots_per_day: int, config: DetectorConfig, since: int = 0
) -> PhaseReference:
    """Median and MAD of the slots 1..n days (or 7, 14.. days) before each bucket's slot: earlier days only.

    Of the buckets from `since` on; `by_slot` begins at the slot of the first.

    Two weeks are too few for a median that one odd week cannot move, so with two the nearer one is the level.
    """
    first = slots[0]
    observed, slots = observed[since:], slots[since:]
    weekly = _lagged(by_slot, slots - first, 7 * slots_per_day, config.week_cycles)
    level, spread, samples = _summary(weekly, config.min_week_cycles)
    pair = samples == 2
    if pair.any():
        distance = np.where(np.isnan(weekly[pair]), np.inf, np.abs(weekly[pair] - observed[pair, None]))
        level[pair] = np.take_along_axis(weekly[pair], distance.argmin(axis=1)[:, None], axis=1)[:, 0]
    is_weekly = ~np.isnan(level)
    if slots_per_day > 1:
        daily = _summary(_lagged(by_slot, slots - first, slots_per_day, config.day_cycles), config.min_day_cycles)
        level = np.where(is_weekly, level, daily[0])
        spread = np.where(is_weekly, spread, daily[1])
        samples = np.where(is_weekly, samples, daily[2])
    return PhaseReference(level, spread, samples, is_weekly)


def _lagged(by_slot: Floats, offset: Ints, period: int, cycles: int) -> Floats:
    source = offset[:, None] - period * np.arange(1, cycles + 1)
    return np.where(source >= 0, by_slot[np.maximum(source, 0)], np.nan)


def _summary(samples: Floats, minimum: int) -> tuple[Floats, Floats, Ints]:
    count = (~np.isnan(samples)).sum(axis=1)
    enough = count >= minimum
    level, spread = np.full(len(samples), np.nan), np.full(len(samples), np.nan)
    kept, size = samples[enough], count[enough]
    level[enough] = row_quantile(np.sort(kept, axis=1), size, 0.5)  # NaN sort last
    distance = np.sort(np.abs(kept - level[enough, None]), axis=1)
    spread[enough] = MAD_TO_SIGMA * row_quantile(distance, size, 0.5)
    return level, spread, np.where(enough, count, 0)
