"""From points with gaps to regular series: what stands in a missing bucket, and how long a season is.

Does not belong here: methods.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl

__all__ = ["Bools", "Floats", "Gap", "RegularSeries", "regular_series", "seasons_of"]

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Gap = Literal["zero", "interpolate"]

# Six weeks of hours, nearly three years of days; older buckets say little about tomorrow
MAX_POINTS = 1008
_LONGEST_PERIOD = 96  # a day of quarter hours
# Squares of larger values leave double precision; events beyond 1e140 are refused, and sums of them stay below this
_MAX_MAGNITUDE = 1e150
_LEAST_MAGNITUDE = 1e-150  # smaller ones leave it too, and are nothing
_DAY = timedelta(days=1)
_DAYS_A_WEEK = 7
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def seasons_of(step: timedelta) -> tuple[int, ...]:
    """Buckets a season, shortest first: a day and a week of shorter buckets (24, 168 for hours), a week of days.

    None for what is longer than a day, does not divide it, or is so short that a day has more than 96 buckets.
    """
    if step == _DAY:
        return (_DAYS_A_WEEK,)
    if step > _DAY or _DAY % step or _DAY // step > _LONGEST_PERIOD:
        return ()
    return (_DAY // step, _DAYS_A_WEEK * (_DAY // step))


@dataclass(frozen=True)
class RegularSeries:
    """One value a bucket. `values` are finite; `is_observed` is False where a gap was interpolated.

    `last_start` (UTC) is the bucket of the last value; `lag` is how many buckets later the whole frame ends.
    """

    series_id: int
    metric: str
    values: Floats
    is_observed: Bools
    last_start: datetime
    lag: int


def regular_series(points: pl.DataFrame, *, step: timedelta, gap: Gap) -> Iterator[RegularSeries]:
    """Every (series_id, metric) of `points` with at least one value, by id and metric, on a grid of `step`.

    Null, NaN and infinite values are missing buckets, those within ±1e-150 are 0. `zero`: a missing bucket is 0, up to
    the end of the frame (for counts and sums, which nothing happening leaves without a row). `interpolate`: a missing
    bucket is on the line between its neighbours, and a series ends at its last value. At most MAX_POINTS buckets, the
    latest, are kept. Raises ValueError when a bucket repeats or lies off the grid, or a value is beyond ±1e150.
    """
    finite = points.filter(pl.col("value").is_finite().fill_null(value=False)).sort(
        "series_id", "metric", "bucket_start"
    )
    if not (finite["value"].abs() <= _MAX_MAGNITUDE).all():
        raise ValueError(f"values beyond ±{_MAX_MAGNITUDE:g} cannot be forecast in doubles")
    step_us = step // _MICROSECOND
    until = finite["bucket_start"].dt.epoch("us").max() if finite.height else None
    for (series_id, metric), part in finite.group_by("series_id", "metric", maintain_order=True):
        at = part["bucket_start"].dt.epoch("us").to_numpy()
        if (np.diff(at) == 0).any() or ((at - at[0]) % step_us).any():
            raise ValueError(f"buckets of series {series_id}, {metric} repeat or are not {step} apart")
        assert isinstance(until, int)
        end = (until - int(at[0])) // step_us if gap == "zero" else int(at[-1] - at[0]) // step_us
        first = max(0, end + 1 - MAX_POINTS)
        buckets = (at - at[0]) // step_us - first
        # a gap may reach across the first bucket that is kept: interpolate before cutting
        grid, given = np.arange(end + 1 - first), part["value"].to_numpy().astype(np.float64)
        values = np.interp(grid, buckets, given) if gap == "interpolate" else np.zeros(len(grid))
        is_kept = buckets >= 0
        values[buckets[is_kept]] = given[is_kept]
        values[np.abs(values) < _LEAST_MAGNITUDE] = 0.0
        is_observed = np.full(len(grid), gap == "zero")
        is_observed[buckets[is_kept]] = True
        last_us = int(at[0]) + end * step_us
        yield RegularSeries(
            series_id=int(str(series_id)),
            metric=str(metric),
            values=values,
            is_observed=is_observed,
            last_start=_EPOCH + timedelta(microseconds=last_us),
            lag=(until - last_us) // step_us,
        )
