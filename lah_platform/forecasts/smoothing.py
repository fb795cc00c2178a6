"""Additive Holt-Winters smoothing without a trend or with a damped one, on logarithms; a grid in place of an optimizer.

    level_t = level + phi trend + alpha e_t
    trend_t = phi trend + alpha beta e_t
    season_t = season + gamma (1 - alpha) e_t

Winters (1960), Gardner & McKenzie (1985), in error-correction form (Hyndman, Koehler, Ord & Snyder 2008). All
parameter sets run side by side as one vector; the one with the smallest mean absolute error one bucket ahead is kept.
"""

from itertools import product

import numpy as np

from lah_platform.forecasts.scales import scale_of
from lah_platform.forecasts.series import Floats

__all__ = ["smoothing"]

_GRID = np.array(list(product((0.02, 0.1, 0.3, 0.6, 0.9), (0.0, 0.1, 0.3, 0.5), (0.0, 0.1)))).T
_DAMPED = 0.9
_SEASONS_AT_START = 7


def smoothing(values: Floats, horizon: int, seasons: tuple[int, ...]) -> Floats:
    """The next `horizon` buckets; of the seasons only the shortest, which needs two of it."""
    alpha, gamma, beta = _GRID
    forward, back = scale_of(values, "log")
    x = forward(values)
    period = seasons[0] if seasons and 2 * seasons[0] <= len(x) else 1
    whole = x[: min(_SEASONS_AT_START, len(x) // period) * period].reshape(-1, period)
    shape = np.median(whole - whole.mean(axis=1, keepdims=True), axis=0)
    season = np.repeat(shape[:, None], len(alpha), axis=1)
    level, trend = np.full(len(alpha), float(whole[0].mean())), np.zeros(len(alpha))
    missed = np.zeros(len(alpha))
    if period == 1:
        gamma = np.zeros(len(alpha))
    seasonal, steep = gamma * (1 - alpha), alpha * beta
    for t, value in enumerate(x.tolist()):
        at = season[t % period]
        trend = _DAMPED * trend
        error = value - level - trend - at
        if t >= period:
            missed += np.abs(error)
        level = level + trend + alpha * error
        trend = trend + steep * error
        at += seasonal * error
    best = int(np.argmin(missed))
    ahead = np.arange(len(x), len(x) + horizon)
    damped = np.cumsum(_DAMPED ** np.arange(1, horizon + 1))
    return back(
        np.clip(level[best] + damped * trend[best] + season[ahead % period, best], x.min() - x.std(), x.max() + x.std())
    )
