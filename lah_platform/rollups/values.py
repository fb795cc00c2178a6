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

__all__ = ["AGGREGATE_SCHEMA", "EXACT", "TIME", "UNITS_PER_ONE", "MetricValues", "aggregate_values", "units_of"]

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


def aggregate_values(parts: Sequence[MetricValues]) -> pl.DataFrame:
    """One row per (series, metric, minute) that has values, in AGGREGATE_SCHEMA, sorted by these three.

    ValueError when a double is NaN, infinite or beyond ±MAX_MAGNITUDE.
    """
    parts = [part for part in parts if len(part.values)]
    if not parts:
        return AGGREGATE_SCHEMA.to_frame()
    doubles = np.concatenate([_doubles(part) for part in parts])
    series_ids = np.concatenate([part.series_ids for part in parts])
    minutes = np.concatenate([part.times_us for part in parts]) // _MINUTE_US
    of_part = np.repeat(np.arange(len(parts)), [len(part.values) for part in parts])
    codes = _codes(of_part, series_ids, minutes)
    sort_keys = codes * KEY_SPAN + (keys(doubles) + KEY_SPAN // 2)
    order = np.argsort(sort_keys, kind="stable")
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
    metrics = of_part[order[groups]]
    is_float = np.array([not part.metric.is_exact for part in parts], np.bool_)[metrics]
    bucket_keys = (sort_keys[buckets] % KEY_SPAN - KEY_SPAN // 2).astype(np.int32)
    bucket_counts = np.diff(buckets, append=len(doubles))
    offsets = np.append(np.searchsorted(buckets, groups), len(buckets)).astype(np.int64)
    return pl.DataFrame(
        {
            "series_id": series_ids[order[groups]],
            "metric": pl.Series([part.metric.name for part in parts]).gather(metrics),
            "bucket_start": pl.Series(minutes[order[groups]] * _MINUTE_US).cast(TIME),
            "count": counts,
            "sum": pl.Series(np.where(is_float, sums, np.nan), nan_to_null=True),
            "sum_exact": _exact_sums(parts, order, groups, metrics),
            "min": low,
            "max": high,
            "mean": means,
            "m2": m2,
            "hist_keys": _lists(bucket_keys, offsets),
            "hist_counts": _lists(bucket_counts, offsets),
        },
        schema=AGGREGATE_SCHEMA,
    ).sort("series_id", "metric", "bucket_start")


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


def _exact_sums(parts: Sequence[MetricValues], order: Array, groups: Array, metrics: Array) -> pl.Series:
    """Sums of integer and decimal metrics to the last digit, null for float metrics."""
    sums = pl.Series([None], dtype=EXACT).new_from_index(0, len(groups))
    for exactness in ("integer", "decimal"):
        wanted = np.array([part.metric.exactness == exactness for part in parts], np.bool_)
        rows = np.flatnonzero(wanted[metrics])
        if not len(rows):
            continue
        values = np.concatenate(
            [
                part.values if take else np.zeros(len(part.values), np.int64)
                for part, take in zip(parts, wanted, strict=True)
            ]
        )[order]
        if values.dtype != object and np.abs(values.astype(np.float64)).sum() >= _SURELY_FITS:
            values = values.astype(object)
        exact = np.add.reduceat(values, groups)[rows]
        sums = sums.scatter(rows, _decimals(exact, 1 if exactness == "decimal" else UNITS_PER_ONE))
    return sums


def _decimals(sums: Array, units: int) -> pl.Series:
    """`sums` in so many units of the twelfth place, as decimals."""
    if sums.dtype == object:
        return pl.Series([_CONTEXT.scaleb(Decimal(int(each) * units), -12) for each in sums], dtype=EXACT)
    if units == UNITS_PER_ONE:
        return pl.Series(sums).cast(EXACT)
    return pl.Series(sums).cast(pl.Decimal(38, 0)) * pl.Series([_ONE_UNIT], dtype=EXACT)


def _lists(values: Array, offsets: npt.NDArray[np.int64]) -> pl.Series:
    """Group i's list is `values[offsets[i]:offsets[i + 1]]`; no group is empty."""
    groups = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    lists = pl.DataFrame({"group": groups, "list": values}).group_by("group", maintain_order=True).agg("list")
    return lists.get_column("list")
