"""One forecast of many: the weighted median, each member weighted by the inverse square of its backtest error.

Weights by inverse mean squared error are Bates & Granger's (1969); the median instead of the mean is what makes a
member that is far off harmless (Stock & Watson 2004), and it is the right summary for errors that are judged by their
size. A weight's error is not below a hundredth of the mean error, so that one lucky week does not silence the others.
"""

import numpy as np

from lah_platform.forecasts.backtest import Backtest
from lah_platform.forecasts.series import Floats

__all__ = ["combined", "held_out", "not_repeated", "weights_of"]

_POWER = 2
_FLOOR = 0.01


def weights_of(errors: Floats) -> Floats:
    """Weights (members), summing to 1, of sums of absolute errors (origins, members); equal where nothing is known."""
    total = errors.sum(axis=0)
    if not len(errors) or total.max() <= 0:
        return np.full(len(total), 1 / len(total))
    inverse = ((total + _FLOOR * total.mean()) / total.mean()) ** -_POWER
    return np.asarray(inverse / inverse.sum(), dtype=np.float64)


def combined(said: Floats, weights: Floats) -> Floats:
    """The weighted median (ahead) of what members say (members, ahead): the least value with half the weight below."""
    order = np.argsort(said, axis=0, kind="stable")
    reached = np.cumsum(weights[order], axis=0) >= 0.5 - 1e-12
    place = order[np.argmax(reached, axis=0), np.arange(said.shape[1])]
    return np.asarray(said[place, np.arange(said.shape[1])], dtype=np.float64)


def not_repeated(test: Backtest, ahead: Floats) -> list[int]:
    """Places of the first member and of all that ever said anything else than it, now (members, ahead) or earlier.

    A member that does not apply says what the first one says; counted each time, the first would outvote the others.
    """
    same_now = (ahead == ahead[0]).all(axis=1)
    same_then = (test.said == test.said[:, :1]).all(axis=(0, 2))
    return [place for place, same in enumerate((same_now & same_then).tolist()) if not (place and same)]


def held_out(test: Backtest) -> Floats:
    """What the combination would have said (origins, ahead), each origin with the weights of the other origins.

    With its own it would look better than it is.
    """
    errors = test.errors
    rows = range(len(errors))
    return np.array([combined(test.said[row], weights_of(np.delete(errors, row, axis=0))) for row in rows])
