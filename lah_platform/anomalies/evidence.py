"""What a bucket of few events is worth: how far its value may be believed, and whether chance alone makes its count.

A tail or mean of one request is that request, and a sum of three events moves with each. Where a bucket's level is
drawn about the usual with a variance 1 / `prior` of that of single events, the best guess of it lies n / (n + prior) of
the way from the usual to what was seen (shrinkage; Efron and Morris, JASA 70, 1975): a surprise weighs as much.
"""

from __future__ import annotations

import numpy as np

from lah_platform.anomalies.rolling import Floats

_TINY = 1e-300


def evidence_weight(counts: Floats, prior: float, history: int, *, is_total: bool) -> Floats:
    """n / (n + prior) of the events in each bucket, 0..1.

    A total that has lost its events is as surely low as they are usually many: for totals n is no less than the mean of
    the last `history` buckets.
    """
    n = np.maximum(counts, np.nan_to_num(trailing_mean(counts, history))) if is_total else counts
    weight: Floats = n / (n + prior)
    return weight


def poisson_z(count: Floats, mean: Floats) -> Floats:
    """Signed z with the exact tail probability of a count under Poisson's law: P(X >= count) above the mean,
    P(X <= count) below. Means must be positive."""
    from scipy.special import gammainc, gammaincc, ndtri

    above = count > mean
    tail = np.where(above, gammainc(np.maximum(count, _TINY), mean), gammaincc(count + 1.0, mean))
    z: Floats = np.where(above, 1.0, -1.0) * np.maximum(-ndtri(np.maximum(tail, _TINY)), 0.0)
    return z


def trailing_mean(counts: Floats, history: int) -> Floats:
    """Mean of up to `history` counts before each; NaN before the first. Whole numbers, so the sums are exact."""
    total = np.concatenate([[0.0], np.cumsum(counts)])
    here = np.arange(len(counts))
    first = np.maximum(here - history, 0)
    with np.errstate(invalid="ignore"):
        mean: Floats = (total[here] - total[first]) / (here - first)
    return mean
