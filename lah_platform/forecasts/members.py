"""The methods that are combined: what each says of the next buckets, and which of them a series gets.

A member takes a regular history without gaps, how many buckets lie ahead and the series' seasons in buckets, shortest
first, and returns one value a bucket ahead. Raises NotFitted where the history is too short for it.
"""

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType

import numpy as np

from lah_platform.forecasts.intermittent import croston, tsb
from lah_platform.forecasts.regression import autoregression
from lah_platform.forecasts.scales import scale_of
from lah_platform.forecasts.series import Floats
from lah_platform.forecasts.smoothing import smoothing

__all__ = ["MEMBERS", "Member", "NotFitted", "Seasons", "members_for"]

Seasons = tuple[int, ...]
Member = Callable[[Floats, int, Seasons], Floats]

_PROFILE_SEASONS = (7, 4)  # days of a week, weeks of a month
_LEVEL_BUCKETS = 24  # without a season


class NotFitted(Exception):
    """The method does not apply to this series; the message says why."""


def seasonal_naive(values: Floats, horizon: int, seasons: Seasons, *, which: int) -> Floats:
    """The value of the same bucket of the last season (Hyndman & Athanasopoulos, FPP3, section 5.2)."""
    period = _season(values, seasons, which)
    return values[len(values) - period + np.arange(horizon) % period]


def profile(values: Floats, horizon: int, seasons: Seasons, *, which: int) -> Floats:
    """The median of the same bucket of the last seasons: seven of the shortest (days), four of the next (weeks)."""
    period = _season(values, seasons, which)
    count = min(_PROFILE_SEASONS[min(which, 1)], len(values) // period)
    shape = np.median(values[len(values) - count * period :].reshape(count, period), axis=0)
    return np.asarray(shape[np.arange(horizon) % period], dtype=np.float64)


def profile_at_level(values: Floats, horizon: int, seasons: Seasons) -> Floats:
    """The shape of the last seven seasons at the level of the last one; medians of both, on the square-root scale.

    The robust form of a seasonal naive forecast with drift: one odd season moves neither shape nor level.
    """
    period = _season(values, seasons, 0)
    forward, back = scale_of(values, "root")
    count = min(_PROFILE_SEASONS[0], len(values) // period)
    last = forward(values)[len(values) - count * period :].reshape(count, period)
    shape = np.median(last - np.median(last, axis=1, keepdims=True), axis=0)
    return back((shape + np.median(last[-1] - shape))[np.arange(horizon) % period])


def level(values: Floats, horizon: int, seasons: Seasons) -> Floats:
    """The median of the last season, in every bucket: what is left when a shape no longer holds."""
    return np.full(horizon, float(np.median(values[-(seasons[0] if seasons else _LEVEL_BUCKETS) :])))


def _season(values: Floats, seasons: Seasons, which: int) -> int:
    period = seasons[which] if which < len(seasons) else 1
    if len(values) < period or (which and period == 1):
        raise NotFitted(f"{len(values)} buckets have no season of that kind")
    return period


MEMBERS: Mapping[str, Member] = MappingProxyType(
    {
        "seasonal_naive": partial(seasonal_naive, which=0),
        "seasonal_naive_long": partial(seasonal_naive, which=1),
        "profile": partial(profile, which=0),
        "profile_long": partial(profile, which=1),
        "profile_at_level": profile_at_level,
        "level": level,
        "smoothing": smoothing,
        "autoregression": partial(autoregression, scale="log", kind="full"),
        "autoregression_root": partial(autoregression, scale="root", kind="full"),
        "autoregression_short": partial(autoregression, scale="root", kind="short"),
        "autoregression_local": partial(autoregression, scale="log", kind="local"),
        "autoregression_seasonal": partial(autoregression, scale="root", kind="seasonal"),
        "croston": croston,
        "tsb": tsb,
    }
)
_INTERMITTENT = ("croston", "tsb")


def members_for(values: Floats) -> list[str]:
    """Names of the members that a history is given; those for intermittent demand where half of it or more is zero."""
    is_intermittent = len(values) > 0 and bool(values.min() >= 0) and np.count_nonzero(values) <= len(values) / 2
    return [name for name in MEMBERS if is_intermittent or name not in _INTERMITTENT]
