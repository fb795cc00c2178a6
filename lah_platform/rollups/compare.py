"""Whether aggregates of the same values are the same: what is exact exactly, the rest up to the rounding of another
order of adding.
"""

import numpy as np
import numpy.typing as npt

from lah_platform.rollups.aggregates import Aggregates

__all__ = ["differ"]

_ROUNDING = 1e-12
_LEAST_M2 = 1e-15  # of the squares: below it deviations are the rounding of the means


def differ(some: Aggregates, others: Aggregates) -> npt.NDArray[np.bool_]:
    """Which of `some` are not the same as the group at the same place of `others`, one boolean each."""
    magnitudes = np.maximum(np.abs(some.low), np.abs(some.high))
    is_same = (some.counts == others.counts) & (some.exact_sums == others.exact_sums).astype(np.bool_)
    is_same &= (some.low == others.low) & (some.high == others.high) & (some.sizes == others.sizes)
    is_same &= np.abs(some.means - others.means) <= _ROUNDING * magnitudes
    is_same &= ~(np.abs(some.sums - others.sums) > _ROUNDING * magnitudes * some.counts)
    is_same &= np.abs(some.m2 - others.m2) <= _ROUNDING * np.maximum(some.m2, magnitudes**2 * some.counts * _LEAST_M2)
    places = np.flatnonzero(is_same)
    some, others = some.take(places), others.take(places)
    unequal = (some.hist_keys != others.hist_keys) | (some.hist_counts != others.hist_counts)
    is_same[places[np.unique(np.repeat(np.arange(len(places)), some.sizes)[unequal])]] = False
    differs: npt.NDArray[np.bool_] = ~is_same
    return differs
