"""How sure a correlation of two series is, given how often and where one was looked for."""

from __future__ import annotations

import math

import numpy as np

from lah_platform.correlations.hourly import Floats, ScoredChanges

_BARTLETT_LAGS = 24


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
    """By what the variance of a sample correlation of two unrelated series exceeds 1/n, for all pairs of rows.

    1 + 2 sum rho_x(j) rho_y(j) over the lags j (Bartlett 1935; Priestley, Spectral Analysis and Time Series, 1981,
    section 9.5.2), never below 1.
    """
    factor: Floats = np.maximum(1.0 + 2.0 * one @ other.T, 1.0)
    return factor


def two_sided_p(correlation: float, effective_size: float) -> float:
    """Chance of so strong a correlation of unrelated series, by Fisher's z; 1 with an effective size of 4 or less."""
    if effective_size <= 4.0:
        return 1.0
    bounded = min(abs(correlation), 1.0 - 1e-12)
    return math.erfc(math.atanh(bounded) * math.sqrt(effective_size - 3.0) / math.sqrt(2.0))
