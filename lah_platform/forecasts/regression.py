"""Autoregression about daily and weekly harmonics, shrunk towards the seasonal naive method and fitted robustly.

On a transformed scale z (below), with m the shortest season and M the next:

    z_t = c + sum_l b_l z_(t-l) + sum_k (s_k sin + c_k cos)(2 pi k t / m) + sum_k (...)(2 pi k t / M) + e_t

by ridge regression (Hoerl & Kennard 1970) with the coefficient of one lag drawn to 1 and all others to 0, so that
without evidence it is the seasonal naive method or the last value, and with it a dynamic harmonic regression (Hyndman &
Athanasopoulos, FPP3, section 10.5). Lags and harmonics together are the calibration step of Doornik, Castle & Hendry
(Card forecasts for M4, IJF 36(1), 2020), here as the method itself. Outliers are weighted down by Huber's function
(1964) in three reweighted rounds. Several buckets ahead are forecast one after the other.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np

from lah_platform.forecasts.scales import Scale, scale_of
from lah_platform.forecasts.series import Floats

__all__ = ["Kind", "autoregression"]

Kind = Literal["full", "short", "local", "seasonal"]

_HUBER = 1.345  # 95 % of least squares' efficiency where errors are normal
_ROUNDS = 3
_MAD_TO_SIGMA = 1.4826
_WITHIN = 1.0  # forecasts stay within so many standard deviations of what was ever seen
_TINY = 1e-9


@dataclass(frozen=True)
class _Kind:
    """Lags as (buckets, shortest seasons, next seasons), and how strongly coefficients are drawn to their start."""

    lags: tuple[tuple[int, int, int], ...]
    drawn_to_one: tuple[int, int, int]
    harmonics: tuple[int, int]
    ridge: float


_KINDS = {
    "full": _Kind(
        tuple((d, *s) for s in ((1, 0), (2, 0), (0, 1)) for d in (-1, 0, 1)) + ((1, 0, 0), (2, 0, 0)),
        (0, 1, 0),
        (12, 24),
        0.3,
    ),
    "short": _Kind(((1, 0, 0), (0, 1, 0)), (0, 1, 0), (4, 0), 1.0),
    "local": _Kind(((1, 0, 0), (2, 0, 0), (0, 1, 0), (1, 1, 0)), (1, 0, 0), (8, 0), 1.0),
    "seasonal": _Kind(((1, 0, 0), (0, 1, 0), (1, 1, 0), (0, 2, 0), (1, 2, 0)), (0, 1, 0), (0, 0), 0.3),
}


def autoregression(values: Floats, horizon: int, seasons: tuple[int, ...], *, scale: Scale, kind: Kind) -> Floats:
    """The next `horizon` buckets. `full` uses both seasons, `short` a day ago and an hour ago, `local` the last value,
    `seasonal` the last two days without any harmonics: ARIMA(1, 0, 0)(2, 0, 0) with free products.

    A lag needs twice its length of history, weekly harmonics two weeks. Never negative where nothing was.
    """
    asked = _KINDS[kind]
    forward, back = scale_of(values, scale)
    raw = forward(values)
    centre, spread = float(raw.mean()), float(raw.std())
    if len(values) < 4 or spread <= _TINY * max(abs(centre), _TINY):
        return np.full(horizon, float(values[-1]))
    z = (raw - centre) / spread
    lags = _lags(asked.lags, seasons, len(z) // 2)
    anchor = _lags((asked.drawn_to_one,), seasons, len(z) // 2) or [1]
    lags = lags if anchor[0] in lags else sorted({*lags, anchor[0]})
    used = tuple(m for m in seasons if 2 * m <= len(z))
    waves, penalty = _harmonics(len(z) + horizon, used, asked.harmonics)
    first = max(lags)
    design = np.column_stack(
        [np.ones(len(z) - first), *(z[first - lag : len(z) - lag] for lag in lags), waves[first : len(z)]]
    )
    ridge = np.concatenate([[1e-6], np.full(len(lags), asked.ridge), penalty])
    start = np.zeros(design.shape[1])
    start[1 + lags.index(anchor[0])] = 1.0
    b = _robust_ridge(design, z[first:], ridge, start)
    return back(_ahead(z, horizon, b, np.array(lags), waves) * spread + centre)


def _lags(asked: tuple[tuple[int, int, int], ...], seasons: tuple[int, ...], longest: int) -> list[int]:
    periods = (*seasons[:2], 0, 0)[:2]
    wanted = {
        d + p * periods[0] + w * periods[1] for d, p, w in asked if (periods[0] or not p) and (periods[1] or not w)
    }
    return sorted(lag for lag in wanted if 1 <= lag <= longest)


@lru_cache(maxsize=64)
def _harmonics(length: int, seasons: tuple[int, ...], counts: tuple[int, int]) -> tuple[Floats, Floats]:
    """Sines and cosines for buckets [0, length), and their ridge: the frequency in cycles a day (a season)."""
    t = np.arange(length)
    columns: list[Floats] = []
    penalty: list[float] = []
    for which, (period, count) in enumerate(zip(seasons, counts, strict=False)):
        ratio = period / seasons[0]
        for k in range(1, min(count, period // 2) + 1):
            if which and k % ratio == 0:
                continue
            angle = 2 * np.pi * k * t / period
            waves = [np.cos(angle), np.sin(angle)] if 2 * k < period else [np.cos(angle)]
            columns += waves
            penalty += [max(k / ratio, 0.3)] * len(waves)
    return (np.column_stack(columns) if columns else np.zeros((length, 0))), np.array(penalty)


def _robust_ridge(design: Floats, target: Floats, ridge: Floats, start: Floats) -> Floats:
    rest = target - design @ start
    weight = np.ones(len(target))
    b = start
    for _ in range(_ROUNDS + 1):
        root = np.sqrt(weight)
        weighted = design * root[:, None]
        square = weighted.T @ weighted  # of one array with itself: half the work
        square[np.diag_indices_from(square)] += ridge
        b = start + np.linalg.solve(square, weighted.T @ (root * rest))
        error = np.abs(target - design @ b)
        bound = _HUBER * (_MAD_TO_SIGMA * float(np.median(error)) + _TINY)
        weight = np.minimum(1.0, bound / np.maximum(error, _TINY))
    return b


def _ahead(z: Floats, horizon: int, b: Floats, lags: Floats, waves: Floats) -> Floats:
    n = len(z)
    path = np.concatenate([z, np.zeros(horizon)])
    base = b[0] + waves[n:] @ b[1 + len(lags) :]
    of_lags = b[1 : 1 + len(lags)]
    lowest, highest = float(z.min()) - _WITHIN, float(z.max()) + _WITHIN
    for step in range(horizon):
        path[n + step] = min(max(float(base[step] + of_lags @ path[n + step - lags]), lowest), highest)
    return path[n:]
