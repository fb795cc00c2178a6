"""What a bucket of few events is worth: how far its value may be believed, and whether chance alone makes its count.

A tail or mean of one request is that request, and a sum of three events moves with each. Where a bucket's level is
drawn about the usual with a variance 1 / `prior` of that of single events, the best guess of it lies n / (n + prior) of
the way from the usual to what was seen (shrinkage; Efron and Morris, JASA 70, 1975): a surprise weighs as much.

That is said of requests, which come by chance. What comes like clockwork, such as a bill an hour, is no draw but a
report of many: `prior` is multiplied by the dispersion of the counts (variance over mean; 1 for Poisson's law, 0 for a
clock).
"""

from __future__ import annotations

import numpy as np

from lah_platform.anomalies.rolling import Floats, Ints

_TINY = 1e-300
_UNSURE = 2.0


def evidence_weight(counts: Floats, bucket: Ints, prior: float, history: int, *, is_total: bool) -> Floats:
    """n / (n + prior * dispersion) of the events in each bucket, 0..1.

    A total that has lost its events is as surely low as they are usually many: for totals n is no less than the mean of
    the last `history` buckets.
    """
    n = np.maximum(counts, np.nan_to_num(trailing_mean(counts, history))) if is_total else counts
    with np.errstate(invalid="ignore"):
        weight: Floats = n / (n + prior * dispersion(counts, bucket, history))
    return np.nan_to_num(weight)


def dispersion(counts: Floats, bucket: Ints, history: int) -> Floats:
    """Variance over mean of the counts in up to `history` buckets with events before each, and the empty ones between
    them, 0..1; with as much said for Poisson's law beforehand as _UNSURE buckets would say."""
    here = np.arange(len(counts))
    first = np.maximum(here - history, 0)
    total, squares = (np.concatenate([[0.0], np.cumsum(of)]) for of in (counts, counts**2))
    n = np.maximum(bucket - bucket[first], 1)
    mean = (total[here] - total[first]) / n
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = ((squares[here] - squares[first]) / mean - n * mean + _UNSURE) / (n + _UNSURE)
    found: Floats = np.clip(np.where(mean > 0, ratio, 1.0), 0.0, 1.0)
    return found


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
