"""How groups become fewer groups: the arithmetic of merging aggregates, and its rounding.

Counts add, sums of integers and decimals add exactly, extremes are taken, moments merge as in Chan, Golub and LeVeque
(1979, STAN-CS-79-773), histograms add by key.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from lah_platform.rollups.aggregates import Aggregates
from lah_platform.rollups.histogram import KEY_SPAN
from lah_platform.rollups.windows import WINDOWS, Window

__all__ = ["codes_of", "combine", "exactly_summable", "merge", "roll_up", "starts_of_runs"]

Array = npt.NDArray[Any]
_MINUTE_US = 60_000_000
_DENSE = 8  # cells of a table for each bucket, at most
_SURELY_FITS = 2.0**62


def roll_up(minutes: Aggregates) -> dict[str, Aggregates]:
    """Every window's groups by the window's name, each made of its source's; of `minutes` there is one a group."""
    levels: dict[str, Aggregates] = {}
    for each in WINDOWS:
        levels[each.name] = minutes if each.source is None else _longer(levels[each.source.name], each)
    return levels


def _longer(groups: Aggregates, to: Window) -> Aggregates:
    """Merge groups of which there is one a bucket: nothing meets where each bucket of `to` holds one of theirs."""
    starts = np.unique(groups.starts_us)
    if len(np.unique(to.floor_us(starts))) == len(starts):
        return groups.starting(to.floor_us(groups.starts_us))
    return merge(groups, to)


def merge(parts: Aggregates, to: Window) -> Aggregates:
    """The groups of `to` from those of any windows that fit into it, any number of them a bucket."""
    parts = parts.starting(to.floor_us(parts.starts_us))
    return combine(parts)[0]


def combine(parts: Aggregates, beside: Array | None = None) -> tuple[Aggregates, npt.NDArray[np.int64]]:
    """One group for each metric, series and bucket, and for each of `parts` the place of the group it went into.

    `beside` (one integer a part) keeps apart what is otherwise the same group. The groups' order has no meaning.
    """
    if not len(parts):
        return parts, np.empty(0, np.int64)
    more = [] if beside is None else [beside]
    codes = codes_of([*more, parts.metric_of, parts.series_ids, parts.starts_us // _MINUTE_US], most=2**63)
    order = np.argsort(codes)
    groups = starts_of_runs(codes[order])
    number_in_order = np.repeat(np.arange(len(groups)), np.diff(groups, append=len(codes)))
    group_of = np.empty(len(codes), np.int64)
    group_of[order] = number_in_order

    counts = parts.counts[order]
    totals = np.add.reduceat(counts, groups)
    low, high = np.minimum.reduceat(parts.low[order], groups), np.maximum.reduceat(parts.high[order], groups)
    means = parts.means[order]
    # a mean rounded past the extremes would give constants a deviation
    centres = np.clip(np.add.reduceat(means * counts, groups) / totals, low, high)
    deviations = means - centres[number_in_order]
    first = order[groups]
    hist_keys, hist_counts, offsets = _histograms(parts, group_of, len(groups))
    return Aggregates(
        metric_of=parts.metric_of[first],
        series_ids=parts.series_ids[first],
        starts_us=parts.starts_us[first],
        counts=totals,
        sums=np.add.reduceat(parts.sums[order], groups),
        exact_sums=np.add.reduceat(exactly_summable(parts.exact_sums)[order], groups),
        low=low,
        high=high,
        means=centres,
        m2=np.add.reduceat(deviations * deviations * counts + parts.m2[order], groups),
        hist_keys=hist_keys,
        hist_counts=hist_counts,
        offsets=offsets,
    ), group_of


def _histograms(parts: Aggregates, group_of: npt.NDArray[np.int64], groups: int) -> tuple[Array, Array, Array]:
    keys, first = parts.hist_keys, int(parts.hist_keys[parts.hist_keys > 0].min(initial=KEY_SPAN))
    span = int(keys.max(initial=0)) - first + 2
    if keys.min(initial=0) == 0 and 0 < groups * span <= _DENSE * len(keys):
        return _dense_histograms(parts, group_of, groups, first, span)
    # group and key share one integer: one sort orders both
    packed = np.repeat(group_of * KEY_SPAN + KEY_SPAN // 2, parts.sizes) + parts.hist_keys
    order = np.argsort(packed)
    packed = packed[order]
    buckets = starts_of_runs(packed)
    counts = np.add.reduceat(parts.hist_counts[order], buckets)
    packed = packed[buckets]
    offsets = np.searchsorted(packed, np.arange(groups + 1) * KEY_SPAN)
    return packed % KEY_SPAN - KEY_SPAN // 2, counts, offsets.astype(np.int64)


def _dense_histograms(
    parts: Aggregates, group_of: npt.NDArray[np.int64], groups: int, first: int, span: int
) -> tuple[Array, Array, Array]:
    """The same by a table of all groups and keys: 0, then `first` and so on; ten times as fast as sorting."""
    table = np.zeros(groups * span, np.int64)
    places = np.repeat(group_of * span, parts.sizes) + np.maximum(parts.hist_keys - (first - 1), 0)
    np.add.at(table, places, parts.hist_counts)
    found = np.flatnonzero(table)
    offsets = np.searchsorted(found, np.arange(groups + 1) * span)
    keys = found % span
    return np.where(keys == 0, 0, keys + (first - 1)), table[found], offsets.astype(np.int64)


def codes_of(columns: Sequence[Array], *, most: int) -> npt.NDArray[np.int64]:
    """One integer below `most` for each combination of the columns' values, of which there are fewer."""
    codes = np.zeros(len(columns[0]), np.int64)
    span = 1
    for column in columns:
        least = int(column.min())
        values = int(column.max()) - least + 1
        if span * values >= most:
            column, codes = (np.unique(each, return_inverse=True)[1] for each in (column, codes))
            least, values, span = 0, int(column.max()) + 1, int(codes.max()) + 1
        codes *= values
        codes += column
        codes -= least
        span *= values
    return codes


def starts_of_runs(ordered: Array) -> npt.NDArray[np.intp]:
    """Where each run of equal values starts."""
    return np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))


def exactly_summable(integers: Array) -> Array:
    """The same as int64, or as Python integers where a sum might not fit."""
    if integers.dtype == object or not len(integers):
        return integers
    most = max(-int(integers.min()), int(integers.max()))  # cheaper to ask than the sum, and mostly answer enough
    if most * len(integers) < _SURELY_FITS or np.abs(integers.astype(np.float64)).sum() < _SURELY_FITS:
        return integers
    return integers.astype(object)
