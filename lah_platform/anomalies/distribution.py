"""How far a bucket's histogram lies from the merged histogram of the buckets before it.

The median may stand still while the tail moves: the distance sees both. The histogram's keys are those of the
rollups: base 2, scale 5, key = index + 2**20 for positive values, mirrored for negative ones, 0 for zero.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lah_platform.anomalies.config import DetectorConfig
from lah_platform.anomalies.rolling import MAD_TO_SIGMA, Floats, Ints, scatter, small_sample_factor, trailing_baseline

_KEY_ZERO_INDEX = 2**20
_KEYS_PER_OCTAVE = 32
_BINS_PER_OCTAVE = 32  # as fine as the keys: coarser bins made a move of 5 % look like 9 % at their borders
_SHARE = 2**20  # shares are whole parts of this, so that sums are exact whatever columns later data add
_BLOCK_ROWS = 2048
_DISTANCE_FLOOR = 0.1  # of the scaled distance: below it a history of distances is flat for our purposes


@dataclass(frozen=True, slots=True)
class DistributionVerdict:
    """Per bucket: deviation signed by the direction of the move (0: nothing to say), distance and its usual value,
    both in octaves."""

    deviation: Floats
    distance: Floats
    usual: Floats


def octaves(keys: Ints, unit: float) -> Floats:
    """Where a key lies on an axis that is linear near zero and logarithmic beyond `unit`: +-log2(1 + |v| / unit)."""
    exponent = (np.abs(keys) - _KEY_ZERO_INDEX + 0.5) / _KEYS_PER_OCTAVE - np.log2(unit)
    size: Floats = np.sign(keys) * np.logaddexp2(0.0, exponent)
    return size


def distribution_deviation(
    row: Ints, keys: Ints, counts: Ints, size: int, unit: float, config: DetectorConfig
) -> DistributionVerdict:
    """Wasserstein-1 distance of each bucket from the up to `history` before it, scored against earlier distances.

    `row` says which of the `size` buckets a key and count belong to, ascending. The distance, in octaves, is scaled
    by sqrt(n N / (n + N)), under which the noise of sampling does not depend on the counts n and N (as in the
    two-sample Kolmogorov-Smirnov test), and compared with the median and MAD of the same of earlier buckets.
    Says nothing before 2 * min_history buckets, nor on buckets of fewer than `min_bucket_count` values.
    """
    nothing = DistributionVerdict(np.zeros(size), np.zeros(size), np.zeros(size))
    bins = np.floor(octaves(keys, unit) * _BINS_PER_OCTAVE).astype(np.int64)
    if len(bins) == 0 or bins.min() == bins.max():
        return nothing
    distance, direction, n, n_before = _distances(row, bins - bins.min(), counts, size, config.history)
    judged = np.flatnonzero((n >= config.min_bucket_count) & (np.arange(size) >= config.min_history) & (n_before > 0))
    weight = np.sqrt(n[judged] * (n_before[judged] / (n[judged] + n_before[judged])))
    past = trailing_baseline(distance[judged] * weight, config.history)
    floor = np.maximum(config.relative_floor * past.median, _DISTANCE_FLOOR)
    deviation = (distance[judged] * weight - past.median) / np.maximum(MAD_TO_SIGMA * past.mad, floor)
    deviation *= small_sample_factor(past.count)
    silent = (past.count < config.min_history) | (distance[judged] < config.min_shift_octaves) | (deviation < 0)
    deviation = np.where(silent, 0.0, deviation) * direction[judged]
    return DistributionVerdict(
        scatter(size, judged, deviation, 0.0), distance, scatter(size, judged, past.median / weight, 0.0)
    )


def _distances(row: Ints, bins: Ints, counts: Ints, size: int, history: int) -> tuple[Floats, Floats, Ints, Ints]:
    width = int(bins.max()) + 1
    distance, direction = np.zeros(size), np.ones(size)
    n, n_before = np.zeros(size, dtype=np.int64), np.zeros(size, dtype=np.int64)
    for begin in range(0, size, _BLOCK_ROWS):
        end, first = min(begin + _BLOCK_ROWS, size), max(begin - history, 0)
        part = slice(*np.searchsorted(row, [first, end]))
        table = np.zeros((end - first, width), dtype=np.int64)
        np.add.at(table, (row[part] - first, bins[part]), counts[part])
        cumulative = np.cumsum(table, axis=1)
        running = np.concatenate([np.zeros((1, width), dtype=np.int64), np.cumsum(cumulative, axis=0)])
        here = np.arange(begin, end) - first
        before = running[here] - running[np.maximum(here - history, 0)]
        now = cumulative[here]
        n[begin:end], n_before[begin:end] = now[:, -1], before[:, -1]
        gap = before * _SHARE // np.maximum(before[:, -1:], 1) - now * _SHARE // np.maximum(now[:, -1:], 1)
        distance[begin:end] = np.abs(gap).sum(axis=1) / (_SHARE * _BINS_PER_OCTAVE)
        direction[begin:end] = np.where(gap.sum(axis=1) < 0, -1.0, 1.0)
    return distance, direction, n, n_before
