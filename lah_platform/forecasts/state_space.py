"""Exponential smoothing and ARIMA by statsmodels, as further members; it is imported when the first model is fitted.

Everything statsmodels warns of is dealt with in `_guarded`: where it did not converge or its numbers overflowed, the
fit is refused with the warning's text; any other warning is passed on to the caller.
"""

import warnings
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

import numpy as np

from lah_platform.forecasts.members import NotFitted, Seasons
from lah_platform.forecasts.series import Floats

__all__ = ["arima", "exponential_smoothing"]

_T = TypeVar("_T")
_Order = tuple[int, int, int]  # p, d, q
_SMOOTHING = "exponential smoothing"
# Fewer buckets than this cannot carry four to six parameters
_LEAST_POINTS = 20
_HARMONICS = 4
_ARMA_GRID = ((1, 1), (0, 1), (1, 0))
_KPSS_5_PERCENT = 0.463
_FLAT = 1e-4  # change of the log-likelihood per bucket and unit of a parameter


class _Statsmodels(NamedTuple):
    ETSModel: Any
    ARIMA: Any
    ConvergenceWarning: type[Warning]
    innovations_mle: Any


@lru_cache(maxsize=1)
def _statsmodels() -> _Statsmodels:
    """What is used of statsmodels. Importing it warns that pandas 4 will take away a decorator of its docstrings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        from statsmodels.tools.sm_exceptions import ConvergenceWarning
        from statsmodels.tsa.arima.estimators.innovations import innovations_mle
        from statsmodels.tsa.arima.model import ARIMA
        from statsmodels.tsa.exponential_smoothing.ets import ETSModel
    return _Statsmodels(ETSModel, ARIMA, ConvergenceWarning, innovations_mle)


def _guarded(compute: Callable[[], _T], what: str) -> _T:
    """What `compute` returns; NotFitted when it did not converge or left the numbers."""
    convergence_warning = _statsmodels().ConvergenceWarning
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result = compute()
        except np.linalg.LinAlgError as error:
            raise NotFitted(f"{what} is singular: {error}") from error
        except ValueError as error:
            if "non-stationary" not in str(error):
                raise
            raise NotFitted(f"{what} drifts out of the stationary region") from error
    for warning in caught:
        text = str(warning.message)
        if issubclass(warning.category, (convergence_warning, RuntimeWarning)):
            raise NotFitted(f"{what}: {text}")
        warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    return result


def _scale(values: Floats, seasons: int) -> float:
    """The mean size of the values, by which they are divided so that optimizers see numbers near 1."""
    if len(values) < max(_LEAST_POINTS, seasons):
        raise NotFitted(f"{len(values)} buckets are too few")
    if (values == values[0]).all():
        raise NotFitted("all values are the same")
    return float(np.abs(values).mean())


def exponential_smoothing(values: Floats, horizon: int, seasons: Seasons) -> Floats:
    """ETS(A,Ad,A), or ETS(A,Ad,N) without a season: additive errors, damped trend, the shortest season.

    Hyndman, Koehler, Ord & Snyder, Forecasting with Exponential Smoothing (2008). Needs two seasons.
    """
    period = seasons[0] if seasons else 1
    scale = _scale(values, 2 * period)

    def fitted() -> Floats:
        model = _statsmodels().ETSModel(
            values / scale,
            error="add",
            trend="add",
            damped_trend=True,
            initialization_method="heuristic",  # estimating 26 initial states takes ten times as long
            **({"seasonal": "add", "seasonal_periods": period} if period > 1 else {}),
        )
        fit = model.fit(disp=False)
        if not (fit.mle_retvals["converged"] and np.isfinite(fit.params).all()):
            raise NotFitted(f"{_SMOOTHING} did not converge")
        return np.asarray(fit.forecast(horizon), dtype=np.float64) * scale

    return _guarded(fitted, _SMOOTHING)


def arima(values: Floats, horizon: int, seasons: Seasons) -> Floats:
    """ARIMA(p, d, q) about a daily or weekly shape of Fourier terms (dynamic harmonic regression, FPP3 section 10.5).

    The shape is fitted by least squares, on differences when d is 1; d is 1 when the KPSS test (Kwiatkowski,
    Phillips, Schmidt & Shin 1992) rejects a steady level at 5 %; p and q up to 1 by AIC. Seasonal ARIMA terms would
    say the same with 24 or more states, and take seconds. Needs three seasons.
    """
    period = seasons[0] if seasons else 1
    scale = _scale(values, 3 * period)
    n = len(values)
    scaled, terms = values / scale, _terms(0, n + horizon, period)
    shape = np.asarray(np.linalg.lstsq(terms[:n], scaled, rcond=None)[0], dtype=np.float64)
    d = int(_kpss(scaled - terms[:n] @ shape) > _KPSS_5_PERCENT)
    if d:
        shape[1:] = np.linalg.lstsq(np.diff(terms[:n, 1:], axis=0), np.diff(scaled), rcond=None)[0]
    rest = scaled - terms[:n] @ shape
    reasons: list[str] = []
    fits: list[tuple[float, _Order, Floats]] = []
    for p, q in _ARMA_GRID:
        try:
            fits.append(_arma(rest, (p, d, q)))
        except NotFitted as reason:
            reasons.append(str(reason))
    if not fits:
        raise NotFitted("; ".join(reasons))
    _, order, parameters = min(fits, key=lambda fit: fit[0])
    ahead = _guarded(
        lambda: _statsmodels().ARIMA(rest, order=order, trend="n").filter(parameters).forecast(horizon), "ARIMA"
    )
    return np.asarray((np.asarray(ahead) + terms[n:] @ shape) * scale, dtype=np.float64)


def _terms(start: int, stop: int, period: int) -> Floats:
    """A constant and the harmonics of the season, for buckets [start, stop)."""
    angle = 2 * np.pi * np.arange(start, stop) / period
    columns = [np.ones(stop - start)]
    for k in range(1, min(_HARMONICS, period // 2) + 1):
        columns.append(np.cos(k * angle))
        if 2 * k < period:  # the sine of half the period is zero in every bucket
            columns.append(np.sin(k * angle))
    return np.column_stack(columns)


def _arma(values: Floats, order: _Order) -> tuple[float, _Order, Floats]:
    """AIC, order and parameters of one fit.

    By the innovations algorithm (Brockwell & Davis 1991, section 8.7): the same maximum as by the Kalman filter, whose
    start takes a threaded LAPACK routine for matrices of 2 x 2, 100 times as slow when other processes want the cores.
    """
    p, d, q = order
    what = f"ARIMA{order}"
    estimate, details = _guarded(lambda: _statsmodels().innovations_mle(np.diff(values, d), (p, 0, q)), what)
    found = details.minimize_results
    # BFGS also gives up where no step improves the last digits: that is a maximum too
    is_maximum = found.success or float(np.abs(found.jac).max()) < _FLAT * len(values)
    if not (is_maximum and np.isfinite(found.fun) and np.isfinite(estimate.params).all()):
        raise NotFitted(f"{what} did not converge")
    return 2 * float(found.fun) + 2 * (p + q + 1), order, estimate.params


def _kpss(values: Floats) -> float:
    """The KPSS statistic of a steady level, Bartlett weights, lag 4 (n / 100)^(1/4)."""
    n = len(values)
    deviation = values - values.mean()
    lags = min(int(4 * (n / 100) ** 0.25), n - 1)
    covariance = [float(deviation[lag:] @ deviation[: n - lag]) / n for lag in range(lags + 1)]
    long_run = covariance[0] + 2 * sum((1 - lag / (lags + 1)) * covariance[lag] for lag in range(1, lags + 1))
    if long_run <= 0:
        return 0.0
    return float(np.sum(np.cumsum(deviation) ** 2)) / (n * n * long_run)
