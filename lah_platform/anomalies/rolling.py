"""Trailing baselines of one series: location and scale of the values strictly before each value.

Nothing here knows of thresholds or episodes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

MAD_TO_SIGMA = 1.4826022185056018  # 1 / Phi^-1(3/4): makes the MAD of a normal sample estimate sigma
IQR_TO_SIGMA = 0.7413011092528009  # half of the above
MEAN_AD_TO_SIGMA = 1.2533141373155001  # sqrt(pi / 2)

_BLOCK_ROWS = 4096  # 4096 windows of 168 values are 5.5 MB: they stay in cache


@dataclass(frozen=True, slots=True)
class Baseline:
    """Per value, statistics of the up to `history` values before it; NaN where there is none before it."""

    count: Ints
    mean: Floats
    std: Floats
    median: Floats
    mad: Floats
    mean_ad: Floats
    q1: Floats
    q3: Floats


def trailing_baseline(values: Floats, history: int, since: int = 0) -> Baseline:
    """Statistics of values[i - history : i] for every i >= since, NaN before. Values must be finite.

    std has divisor n - 1 (0 for one value); quartiles interpolate linearly; mad is the median and mean_ad the mean
    of absolute deviations from the median. Each row is reduced on its own, in one order, so that appending values
    never changes an earlier row, not even by rounding.
    """
    size = len(values)
    count = np.minimum(np.arange(size, dtype=np.int64), history)
    padded = np.concatenate([np.full(history, np.nan), values])
    windows = np.lib.stride_tricks.sliding_window_view(padded, history)[:size]
    rows = np.full((7, size), np.nan)
    for begin in range(max(since, 1), size, _BLOCK_ROWS):
        block = slice(begin, min(begin + _BLOCK_ROWS, size))
        rows[:, block] = _block_statistics(windows[block], count[block])
    return Baseline(count, *rows)


def _block_statistics(windows: Floats, count: Ints) -> Floats:
    ordered = np.sort(windows, axis=1)  # NaN padding goes last
    present = ~np.isnan(windows)
    mean = np.where(present, windows, 0.0).sum(axis=1) / count
    squares = np.where(present, windows - mean[:, None], 0.0) ** 2
    std = np.sqrt(squares.sum(axis=1) / np.maximum(count - 1, 1))
    median = row_quantile(ordered, count, 0.5)
    distance = np.abs(windows - median[:, None])
    mean_ad = np.where(present, distance, 0.0).sum(axis=1) / count
    mad = row_quantile(np.sort(distance, axis=1), count, 0.5)
    return np.stack(
        [mean, std, median, mad, mean_ad, row_quantile(ordered, count, 0.25), row_quantile(ordered, count, 0.75)]
    )


def row_quantile(ordered: Floats, count: Ints, share: float) -> Floats:
    """Quantile of the first `count` (at least 1) values of each ascending row, interpolated linearly."""
    position = share * (count - 1)
    below = np.floor(position).astype(np.int64)
    above = np.minimum(below + 1, count - 1)
    low = np.take_along_axis(ordered, below[:, None], axis=1)[:, 0]
    high = np.take_along_axis(ordered, above[:, None], axis=1)[:, 0]
    result: Floats = low + (high - low) * (position - below)
    return result


def scale_floor(baseline: Baseline, relative_floor: float, unit: float) -> Floats:
    """Smallest scale a deviation may be measured in.

    A share of the level, at least `unit`; and where more than half of the values are equal, so that the MAD is zero,
    the mean absolute deviation (Iglewicz and Hoaglin, How to Detect and Handle Outliers, 1993).
    """
    collapsed = np.where(baseline.mad == 0.0, MEAN_AD_TO_SIGMA * baseline.mean_ad, 0.0)
    floor: Floats = np.maximum(np.maximum(relative_floor * np.abs(baseline.median), unit), collapsed)
    return floor


def small_sample_factor(count: Ints) -> Floats:
    """n / (n + 10): what a deviation shrinks by because its scale is an estimate from n values.

    A MAD from n values is as unsure as a standard deviation from 0.37 n, so deviations follow about Student's t with
    0.37 n degrees of freedom; at 4.5 the factor turns them into normal ones for n from 24 to 168.
    """
    factor: Floats = count / (count + 10.0)
    return factor


def smaller_agreeing(first: Floats, second: Floats) -> Floats:
    """Of two signed deviations the smaller where they agree in sign, else 0; where the second is NaN, the first."""
    agree = np.sign(first) == np.sign(second)
    both: Floats = np.where(agree, np.sign(first) * np.minimum(np.abs(first), np.abs(second)), 0.0)
    result: Floats = np.where(np.isnan(second), first, both)
    return result


def scatter(size: int, where: Any, values: Floats, fill: float) -> Floats:
    """Array of `size` holding `values` at `where` and `fill` elsewhere."""
    result = np.full(size, fill)
    result[where] = values
    return result
