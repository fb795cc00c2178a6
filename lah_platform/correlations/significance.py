"""How sure a correlation of two series is, given how often and where one was looked for."""

from __future__ import annotations

import math

import numpy as np

from lah_platform.correlations.hourly import Floats, ScoredChanges

_BARTLETT_LAGS = 24
_SUMMED = 1000  # terms of a harmonic number; the rest by the logarithm, to a thousandth of it


def autocorrelations(scored: ScoredChanges) -> Floats:
    """Autocorrelation of each row at lags 1 to 24 (fewer when the series are shorter), over pairs that are known."""
    values, known = scored.values, scored.weight > 0
    length = values.shape[1]
    lags = range(1, min(_BARTLETT_LAGS, length - 1) + 1)
    result = np.zeros((len(values), len(lags)))
    for column, lag in enumerate(lags):
        products = (values[:, lag:] * values[:, :-lag]).sum(axis=1)
        size = (known[:, lag:] & known[:, :-lag]).sum(axis=1)
        result[:, column] = products / np.maximum(size, 1)
    return result


def bartlett_factor(one: Floats, other: Floats) -> Floats:
    """By what the variance of a sample correlation of two unrelated series exceeds 1/n, for each pair of rows.

    1 + 2 sum rho_x(j) rho_y(j) over the lags j (Bartlett 1935; Priestley, Spectral Analysis and Time Series, 1981,
    section 9.5.2), never below 1.
    """
    factor: Floats = np.maximum(1.0 + 2.0 * (one * other).sum(axis=1), 1.0)
    return factor


def false_discovery_rates(p_values: Floats, tests: int) -> Floats:
    """For each p-value the expected share of false ones if all up to it were accepted, however the tests depend on one
    another (Benjamini and Yekutieli, Ann. Stat. 29, 2001).

    `p_values` are those of the tests, of `tests` in all, that may be accepted; the others count as larger.
    """
    order = np.argsort(p_values, kind="stable")
    harmonic = float((1.0 / np.arange(1, min(tests, _SUMMED) + 1)).sum()) + math.log(max(tests / _SUMMED, 1.0))
    raw = p_values[order] * tests * harmonic / np.arange(1, len(order) + 1)
    rates = np.empty(len(order))
    rates[order] = np.minimum(np.minimum.accumulate(raw[::-1])[::-1], 1.0)
    return rates


def two_sided_ps(correlations: Floats, effective_sizes: Floats) -> Floats:
    """`two_sided_p` of each."""
    return np.array([two_sided_p(float(r), float(n)) for r, n in zip(correlations, effective_sizes, strict=True)])


def two_sided_p(correlation: float, effective_size: float) -> float:
    """Chance of so strong a correlation of unrelated series, by Fisher's z; 1 with an effective size of 4 or less."""
    if effective_size <= 4.0:
        return 1.0
    bounded = min(abs(correlation), 1.0 - 1e-12)
    return math.erfc(math.atanh(bounded) * math.sqrt(effective_size - 3.0) / math.sqrt(2.0))
