"""The forecast of one regular series: backtest, weigh, combine, bound; with what the backtest says of it.

Everything is computed again from the values each time: at 0.1 s a series nothing has to be remembered between runs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lah_platform.forecasts.backtest import Backtest, backtest, said
from lah_platform.forecasts.combine import combined, held_out, not_repeated, weights_of
from lah_platform.forecasts.errors import Errors, errors_of, naive_step
from lah_platform.forecasts.intervals import Bounds, bounds_of, naive_bounds, scaled_errors
from lah_platform.forecasts.members import MEMBERS, Member, NotFitted, Seasons, members_for
from lah_platform.forecasts.series import Bools, Floats

__all__ = ["LEVELS", "SeriesForecast", "forecast_values"]

LEVELS = (0.8, 0.95)
_LEAST_VALUES = 3
_COMMON_ORIGINS = 4


@dataclass(frozen=True)
class SeriesForecast:
    """`value` and `bounds` (ahead); `weights` by member; the rest is of the backtest, None where there was none.

    `naive_wape`: the better of the two seasonal naive methods on the same buckets. `common_error`: how
    much of a bucket's error all buckets of one forecast have in common, 0 to 1. `naive_step`: by which MASE divides.
    """

    value: Floats
    bounds: Bounds
    weights: Mapping[str, float]
    origins: int
    errors: Errors
    naive_wape: float | None
    common_error: float
    naive_step: float


def forecast_values(
    values: Floats,
    is_observed: Bools,
    horizon: int,
    seasons: Seasons,
    *,
    levels: Sequence[float] = LEVELS,
    more_members: Mapping[str, Member] | None = None,
    contenders: Mapping[str, Member] | None = None,
) -> SeriesForecast:
    """The `horizon` buckets after `values`, which are regular and finite; `is_observed` is False in filled gaps.

    The shortest season is left out where it does not fit into the history twice, the others where they do not once.
    `more_members` take part beside those of `members_for`; a contender only where its backtest error is below that of
    their combination. Raises NotFitted with fewer than three values.
    """
    if len(values) < _LEAST_VALUES:
        raise NotFitted(f"{len(values)} buckets say nothing about how much it varies")
    seasons = tuple(m for place, m in enumerate(seasons) if (1 if place else 2) * m <= len(values))
    non_negative = bool(values.min() >= 0)
    rivals = contenders or {}
    own = {**_members(values, more_members or {}), **rivals}
    names = list(own)
    test = backtest(names, values, is_observed, horizon, seasons, own)
    ahead = said(names, values, horizon, seasons, own)
    kept = not_repeated(test, ahead) if test else list(range(len(names)))
    kept = _without_beaten(test, kept, [place for place in kept if names[place] in rivals])
    test, ahead, names = test and test.of(kept), ahead[kept], [names[place] for place in kept]
    weights = weights_of(test.errors if test else np.zeros((0, len(names))))
    value = combined(ahead, weights)
    period = seasons[0] if seasons else 1
    naive = naive_step(values, period)
    by_name = {name: float(weight) for name, weight in zip(names, weights, strict=True)}
    bounds = naive_bounds(value, values, period, levels, non_negative=non_negative)
    if test is None or not test.is_judged.any():
        return SeriesForecast(value, bounds, by_name, 0, Errors(None, None, None, None), None, 1.0, naive)
    told = held_out(test)
    errors = scaled_errors(told, test.actual, non_negative=non_negative)
    if np.abs(errors[test.is_judged]).max() > 0:
        bounds = bounds_of(value, told, test.actual, test.is_judged, levels, non_negative=non_negative)
    return SeriesForecast(
        value,
        bounds,
        by_name,
        len(test.said),
        errors_of(test.actual, told, test.is_judged, naive),
        _naive_wape(test.errors, names, np.abs(test.actual[test.is_judged]).sum()),
        _common(errors, test.is_judged),
        naive,
    )


def _members(values: Floats, more: Mapping[str, Member]) -> dict[str, Member]:
    return {name: MEMBERS[name] for name in members_for(values)} | dict(more)


def _without_beaten(test: Backtest | None, kept: list[int], rivals: list[int]) -> list[int]:
    """Without the rivals whose backtest error is not below that of the others' combination; all go without a test."""
    others = [place for place in kept if place not in rivals]
    if test is None or not rivals:
        return others
    rest = test.of(others)
    error = float(np.where(rest.is_judged, np.abs(held_out(rest) - rest.actual), 0.0).sum())
    each = test.errors.sum(axis=0)
    return others + [place for place in rivals if each[place] < error]


def _naive_wape(errors: Floats, names: Sequence[str], actual: float) -> float | None:
    if actual <= 0:
        return None
    floors = [names.index(name) for name in ("seasonal_naive", "seasonal_naive_long") if name in names]
    return float(errors.sum(axis=0)[floors].min() / actual)


def _common(errors: Floats, is_judged: Bools) -> float:
    """The correlation of any two errors of one origin that makes their sums vary as they did (one-way components).

    With s_h the root mean square error of bucket h and S the errors' sum of an origin:
    c = (mean S^2 - sum s_h^2) / ((sum s_h)^2 - sum s_h^2), between 0 and 1; with n origins (n c + 4) / (n + 4), for in
    so few a common error is seldom seen and sums that look too certain do more harm than the reverse.
    """
    known = np.where(is_judged, errors, 0.0)
    size = (known**2).mean(axis=0)
    alone, together = float(size.sum()), float(np.sqrt(size).sum()) ** 2
    if together - alone <= 1e-12 * together:
        return 1.0
    found = (float((known.sum(axis=1) ** 2).mean()) - alone) / (together - alone)
    return (len(errors) * min(max(found, 0.0), 1.0) + _COMMON_ORIGINS) / (len(errors) + _COMMON_ORIGINS)
