"""Aggregates as arrays: one group for each metric, series and bucket, with everything that merging needs.

Belongs here: what a group holds, picking and joining groups, and their frame. How groups are made of values is in
`values`, of other groups in `combine`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from decimal import Context, Decimal
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from lah_platform.rollups.histogram import quantiles
from lah_platform.rollups.metrics import METRICS, NUMBER_OF

__all__ = ["AGGREGATE_SCHEMA", "EXACT", "TIME", "UNITS_PER_ONE", "Aggregates", "fitting"]

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
_NAMES = pl.Series([metric.name for metric in METRICS])
_CONTEXT = Context(prec=60)
_ONE_UNIT = Decimal("1e-12")
_INT64 = range(-(2**63), 2**63)


@dataclass(frozen=True, eq=False)
class Aggregates:
    """Row i of every array is one group of values of METRICS[metric_of[i]].

    `starts_us`: where the bucket starts, µs since 1970 UTC. `exact_sums` are int64 or Python integers: of an integer
    metric the sum, of a decimal one its units of the twelfth place, of a float one 0, as `sums` is NaN for the other
    two. Group i's histogram is `hist_keys` (ascending) and `hist_counts` from `offsets[i]` up to `offsets[i + 1]`.
    """

    metric_of: Array
    series_ids: npt.NDArray[np.int64]
    starts_us: npt.NDArray[np.int64]
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

    @staticmethod
    def concat(parts: Sequence["Aggregates"]) -> "Aggregates":
        """The groups of all parts, in order; no parts are no groups."""
        if not parts:
            return _NOTHING
        joined = {
            column.name: np.concatenate([getattr(part, column.name) for part in parts])
            for column in fields(Aggregates)
            if column.name != "offsets"
        }
        sizes = np.concatenate([part.sizes for part in parts])
        return Aggregates(**joined, offsets=np.concatenate([[0], np.cumsum(sizes)]))

    @staticmethod
    def from_frame(frame: pl.DataFrame) -> "Aggregates":
        """The rows of a frame that has the columns of AGGREGATE_SCHEMA.

        ValueError when a row's metric is unknown, or its sum is exact and the metric's is not, or the other way round.
        """
        frame = frame.select(pl.col(name).cast(dtype) for name, dtype in AGGREGATE_SCHEMA.items())
        if unknown := set(frame.get_column("metric").unique()) - NUMBER_OF.keys():
            raise ValueError(f"no metric is called {min(unknown)!r}")
        metric_of = frame.get_column("metric").replace_strict(NUMBER_OF, return_dtype=pl.Int64).to_numpy()
        is_float = _is("float")[metric_of]
        if (frame.get_column("sum_exact").is_null().to_numpy() != is_float).any():
            raise ValueError("a metric has exact and rounded sums in one bucket: recompute the bucket from its events")
        units = frame.get_column("sum_exact").fill_null(0).to_physical().to_list()
        ones = _is("integer")[metric_of].tolist()
        counts = frame.get_column("hist_counts")
        sizes = counts.list.len().cast(pl.Int64).to_numpy()
        return Aggregates(
            metric_of=metric_of,
            series_ids=frame.get_column("series_id").to_numpy(),
            starts_us=frame.get_column("bucket_start").to_physical().to_numpy(),
            counts=frame.get_column("count").to_numpy(),
            sums=frame.get_column("sum").fill_null(np.nan).to_numpy(),
            exact_sums=fitting(
                [unit // UNITS_PER_ONE if is_one else unit for unit, is_one in zip(units, ones, strict=True)]
            ),
            low=frame.get_column("min").to_numpy(),
            high=frame.get_column("max").to_numpy(),
            means=frame.get_column("mean").to_numpy(),
            m2=frame.get_column("m2").to_numpy(),
            hist_keys=frame.get_column("hist_keys").explode(empty_as_null=False).cast(pl.Int64).to_numpy(),
            hist_counts=counts.explode(empty_as_null=False).to_numpy(),
            offsets=np.concatenate([[0], np.cumsum(sizes)]),
        )

    @property
    def sizes(self) -> npt.NDArray[np.int64]:
        """How many buckets each group's histogram has."""
        return np.diff(self.offsets)

    def take(self, groups: npt.NDArray[np.intp]) -> "Aggregates":
        """Those groups, in that order."""
        sizes = self.sizes[groups]
        offsets = np.concatenate([[0], np.cumsum(sizes)])
        buckets = np.arange(offsets[-1]) + np.repeat(self.offsets[groups] - offsets[:-1], sizes)
        taken = {
            column.name: getattr(self, column.name)[buckets if column.name in ("hist_keys", "hist_counts") else groups]
            for column in fields(Aggregates)
            if column.name != "offsets"
        }
        return Aggregates(**taken, offsets=offsets)

    def starting(self, starts_us: npt.NDArray[np.int64]) -> "Aggregates":
        """The same groups in buckets that start then."""
        return replace(self, starts_us=starts_us)

    def is_(self, exactness: str) -> npt.NDArray[np.bool_]:
        """Which groups are of metrics of that exactness."""
        return _is(exactness)[self.metric_of]

    def quantiles(self, q: float) -> npt.NDArray[np.float64]:
        """The nearest-rank quantile of each group: see `histogram.quantiles`."""
        return quantiles(self.hist_keys, self.hist_counts, self.offsets, self.low, self.high, q)

    def frame(self) -> pl.DataFrame:
        """The groups in AGGREGATE_SCHEMA, sorted by series, metric and bucket."""
        return pl.DataFrame(
            {
                "series_id": self.series_ids,
                "metric": _NAMES.gather(self.metric_of),
                "bucket_start": pl.Series(self.starts_us).cast(TIME),
                "count": self.counts,
                "sum": pl.Series(self.sums, nan_to_null=True),
                "sum_exact": self.exact_column(),
                "min": self.low,
                "max": self.high,
                "mean": self.means,
                "m2": self.m2,
                "hist_keys": self._lists(self.hist_keys.astype(np.int32)),
                "hist_counts": self._lists(self.hist_counts),
            },
            schema=AGGREGATE_SCHEMA,
        ).sort("series_id", "metric", "bucket_start")

    def exact_column(self) -> pl.Series:
        """The exact sums as EXACT, null for float metrics."""
        column = pl.Series([None], dtype=EXACT).new_from_index(0, len(self))
        for exactness, units in (("integer", UNITS_PER_ONE), ("decimal", 1)):
            if len(rows := np.flatnonzero(self.is_(exactness))):
                column = column.scatter(rows, _decimals(self.exact_sums[rows], units))
        return column

    def _lists(self, values: Array) -> pl.Series:
        groups = np.repeat(np.arange(len(self)), self.sizes)
        lists = pl.DataFrame({"group": groups, "list": values}).group_by("group", maintain_order=True).agg("list")
        return lists.get_column("list")


def fitting(integers: Sequence[int]) -> Array:
    """int64 when all of them fit, else Python integers."""
    fits = not integers or (min(integers) in _INT64 and max(integers) in _INT64)
    return np.array(integers, np.int64 if fits else object)


def _is(exactness: str) -> npt.NDArray[np.bool_]:
    return np.array([metric.exactness == exactness for metric in METRICS], np.bool_)


def _decimals(sums: Array, units: int) -> pl.Series:
    """`sums` in so many units of the twelfth place, as decimals."""
    if sums.dtype == object:
        return pl.Series([_CONTEXT.scaleb(Decimal(int(each) * units), -12) for each in sums], dtype=EXACT)
    if units == UNITS_PER_ONE:
        return pl.Series(sums).cast(EXACT)
    return pl.Series(sums).cast(pl.Decimal(38, 0)) * pl.Series([_ONE_UNIT], dtype=EXACT)


_NO_INTEGERS, _NO_DOUBLES = np.empty(0, np.int64), np.empty(0, np.float64)
_NOTHING = Aggregates(
    *(_NO_INTEGERS,) * 4,
    _NO_DOUBLES,
    _NO_INTEGERS,
    *(_NO_DOUBLES,) * 4,
    _NO_INTEGERS,
    _NO_INTEGERS,
    np.zeros(1, np.int64),
)
