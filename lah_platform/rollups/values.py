"""Values of metrics to aggregates by minute, in one sort.

Belongs here: the arithmetic on arrays that landing's partials and recomputed minutes share. How aggregates of shorter
windows become longer ones is in `combine`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from lah_platform.rollups.aggregates import EXACT, UNITS_PER_ONE, Aggregates
from lah_platform.rollups.combine import codes_of, exactly_summable, starts_of_runs
from lah_platform.rollups.histogram import KEY_SPAN, keys
from lah_platform.rollups.metrics import MAX_MAGNITUDE, NUMBER_OF, Metric

__all__ = ["MetricValues", "aggregate", "units_of"]

Array = npt.NDArray[Any]
_MINUTE_US = 60_000_000
_MOST_CODES = 2**63 // KEY_SPAN
_SURELY_EXACT = 2**53


@dataclass(frozen=True)
class MetricValues:
    """The values of one metric, one event each: series, time in µs since 1970 UTC, and the value.

    `values`: doubles, int64, or for a decimal metric units of its twelfth place as int64 or Python integers.
    """

    metric: Metric
    series_ids: npt.NDArray[np.int64]
    times_us: npt.NDArray[np.int64]
    values: Array


def units_of(decimals: pl.Series) -> Array:
    """Units of the twelfth place of a series without nulls: int64, or Python integers where those are too small."""
    units = decimals.cast(EXACT).to_physical()
    if units.is_between(-(2**63), 2**63 - 1).all():
        return units.cast(pl.Int64).to_numpy()
    return np.array(units.to_list(), object)


def aggregate(parts: Sequence[MetricValues]) -> Aggregates:
    """The values by metric, series and minute.

    ValueError when a double is NaN, infinite or beyond ±MAX_MAGNITUDE.
    """
    parts = [part for part in parts if len(part.values)]
    if not parts:
        return Aggregates.concat([])
    doubles = np.concatenate([_doubles(part) for part in parts])
    series_ids = np.concatenate([part.series_ids for part in parts])
    minutes = np.concatenate([part.times_us for part in parts]) // _MINUTE_US
    metric_of = np.repeat([NUMBER_OF[part.metric.name] for part in parts], [len(part.values) for part in parts])
    codes = codes_of([metric_of, series_ids, minutes], most=_MOST_CODES)
    sort_keys = keys(doubles)
    sort_keys += KEY_SPAN // 2
    sort_keys += codes * KEY_SPAN
    order = np.argsort(sort_keys)  # five times as fast as the stable kind
    sort_keys, doubles = sort_keys[order], doubles[order]
    buckets = starts_of_runs(sort_keys)
    groups = starts_of_runs(sort_keys // KEY_SPAN)

    counts = np.diff(groups, append=len(doubles))
    low, high = np.minimum.reduceat(doubles, groups), np.maximum.reduceat(doubles, groups)
    sums = np.add.reduceat(doubles, groups)
    # a mean rounded past the extremes would give constants a deviation
    means = np.clip(sums / counts, low, high)
    # squared deviations about the group's own mean in a second pass, so 1e9 + noise keeps its noise
    # (Chan, Golub and LeVeque 1979, STAN-CS-79-773)
    m2 = np.add.reduceat((doubles - np.repeat(means, counts)) ** 2, groups)
    of_group = order[groups]
    made = Aggregates(
        metric_of=metric_of[of_group],
        series_ids=series_ids[of_group],
        starts_us=minutes[of_group] * _MINUTE_US,
        counts=counts,
        sums=sums,
        exact_sums=np.add.reduceat(_exact_values(parts)[order], groups),
        low=low,
        high=high,
        means=means,
        m2=m2,
        hist_keys=sort_keys[buckets] % KEY_SPAN - KEY_SPAN // 2,
        hist_counts=np.diff(buckets, append=len(doubles)),
        offsets=np.append(np.searchsorted(buckets, groups), len(buckets)).astype(np.int64),
    )
    sums[~made.is_("float")] = np.nan
    return made


def _doubles(part: MetricValues) -> npt.NDArray[np.float64]:
    if part.metric.exactness == "decimal":
        if part.values.dtype == np.int64 and np.abs(part.values).max() <= _SURELY_EXACT:
            return part.values / np.float64(UNITS_PER_ONE)
        return np.array([units / UNITS_PER_ONE for units in part.values.tolist()], np.float64)
    doubles = part.values.astype(np.float64)
    if part.metric.exactness == "float" and not (np.abs(doubles) <= MAX_MAGNITUDE).all():
        raise ValueError(
            f"{part.metric.name} holds NaN, an infinity or a value beyond ±{MAX_MAGNITUDE:g}: "
            "decoding has to refuse such events, for their moments cannot be kept in doubles"
        )
    return doubles


def _exact_values(parts: Sequence[MetricValues]) -> Array:
    """What is summed to the last digit, 0 for a float."""
    values = [
        np.zeros(len(part.values), np.int64) if part.metric.exactness == "float" else part.values for part in parts
    ]
    return exactly_summable(np.concatenate(values))
