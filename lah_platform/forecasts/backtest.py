"""Rolling-origin backtests: what every member would have said of buckets it had not seen."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lah_platform.forecasts.members import MEMBERS, Member, NotFitted, Seasons
from lah_platform.forecasts.series import Bools, Floats

__all__ = ["MOST_ORIGINS", "Backtest", "backtest", "said"]

MOST_ORIGINS = 7  # a day apart: every day of the week once
_LEAST_SEASONS = 3
_LEAST_BUCKETS = 8


@dataclass(frozen=True)
class Backtest:
    """By origin, latest first: `said` (origins, members, ahead), `actual` and `is_judged` (origins, ahead)."""

    said: Floats
    actual: Floats
    is_judged: Bools

    def of(self, members: Sequence[int]) -> "Backtest":
        """Of some of the members, by their place."""
        return Backtest(self.said[:, list(members)], self.actual, self.is_judged)

    @property
    def errors(self) -> Floats:
        """Sums of absolute errors (origins, members)."""
        miss = np.abs(self.said - self.actual[:, None, :])
        return np.asarray(np.where(self.is_judged[:, None, :], miss, 0.0).sum(axis=2), dtype=np.float64)


def said(
    names: Sequence[str], values: Floats, horizon: int, seasons: Seasons, members: dict[str, Member] | None = None
) -> Floats:
    """What each member says of the next `horizon` buckets (members, horizon).

    A member that does not apply, or whose numbers overflow, says what the first of `names` says; where no observed
    value is negative nobody says less than 0.
    """
    known = MEMBERS if members is None else members
    floor = -np.inf if values.min() < 0 else 0.0
    first = np.full(horizon, float(values[-1]))
    found = []
    for name in names:
        try:
            with np.errstate(over="ignore", invalid="ignore"):
                ahead = known[name](values, horizon, seasons)
            ahead = ahead if np.isfinite(ahead).all() else first
        except (NotFitted, np.linalg.LinAlgError):
            ahead = first
        found.append(np.maximum(ahead, floor))
        first = found[0]
    return np.array(found)


def backtest(
    names: Sequence[str],
    values: Floats,
    is_observed: Bools,
    horizon: int,
    seasons: Seasons,
    members: dict[str, Member] | None = None,
) -> Backtest | None:
    """Up to seven origins a season apart, everything fitted again at each (Tashman, IJF 16(4), 2000).

    The first origin has three seasons of history, or half of all, eight buckets at least. The horizon is halved until
    more than one origin fits. None where not even one bucket can be held out.
    """
    n = len(values)
    period = seasons[0] if seasons else 1
    least = _LEAST_SEASONS * period if seasons else max(n // 2, _LEAST_BUCKETS)
    ahead = min(horizon, max(period, (n - least) // 2), n - least)
    if ahead < 1:
        return None
    every = period if seasons else max(ahead // 2, 1)
    origins = list(range(n - ahead, least - 1, -every))[:MOST_ORIGINS]
    return Backtest(
        np.array([said(names, values[:at], ahead, seasons, members) for at in origins]),
        np.array([values[at : at + ahead] for at in origins]),
        np.array([is_observed[at : at + ahead] for at in origins]),
    )
