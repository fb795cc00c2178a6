"""Whether a third observed series explains why two others move together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lah_platform.correlations.hourly import Floats, ScoredChanges
from lah_platform.correlations.significance import two_sided_p

_MOST_THIRDS = 8  # the strongest of them: in a crowd of hundreds that move together, each would be asked of each
_REMAINDER = 0.5
"""Of the correlation: what keeps less than half, a quarter of the shared variance, is at most a trace of its own. Ranks
and gaps leave such traces where the third explains all."""


def explained_by(
    scored: ScoredChanges,
    leader: int,
    follower: int,
    lag: int,
    thirds: Sequence[tuple[int, int, int]],
    effective_size: float,
    p_limit: float,
) -> int | None:
    """The first of `thirds` (row, and its two shifts against the leader) given which leader and follower are no longer
    correlated, be it their common cause or a step between them; None if each leaves a correlation of its own.

    Partial correlation given the third at both shifts (the condition of the PC algorithm and of PCMCI, Spirtes et al.
    2000; Runge et al., Sci. Adv. 5, 2019, with sets of one series), by Fisher's z with one observation less for each.
    """
    for third, *shifts in thirds[:_MOST_THIRDS]:
        aligned = _aligned(scored, [(leader, 0), (follower, lag), *((third, shift) for shift in sorted(set(shifts)))])
        if aligned is None:
            continue
        before, after = _correlation(aligned[:2]), _correlation(_residuals(aligned[:2], aligned[2:]))
        if abs(after) < _REMAINDER * abs(before) or two_sided_p(after, effective_size - len(aligned) + 2) > p_limit:
            return third
    return None


def _aligned(scored: ScoredChanges, places: Sequence[tuple[int, int]]) -> Floats | None:
    """Rows at their shifts over the columns where all are known; None where hardly any are."""
    length = scored.values.shape[1]
    first, last = max(-min(s for _, s in places), 0), length - max(max(s for _, s in places), 0)
    if last - first < 2:
        return None
    rows = [slice(first + shift, last + shift) for _, shift in places]
    known = np.logical_and.reduce([scored.weight[row, part] > 0 for (row, _), part in zip(places, rows, strict=True)])
    if known.sum() < 10 * len(places):
        return None
    return np.stack([scored.values[row, part][known] for (row, _), part in zip(places, rows, strict=True)])


def _residuals(values: Floats, given: Floats) -> Floats:
    centred, known = (v - v.mean(axis=1, keepdims=True) for v in (values, given))
    coefficients, *_ = np.linalg.lstsq(known.T, centred.T, rcond=None)
    residuals: Floats = centred - (known.T @ coefficients).T
    return residuals


def _correlation(pair: Floats) -> float:
    centred = pair - pair.mean(axis=1, keepdims=True)
    power = float(np.sqrt((centred[0] ** 2).sum() * (centred[1] ** 2).sum()))
    return float((centred[0] * centred[1]).sum() / power) if power > 0 else 0.0
