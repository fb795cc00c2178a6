"""Values of metrics to aggregates by minute, in one sort.

Belongs here: the arithmetic on arrays that landing's partials and recomputed minutes share. How aggregates of shorter
windows become longer ones is in `combine`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Context, Decimal
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from lah_platform.rollups.histogram import KEY_SPAN, keys
from lah_platform.rollups.metrics import MAX_MAGNITUDE, Metric

__all__ = [
    "AGGREGATE_SCHEMA",
    "EXACT",
    "TIME",
    "UNITS_PER_ONE",
    "Aggregates",
    "MetricValues",
    "aggregate",
    "aggregate_values",
    "lists",
    "units_of",
]

TIME = pl.Datetime("us", "UTC")
EXACT = pl.Decimal(38, 12)
AGGREGATE_SCHEMA = pl.Schema(
    {
        "series_id": pl.Int64(),
        "metric": pl.String(),
        "bucket_start": TIME,
        "count": pl.Int64(),
        "sum": pl.Float64(),
        "sum_exact": EXACT,
        "min": pl.Float64(),
        "max": pl.Float64(),
        "mean": pl.Float64(),
        "m2": pl.Float64(),
        "hist_keys": pl.List(pl.Int32()),
        "hist_counts": pl.List(pl.Int64()),
    }
)
UNITS_PER_ONE = 10**12
"""Decimals are counted in units of their twelfth place."""

Array = npt.NDArray[Any]
_MINUTE_US = 60_000_000
_MOST_CODES = 2**63 // KEY_SPAN
_SURELY_EXACT = 2**53
_SURELY_FITS = 2.0**62
_CONTEXT = Context(prec=60)
_ONE_UNIT = Decimal("1e-12")


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


@dataclass(frozen=True)
class Aggregates:
    """One group for each (metric, series, minute) that has values; row i of every array is one group.

    `exact_sums` are int64 or Python integers: of an integer metric the sum, of a decimal one its units of the twelfth
    place, of a float one without meaning, as `sums` is for the other two. Group i's histogram is `hist_keys` and
    `hist_counts` from `offsets[i]` up to `offsets[i + 1]`.
    """

    metrics: Sequence[Metric]
    metric_of: Array
    series_ids: npt.NDArray[np.int64]
    minutes_us: npt.NDArray[np.int64]
    counts: npt.NDArray[np.int64]
    sums: npt.NDArray[np.float64]
    exact_sums: Array
    low: npt.NDArray[np.float64]
    high: npt.NDArray[np.float64]
    means: npt.NDArray[np.float64]
    m2: npt.NDArray[np.float64]
    hist_keys: npt.NDArray[np.int64]
    hist_counts: npt.NDArray[np.int64]
    offsets: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.counts)

    def take(self, groups: npt.NDArray[np.intp]) -> "Aggregates":
        """Those groups, in that order."""
        if len(groups) == len(self):
            return self
        buckets = np.concatenate([np.arange(*self.offsets[at : at + 2]) for at in groups.tolist()])
        return Aggregates(
            metrics=self.metrics,
            metric_of=self.metric_of[groups],
            series_ids=self.series_ids[groups],
            minutes_us=self.minutes_us[groups],
            counts=self.counts[groups],
            sums=self.sums[groups],
            exact_sums=self.exact_sums[groups],
            low=self.low[groups],
            high=self.high[groups],
            means=self.means[groups],
            m2=self.m2[groups],
            hist_keys=self.hist_keys[buckets],
            hist_counts=self.hist_counts[buckets],
            offsets=np.concatenate([[0], np.cumsum(np.diff(self.offsets)[groups])]),
        )

    def is_(self, exactness: str) -> npt.NDArray[np.bool_]:
        """Which groups are of metrics of that exactness."""
        return np.array([metric.exactness == exactness for metric in self.metrics], np.bool_)[self.metric_of]

    def frame(self) -> pl.DataFrame:
        """The groups in AGGREGATE_SCHEMA, sorted by series, metric and minute."""
        return pl.DataFrame(
            {
                "series_id": self.series_ids,
                "metric": pl.Series([metric.name for metric in self.metrics]).gather(self.metric_of),
                "bucket_start": pl.Series(self.minutes_us).cast(TIME),
                "count": self.counts,
                "sum": pl.Series(np.where(self.is_("float"), self.sums, np.nan), nan_to_null=True),
                "sum_exact": self._exact_column(),
                "min": self.low,
                "max": self.high,
                "mean": self.means,
                "m2": self.m2,
                "hist_keys": lists(self.hist_keys.astype(np.int32), self.offsets),
                "hist_counts": lists(self.hist_counts, self.offsets),
            },
            schema=AGGREGATE_SCHEMA,
        ).sort("series_id", "metric", "bucket_start")

    def _exact_column(self) -> pl.Series:
        column = pl.Series([None], dtype=EXACT).new_from_index(0, len(self))
        for exactness, units in (("integer", UNITS_PER_ONE), ("decimal", 1)):
            if len(rows := np.flatnonzero(self.is_(exactness))):
                column = column.scatter(rows, _decimals(self.exact_sums[rows], units))
        return column


def aggregate_values(parts: Sequence[MetricValues]) -> pl.DataFrame:
    """`aggregate` as a frame."""
    made = aggregate(parts)
    return AGGREGATE_SCHEMA.to_frame() if made is None else made.frame()


def aggregate(parts: Sequence[MetricValues]) -> Aggregates | None:
    """The values by metric, series and minute; None when there are none.

    ValueError when a double is NaN, infinite or beyond ±MAX_MAGNITUDE.
    """
    parts = [part for part in parts if len(part.values)]
    if not parts:
        return None
    doubles = np.concatenate([_doubles(part) for part in parts])
    series_ids = np.concatenate([part.series_ids for part in parts])
    minutes = np.concatenate([part.times_us for part in parts]) // _MINUTE_US
    metrics = list({part.metric.name: part.metric for part in parts}.values())
    number = {metric.name: at for at, metric in enumerate(metrics)}
    metric_of = np.repeat([number[part.metric.name] for part in parts], [len(part.values) for part in parts])
    codes = _codes(metric_of, series_ids, minutes)
    sort_keys = codes * KEY_SPAN + (keys(doubles) + KEY_SPAN // 2)
    order = np.argsort(sort_keys)  # five times as fast as the stable kind
    sort_keys, doubles = sort_keys[order], doubles[order]
    buckets = _starts(sort_keys)
    groups = _starts(sort_keys // KEY_SPAN)

    counts = np.diff(groups, append=len(doubles))
    low, high = np.minimum.reduceat(doubles, groups), np.maximum.reduceat(doubles, groups)
    sums = np.add.reduceat(doubles, groups)
    # a mean rounded past the extremes would give constants a deviation
    means = np.clip(sums / counts, low, high)
    # squared deviations about the group's own mean in a second pass, so 1e9 + noise keeps its noise
    # (Chan, Golub and LeVeque 1979, STAN-CS-79-773)
    m2 = np.add.reduceat((doubles - np.repeat(means, counts)) ** 2, groups)
    of_group = order[groups]
    return Aggregates(
        metrics=metrics,
        metric_of=metric_of[of_group],
        series_ids=series_ids[of_group],
        minutes_us=minutes[of_group] * _MINUTE_US,
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


def _codes(*columns: Array) -> npt.NDArray[np.int64]:
    """One integer for each combination of the columns' values."""
    codes = np.zeros(len(columns[0]), np.int64)
    most = 1
    for column in columns:
        dense = column - column.min()
        span = int(dense.max()) + 1
        if most * span >= _MOST_CODES:
            dense = np.unique(column, return_inverse=True)[1]
            codes, span = np.unique(codes, return_inverse=True)[1], int(dense.max()) + 1
            most = int(codes.max()) + 1
        codes = codes * span + dense
        most *= span
    return codes


def _starts(ordered: npt.NDArray[np.int64]) -> npt.NDArray[np.intp]:
    """Where each run of equal values starts."""
    return np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))


def _exact_values(parts: Sequence[MetricValues]) -> Array:
    """What is summed to the last digit, 0 for a float: int64, or Python integers where a sum might not fit."""
    values = [
        np.zeros(len(part.values), np.int64) if part.metric.exactness == "float" else part.values for part in parts
    ]
    together = np.concatenate(values)
    if together.dtype != object and np.abs(together.astype(np.float64)).sum() >= _SURELY_FITS:
        return together.astype(object)
    return together


def _decimals(sums: Array, units: int) -> pl.Series:
    """`sums` in so many units of the twelfth place, as decimals."""
    if sums.dtype == object:
        return pl.Series([_CONTEXT.scaleb(Decimal(int(each) * units), -12) for each in sums], dtype=EXACT)
    if units == UNITS_PER_ONE:
        return pl.Series(sums).cast(EXACT)
    return pl.Series(sums).cast(pl.Decimal(38, 0)) * pl.Series([_ONE_UNIT], dtype=EXACT)


def lists(values: Array, offsets: npt.NDArray[np.int64]) -> pl.Series:
    """Group i's list is `values[offsets[i]:offsets[i + 1]]`; no group is empty."""
    groups = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    lists = pl.DataFrame({"group": groups, "list": values}).group_by("group", maintain_order=True).agg("list")
    return lists.get_column("list")
