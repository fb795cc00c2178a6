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


@dataclass(frozen=True, slots=True)
class DistributionPast:
    """What later buckets are compared with: how many were seen, the histograms of the last `history` of them laid end
    to end (`row` counts from the first of those), and the last scaled distances that were judged."""

    seen: int
    rows: int
    row: Ints
    keys: Ints
    counts: Ints
    scaled: Floats


_NO_INTS = np.zeros(0, dtype=np.int64)
NO_PAST = DistributionPast(0, 0, _NO_INTS, _NO_INTS, _NO_INTS, np.zeros(0))


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
    return continued(NO_PAST, row, keys, counts, size, unit, config)[0]


def continued(
    past: DistributionPast, row: Ints, keys: Ints, counts: Ints, size: int, unit: float, config: DetectorConfig
) -> tuple[DistributionVerdict, DistributionPast]:
    """`distribution_deviation` of further buckets after a past, equal to that of all in one go; and the new past."""
    row = np.concatenate([past.row, row + past.rows])
    keys, counts = np.concatenate([past.keys, keys]), np.concatenate([past.counts, counts])
    rows, history = past.rows + size, config.history
    verdict, scaled = _verdict(past, row, keys, counts, size, unit, config)
    first = max(rows - history, 0)
    kept = slice(int(np.searchsorted(row, first)), None)
    known = np.concatenate([past.scaled, scaled])[-history:]
    now = DistributionPast(past.seen + size, rows - first, row[kept] - first, keys[kept], counts[kept], known)
    return verdict, now


def _verdict(
    past: DistributionPast, row: Ints, keys: Ints, counts: Ints, size: int, unit: float, config: DetectorConfig
) -> tuple[DistributionVerdict, Floats]:
    """Of the last `size` buckets, and the scaled distances of those that were judged."""
    if len(keys) == 0 or size == 0:
        return DistributionVerdict(np.zeros(size), np.zeros(size), np.zeros(size)), np.zeros(0)
    bins = np.floor(octaves(keys, unit) * _BINS_PER_OCTAVE).astype(np.int64)
    distance, direction, n, n_before = _distances(row, bins - bins.min(), counts, past.rows, size, config.history)
    is_late = past.seen + np.arange(size) >= config.min_history
    judged = np.flatnonzero((n >= config.min_bucket_count) & is_late & (n_before > 0))
    weight = np.sqrt(n[judged] * (n_before[judged] / (n[judged] + n_before[judged])))
    scaled = distance[judged] * weight
    known = len(past.scaled)
    base = trailing_baseline(np.concatenate([past.scaled, scaled]), config.history, since=known)
    median, mad, count = base.median[known:], base.mad[known:], base.count[known:]
    floor = np.maximum(config.relative_floor * median, _DISTANCE_FLOOR)
    deviation = (scaled - median) / np.maximum(MAD_TO_SIGMA * mad, floor) * small_sample_factor(count)
    silent = (count < config.min_history) | (distance[judged] < config.min_shift_octaves) | (deviation < 0)
    deviation = np.where(silent, 0.0, deviation) * direction[judged]
    usual = scatter(size, judged, median / weight, 0.0)
    return DistributionVerdict(scatter(size, judged, deviation, 0.0), distance, usual), scaled


def _distances(
    row: Ints, bins: Ints, counts: Ints, skipped: int, size: int, history: int
) -> tuple[Floats, Floats, Ints, Ints]:
    """Of the `size` rows after the first `skipped`: distance, direction, count, and count of those before."""
    width, rows = int(bins.max()) + 1, skipped + size
    distance, direction = np.zeros(size), np.ones(size)
    n, n_before = np.zeros(size, dtype=np.int64), np.zeros(size, dtype=np.int64)
    for begin in range(skipped, rows, _BLOCK_ROWS):
        end, first = min(begin + _BLOCK_ROWS, rows), max(begin - history, 0)
        out = slice(begin - skipped, end - skipped)
        part = slice(*np.searchsorted(row, [first, end]))
        table = np.zeros((end - first, width), dtype=np.int64)
        np.add.at(table, (row[part] - first, bins[part]), counts[part])
        cumulative = np.cumsum(table, axis=1)
        running = np.concatenate([np.zeros((1, width), dtype=np.int64), np.cumsum(cumulative, axis=0)])
        here = np.arange(begin, end) - first
        before = running[here] - running[np.maximum(here - history, 0)]
        now = cumulative[here]
        n[out], n_before[out] = now[:, -1], before[:, -1]
        gap = before * _SHARE // np.maximum(before[:, -1:], 1) - now * _SHARE // np.maximum(now[:, -1:], 1)
        distance[out] = np.abs(gap).sum(axis=1) / (_SHARE * _BINS_PER_OCTAVE)
        direction[out] = np.where(gap.sum(axis=1) < 0, -1.0, 1.0)
    return distance, direction, n, n_before
