"""Ways the next buckets may go, drawn from a forecast's intervals; and what sums and limits have to say about them.

A bucket's distribution runs through the value and the ends of both intervals, on the square-root scale where nothing
is negative. Errors of one forecast depend on each other: their normal scores have one part in common (a one-factor
Gaussian copula), `common_error`, which the backtest measures so that sums vary as they did. Without it the sum of a
month would look far more certain than it is.
"""

from dataclasses import dataclass

import numpy as np

from lah_platform.forecasts.series import Floats

__all__ = ["Reach", "Total", "paths", "reach", "total"]

_PATHS = 2000
_SCORES = np.array([-1.959964, -1.281552, 0.0, 1.281552, 1.959964])  # of the ends of 95 % and 80 %


@dataclass(frozen=True)
class Total:
    """A sum over the horizon: its mean and, of all paths, the ends of the 80 % and 95 % intervals."""

    mean: float
    lower: float
    lower_80: float
    median: float
    upper_80: float
    upper: float


@dataclass(frozen=True)
class Reach:
    """`probability` of reaching a limit within the horizon, and by bucket (ahead) that of having reached it by its end.

    `earliest`, `likely`: the bucket by which one path in ten and half of all paths have reached it; None: none by then.
    """

    probability: float
    by_bucket: Floats
    earliest: int | None
    likely: int | None


def paths(
    value: Floats,
    bounds_80: tuple[Floats, Floats],
    bounds_95: tuple[Floats, Floats],
    common_error: float,
    *,
    seed: int,
    count: int = _PATHS,
) -> Floats:
    """`count` paths (count, ahead) of a forecast (ahead); the same seed draws the same paths."""
    ends = np.array([bounds_95[0], bounds_80[0], value, bounds_80[1], bounds_95[1]])
    non_negative = bool(ends.min() >= 0)
    ends = np.sqrt(ends) if non_negative else ends
    ends = np.maximum.accumulate(ends, axis=0)
    random = np.random.default_rng(seed)
    common, own = random.standard_normal((count, 1)), random.standard_normal((count, len(value)))
    scores = np.sqrt(common_error) * common + np.sqrt(1 - common_error) * own
    drawn = np.column_stack([_through(ends[:, at], scores[:, at]) for at in range(len(value))])
    return np.maximum(drawn, 0.0) ** 2 if non_negative else drawn


def _through(ends: Floats, scores: Floats) -> Floats:
    """Piecewise linear in the normal score; beyond the outermost ends on the line of the last piece."""
    inside = np.interp(scores, _SCORES, ends)
    slope_below = (ends[1] - ends[0]) / (_SCORES[1] - _SCORES[0])
    slope_above = (ends[4] - ends[3]) / (_SCORES[4] - _SCORES[3])
    below, above = np.minimum(scores - _SCORES[0], 0.0), np.maximum(scores - _SCORES[-1], 0.0)
    return np.asarray(inside + slope_below * below + slope_above * above, dtype=np.float64)


def total(drawn: Floats, *, already: float = 0.0) -> Total:
    """What the buckets sum up to, with what was there before."""
    sums = drawn.sum(axis=1) + already
    lower, lower_80, median, upper_80, upper = np.quantile(sums, [0.025, 0.1, 0.5, 0.9, 0.975]).tolist()
    return Total(float(sums.mean()), lower, lower_80, median, upper_80, upper)


def reach(drawn: Floats, limit: float, *, is_cumulative: bool, already: float = 0.0) -> Reach:
    """When `limit` is reached: by the running sum with what was before (a budget), or by one bucket (a rate limit)."""
    so_far = np.cumsum(drawn, axis=1) + already if is_cumulative else np.maximum.accumulate(drawn, axis=1)
    by_bucket = (so_far >= limit).mean(axis=0)
    return Reach(float(by_bucket[-1]), by_bucket, _first(by_bucket, 0.1), _first(by_bucket, 0.5))


def _first(by_bucket: Floats, share: float) -> int | None:
    at = np.flatnonzero(by_bucket >= share)
    return int(at[0]) if len(at) else None
