"""Lagged links between many series: screened by matrix products, judged one by one, freed of what a third explains."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from lah_platform.correlations.confounders import explained_by
from lah_platform.correlations.hourly import Bools, Floats, ScoredChanges
from lah_platform.correlations.significance import (
    autocorrelations,
    bartlett_factor,
    false_discovery_rates,
    two_sided_ps,
)

Ints = NDArray[np.int64]

_CHUNK_PAIRS = 2_000  # of six weeks of hours: 16 MB a matrix
_SCREEN = 0.8
"""Screening takes single precision and the overlap at lag 0: it lets through what comes near the least strength."""


@dataclass(frozen=True, slots=True)
class Link:
    """Row `follower` changes `lag` steps after row `leader`, both indices of the scored changes.

    p_value: chance of so strong a correlation at any lag of this pair, if it were unrelated.
    false_discovery_rate: the rate at which it would just be found.
    """

    leader: int
    follower: int
    lag: int
    correlation: float
    p_value: float
    effective_size: float
    false_discovery_rate: float


@dataclass(frozen=True, slots=True)
class Links:
    """found: sorted by strength. indirect: links that a third series explains, with its row. left_out: candidates
    beyond the limit, the weakest ones, not judged. screened: leader, follower and lag of those that were, the strongest
    first, whatever came of it."""

    found: list[Link]
    indirect: list[tuple[Link, int]]
    left_out: int
    pairs: int
    screened: list[tuple[int, int, int]] = field(default_factory=list)


def lagged_links(
    scored: ScoredChanges,
    may_relate: Bools,
    *,
    most_lags: int,
    least_strength: float,
    false_discovery_rate: float,
    most_candidates: int = 10_000,
) -> Links:
    """Links among all pairs that `may_relate` (square, symmetric) allows, at the strongest lag of at most `most_lags`.

    Of the pairs whose correlation comes near `least_strength` in a screening pass over all lags, each is judged by its
    rank correlation and effective size, times the number of lags (Bonferroni); over all pairs tried the expected share
    of false links is held by Benjamini and Yekutieli (Ann. Stat. 29, 2001), which asks nothing of how pairs depend on
    one another. A link that is nothing any more given a third series, linked to both ends more strongly than they to
    one another (what passes through the third loses on the way: Margolin et al., BMC Bioinformatics 7, 2006), is
    indirect.
    """
    lags = min(most_lags, scored.values.shape[1] - 1)
    pairs = int(np.triu(may_relate, k=1).sum())
    if pairs == 0 or lags < 0:
        return Links([], [], 0, pairs)
    leaders, followers, shifts, left_out = _screened(scored, may_relate, lags, least_strength, most_candidates)
    correlation, effective = pair_correlations(scored, leaders, followers, shifts)
    p_values = np.minimum(two_sided_ps(correlation, effective) * (2 * lags + 1), 1.0)
    rates = false_discovery_rates(p_values, pairs)
    is_found = rates <= false_discovery_rate
    limit = float(p_values[is_found].max(initial=0.0))
    kept = np.flatnonzero(is_found & (np.abs(correlation) >= least_strength))
    kept = kept[np.argsort(-np.abs(correlation[kept]), kind="stable")]
    links = [
        Link(
            int(leaders[i]),
            int(followers[i]),
            int(shifts[i]),
            float(correlation[i]),
            float(p_values[i]),
            float(effective[i]),
            float(rates[i]),
        )
        for i in kept
    ]
    direct, indirect = _direct(scored, links, limit / (2 * lags + 1))
    screened = list(zip(leaders.tolist(), followers.tolist(), shifts.tolist(), strict=True))
    return Links(direct, indirect, left_out, pairs, screened)


def pair_correlations(scored: ScoredChanges, leaders: Ints, followers: Ints, shifts: Ints) -> tuple[Floats, Floats]:
    """Correlation of each pair, the follower taken `shifts` columns later, and its effective number of observations.

    The number is what both values are worth, less what both series' autocorrelation (Bartlett) and common restless
    times take: the variance of r is sum x^2 y^2 / (sum x^2 sum y^2), 1/n only when they are unrelated.
    """
    rho = autocorrelations(scored)
    worth = np.sqrt(scored.weight)
    correlation, effective = np.zeros((2, len(leaders)))
    for shift in np.unique(shifts):
        chosen = np.flatnonzero(shifts == shift)
        for begin in range(0, len(chosen), _CHUNK_PAIRS):
            part = chosen[begin : begin + _CHUNK_PAIRS]
            one, other = leaders[part], followers[part]
            until = scored.values.shape[1] - int(shift)
            weight = worth[one, :until] * worth[other, int(shift) :]
            known = weight > 0
            x, y = scored.values[one, :until] * known, scored.values[other, int(shift) :] * known
            power = np.maximum((x**2).sum(axis=1) * (y**2).sum(axis=1), 1e-300)
            correlation[part] = np.clip((x * y).sum(axis=1) / np.sqrt(power), -1.0, 1.0)
            restless = np.maximum(known.sum(axis=1) * (x**2 * y**2).sum(axis=1) / power, 1.0)
            effective[part] = weight.sum(axis=1) / (bartlett_factor(rho[one], rho[other]) * restless)
    return correlation, effective


def _screened(
    scored: ScoredChanges, may_relate: Bools, lags: int, least_strength: float, most: int
) -> tuple[Ints, Ints, Ints, int]:
    """Leaders, followers and lags of the pairs worth judging, the strongest `most`, and how many more there were."""
    values = scored.values.astype(np.float32)
    known = (scored.weight > 0).astype(np.float32)
    overlap = np.maximum(known @ known.T, 1.0)
    size, length = values.shape
    best = np.zeros((size, size), dtype=np.float32)
    best_lag = np.zeros((size, size), dtype=np.int16)
    for lag in range(lags + 1):
        strength = np.abs(values[:, : length - lag] @ values[:, lag:].T) / overlap
        if lag == 0:
            strength = np.triu(strength, k=1)  # together has no leader: count it once
        better = strength > best
        best[better] = strength[better]
        best_lag[better] = lag
    best[~may_relate] = 0.0
    is_leader = (best > best.T) | ((best == best.T) & np.triu(np.ones((size, size), dtype=np.bool_), k=1))
    candidates = np.argwhere(is_leader & (best >= _SCREEN * least_strength))
    order = np.argsort(-best[candidates[:, 0], candidates[:, 1]], kind="stable")[:most]
    leaders, followers = candidates[order].T
    return leaders, followers, best_lag[leaders, followers].astype(np.int64), max(len(candidates) - most, 0)


def _direct(scored: ScoredChanges, links: list[Link], p_limit: float) -> tuple[list[Link], list[tuple[Link, int]]]:
    lag_of: dict[int, dict[int, int]] = defaultdict(dict)
    strength_of: dict[int, dict[int, float]] = defaultdict(dict)
    for link in links:
        lag_of[link.leader][link.follower] = link.lag
        lag_of[link.follower][link.leader] = -link.lag
        strength_of[link.leader][link.follower] = strength_of[link.follower][link.leader] = abs(link.correlation)
    direct: list[Link] = []
    indirect: list[tuple[Link, int]] = []
    for link in links:
        one, other = link.leader, link.follower
        thirds = [
            # how much later than the leader the third is, once seen from either end of the link
            (third, -lag_of[third][one], link.lag - lag_of[third][other])
            for third in sorted(strength_of[one].keys() & strength_of[other].keys())
            if min(strength_of[one][third], strength_of[other][third]) > abs(link.correlation)
        ]
        thirds.sort(key=lambda t: -min(strength_of[one][t[0]], strength_of[other][t[0]]))
        third = explained_by(scored, one, other, link.lag, thirds, link.effective_size, p_limit)
        if third is None:
            direct.append(link)
        else:
            indirect.append((link, third))
    return direct, indirect
