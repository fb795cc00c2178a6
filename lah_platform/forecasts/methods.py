"""What a forecasting method is, and the floor of them all: the seasonal naive one. No statsmodels here."""

from math import sqrt
from typing import NamedTuple, Protocol

import numpy as np

from lah_platform.forecasts.series import Bools, Floats

__all__ = ["Fitted", "Method", "NotFitted", "Prediction", "SeasonalNaive", "student_t"]


class Prediction(NamedTuple):
    """Point forecasts one bucket ahead and further, and half the widths of their prediction intervals."""

    value: Floats
    half_width: Floats


class NotFitted(Exception):
    """The method does not apply to this series; the message says why."""


class Fitted(Protocol):
    """A method with parameters estimated on some history."""

    def predict(self, values: Floats, is_observed: Bools, horizon: int, level: float) -> Prediction:
        """The `horizon` buckets that follow `values`, which may be longer than what it was fitted to."""


class Method(Protocol):
    """Estimates parameters on regular values; `period` 1 means no season. Raises NotFitted."""

    def __call__(self, values: Floats, period: int) -> Fitted: ...


def student_t(level: float, degrees_of_freedom: int) -> float:
    """The two-sided quantile of Student's t: how many standard errors wide an interval of that level is."""
    from scipy.special import stdtrit

    return float(stdtrit(degrees_of_freedom, 0.5 + level / 2))


class SeasonalNaive:
    """The value of the same bucket of the last season (Hyndman & Athanasopoulos, FPP3, sections 5.2 and 5.5).

    Half-width: t * s * sqrt(k), with k seasons ahead and s the root mean square of the season-to-season differences
    between observed buckets; t has as many degrees of freedom as there are differences.
    """

    def __init__(self, values: Floats, period: int) -> None:
        if len(values) < period + _LEAST_DIFFERENCES:
            raise NotFitted(f"{len(values)} buckets say nothing about how much it varies")
        self._period = period

    def predict(self, values: Floats, is_observed: Bools, horizon: int, level: float) -> Prediction:
        m = self._period
        ahead = np.arange(horizon)
        value = values[len(values) - m + ahead % m]
        difference = (values[m:] - values[:-m])[is_observed[m:] & is_observed[:-m]]
        if len(difference) < _LEAST_DIFFERENCES:
            raise NotFitted("too few observed buckets follow one another")
        spread = sqrt(float(np.mean(difference**2)))
        if spread == 0.0:
            spread = _spread_never_seen(value, len(difference), level)
        return Prediction(value, student_t(level, len(difference)) * spread * np.sqrt(ahead // m + 1.0))


_LEAST_DIFFERENCES = 2


def _spread_never_seen(value: Floats, differences: int, level: float) -> float:
    """The spread of a series that has not changed yet.

    n equal steps bound the chance of a change only by about 1 / (n + 1). While that is more than what the level leaves
    outside, the spread is as if one more step had been a change by the whole value (by 1 from zero).
    """
    if 1.0 / (differences + 1) <= 1.0 - level:
        return 0.0
    size = float(np.abs(value).max()) or 1.0
    return size / sqrt(differences + 1.0)
