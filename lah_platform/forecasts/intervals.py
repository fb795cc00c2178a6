"""Prediction intervals by conformal calibration on the backtest's errors.

Errors are taken on the square-root scale where nothing is negative, which makes those of counts alike, divided by a
scale per bucket ahead, and pooled over buckets and origins: an interval is the forecast plus and minus their quantile
times the scale (split conformal prediction: Vovk, Gammerman & Shafer 2005; Lei et al., JASA 113, 2018, with the finite
sample's (1 + 1/n); over rolling origins as in Stankeviciute, Alaa & van der Schaar, NeurIPS 2021).

Buckets of one origin err together, so there are as many independent errors as origins, seven at most. Hence the
quantile is widened by Student's t over the normal one. Up to 90 % the scale follows the bucket ahead (pulled towards
their mean as if by four more origins) and t has two degrees of freedom an origin; beyond it there are too few errors
to know the tail of each bucket, so the scale is the same for all and t has one degree an origin. Which of these was
decided on M4's train part and the shared traces (docs/forecasts.md).
"""

from collections.abc import Sequence
from math import sqrt

import numpy as np

from lah_platform.forecasts.series import Bools, Floats

__all__ = ["Bounds", "bounds_of", "naive_bounds", "scaled_errors"]

Bounds = dict[float, tuple[Floats, Floats]]
_BODY = 0.9
_PULL_ORIGINS = 4.0
_NO_ERROR = 1e-12


def bounds_of(
    value: Floats, held_out: Floats, actual: Floats, is_judged: Bools, levels: Sequence[float], *, non_negative: bool
) -> Bounds:
    """Lower and upper bounds (ahead) by level, each level within the next higher one.

    value: what is forecast. held_out, actual, is_judged: (origins, ahead), maybe fewer buckets than `value`, whose
    last scale is then kept and grows with the square root of the distance.
    """
    errors = scaled_errors(held_out, actual, non_negative=non_negative)
    centre = np.sqrt(value) if non_negative else value
    found: Bounds = {}
    reach = np.zeros(len(value))
    for level in sorted(levels):
        reach = np.maximum(reach, _reach(errors, is_judged, level, len(value)))
        lower, upper = centre - reach, centre + reach
        if non_negative:
            lower, upper = np.maximum(lower, 0.0) ** 2, upper**2
        found[level] = (np.minimum(lower, value), np.maximum(upper, value))
    return found


def scaled_errors(held_out: Floats, actual: Floats, *, non_negative: bool) -> Floats:
    """Actual minus forecast (origins, ahead) on the scale that intervals are made on."""
    return np.sqrt(actual) - np.sqrt(held_out) if non_negative else actual - held_out


def _reach(errors: Floats, is_judged: Bools, level: float, horizon: int) -> Floats:
    size = np.where(is_judged, np.abs(errors), np.nan)
    if not is_judged.any() or np.nanmax(size) <= _NO_ERROR:
        return np.zeros(horizon)
    origins, ahead = errors.shape
    is_body = level <= _BODY
    scale = _local_scale(size) if is_body else np.ones(ahead)
    known = (size / scale)[is_judged]
    quantile = float(np.quantile(known, min(1.0, level * (1 + 1 / len(known)))))
    quantile *= _t(level, (2 if is_body else 1) * origins) / _t(level, 1e9)
    further = np.arange(ahead, horizon)
    beyond = scale[-1] * np.sqrt((further + 1.0) / ahead)
    return quantile * np.concatenate([scale[:horizon], beyond])


def _local_scale(size: Floats) -> Floats:
    """Mean error by bucket ahead, smoothed over its neighbours, and pulled towards the mean of all."""
    origins = len(size)
    overall = float(np.nanmean(size))
    mean = np.nansum(size, axis=0) + _PULL_ORIGINS * overall
    mean = mean / ((~np.isnan(size)).sum(axis=0) + _PULL_ORIGINS)
    if origins and len(mean) > 2:
        padded = np.concatenate([mean[:1], mean, mean[-1:]])
        mean = (padded[:-2] + padded[1:-1] + padded[2:]) / 3
    return np.asarray(mean, dtype=np.float64)


def _t(level: float, degrees_of_freedom: float) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(degrees_of_freedom, 0.5 + level / 2))


def naive_bounds(value: Floats, values: Floats, period: int, levels: Sequence[float], *, non_negative: bool) -> Bounds:
    """Bounds where there is no backtest, or one without an error: those of the seasonal naive method.

    t * s * sqrt(k), with k seasons ahead, s the root mean square of the season-to-season steps and t with as many
    degrees of freedom as there are steps (FPP3, section 5.5). n equal steps bound the chance of a change only by about
    1 / (n + 1): while that is more than what the level leaves outside, s is as if one more step had been a change by
    the whole value (by 1 from zero).
    """
    step = values[period:] - values[:-period] if len(values) > period else np.zeros(0)
    spread = sqrt(float(np.mean(step**2))) if len(step) else 0.0
    found: Bounds = {}
    growth = np.sqrt(np.arange(len(value)) // period + 1.0)
    for level in sorted(levels):
        s = spread
        if s <= _NO_ERROR and 1.0 / (len(step) + 1) > 1.0 - level:
            s = (float(np.abs(value).max()) or 1.0) / sqrt(len(step) + 1.0)
        reach = _t(level, max(len(step), 1)) * s * growth
        lower = np.maximum(value - reach, 0.0) if non_negative else value - reach
        found[level] = (np.minimum(lower, value), value + reach)
    return found
