"""Days that are unlike their weekday: taken out of what is learnt, and forecast by how earlier ones were unlike it."""

from collections.abc import Collection
from dataclasses import replace
from datetime import date, timedelta

import numpy as np

from lah_platform.forecasts.intervals import Bounds
from lah_platform.forecasts.series import Bools, Floats, RegularSeries

__all__ = ["Effect", "without_holidays"]

_WEEK = timedelta(days=7)


class Effect:
    """How a holiday is unlike an ordinary day: the median ratio of earlier ones, 1 where there was none."""

    def __init__(self, holidays: Collection[date], ratio: float) -> None:
        self._holidays, self.ratio = frozenset(holidays), ratio

    def on(self, days: list[date], value: Floats, bounds: Bounds) -> tuple[Floats, Bounds]:
        """The forecast and its bounds with those buckets (by their UTC day) multiplied that lie on a holiday."""
        factor = np.where([day in self._holidays for day in days], self.ratio, 1.0)
        return value * factor, {level: (lower * factor, upper * factor) for level, (lower, upper) in bounds.items()}


def without_holidays(
    series: RegularSeries, step: timedelta, holidays: Collection[date]
) -> tuple[RegularSeries, Effect]:
    """The series with every holiday's buckets (UTC days) as they were a week before, marked as not observed.

    A holiday without a week before it, or on buckets longer than a day, is left as it is. Only amounts (nothing
    negative) have an effect.
    """
    week, known = _WEEK // step, frozenset(holidays)
    if not known or step > timedelta(days=1) or _WEEK % step:
        return series, Effect((), 1.0)
    first = series.last_start - (len(series.values) - 1) * step
    days = [(first + i * step).date() for i in range(len(series.values))]
    is_holiday: Bools = np.array([day in known for day in days])
    is_holiday[:week] = False
    values, is_observed = series.values.copy(), series.is_observed & ~is_holiday
    for at in np.flatnonzero(is_holiday).tolist():
        values[at] = values[at - week]
    ratios = []
    for day in sorted({day for day, one in zip(days, is_holiday.tolist(), strict=True) if one}):
        of = np.array([each == day for each in days])
        usual = float(values[of].sum())
        if usual > 0:
            ratios.append(float(series.values[of].sum()) / usual)
    ratio = float(np.median(ratios)) if ratios and series.values.min() >= 0 else 1.0
    return replace(series, values=values, is_observed=is_observed), Effect(known, ratio)
