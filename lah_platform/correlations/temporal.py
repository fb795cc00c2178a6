"""temporal: series of one tenant whose hourly changes follow one another, some hours apart or at once."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import numpy as np
import polars as pl

from lah_platform.correlations.config import CorrelationConfig
from lah_platform.correlations.hourly import (
    Bools,
    Floats,
    Hourly,
    ScoredChanges,
    SeriesKey,
    hourly_by_tenant,
    scored_changes,
)
from lah_platform.correlations.model import Correlation, Found, Member, Role, correlation_id, strongest
from lah_platform.correlations.significance import autocorrelations, bartlett_factor, two_sided_p

_VOLUMES = frozenset({"events", "total_requests", "input_tokens", "output_tokens", "total_tokens", "cost_usd"})


def temporal_correlations(points: pl.DataFrame, config: CorrelationConfig) -> Found:
    """Lagged rank correlation of de-seasonalised hourly changes, for every pair of series and metrics of a tenant.

    Two metrics of one series, and two counts of one model's requests (events, tokens, cost), are not compared: they
    measure the same events. The strongest lag of at most `max_lag_hours` counts. At a lag the leader is a
    contributor and the follower the effect; without one both are related. Leading is not causing: a third series
    may drive both.
    Strength: |rank correlation| (at least `min_strength`). Confidence: 1 minus the chance of so strong a one at any
    lag of any pair of the tenant's unrelated series (Bonferroni), at least 1 - `false_positive_rate`. The number of
    observations is made smaller by what both series' autocorrelation (Bartlett) and common restless times take from
    its worth.
    """
    correlations: list[Correlation] = []
    skipped_pairs = left_out = 0
    for hourly in hourly_by_tenant(points, config):
        found = list(_of_tenant(hourly, config))
        kept, cut = strongest(found, config.max_found)
        correlations.extend(kept)
        left_out += cut
        skipped_pairs += hourly.skipped_pairs
    return Found(correlations, skipped_pairs, left_out)


def _of_tenant(hourly: Hourly, config: CorrelationConfig) -> Iterator[Correlation]:
    tried = _may_relate(hourly.keys)
    pairs = int(tried.sum()) // 2
    if pairs == 0:
        return
    scored = scored_changes(hourly)
    lags = min(config.max_lag_hours, scored.values.shape[1] - 1)
    correlation, effective = lagged_correlations(scored, lags)
    correlation[:, ~tried] = 0.0
    correlation[0][np.tri(len(hourly.keys), k=-1, dtype=np.bool_)] = 0.0  # together has no leader: count it once
    z = np.arctanh(np.clip(np.abs(correlation), 0.0, 1.0 - 1e-12)) * np.sqrt(np.maximum(effective - 3.0, 0.0))
    best_lag, best = z.argmax(axis=0), z.max(axis=0)
    for leader, follower in np.argwhere(np.triu(tried, k=1)):
        if best[follower, leader] > best[leader, follower]:
            leader, follower = follower, leader
        lag = int(best_lag[leader, follower])
        r = float(correlation[lag, leader, follower])
        size = float(effective[lag, leader, follower])
        chance = min(two_sided_p(r, size) * pairs * (2 * lags + 1), 1.0)
        if abs(r) >= config.min_strength and chance <= config.false_positive_rate:
            yield _correlation(hourly, int(leader), int(follower), lag, r, chance)


def _may_relate(keys: list[SeriesKey]) -> Bools:
    series = np.array([key.series_id for key in keys])
    volume_of = np.array([key.model if key.metric in _VOLUMES else "" for key in keys])
    is_same_volume = (volume_of[:, None] == volume_of) & (volume_of != "")
    may_relate: Bools = (series[:, None] != series) & ~is_same_volume
    return may_relate


def lagged_correlations(scored: ScoredChanges, lags: int) -> tuple[Floats, Floats]:
    """Correlation of row i with row j `lag` columns later, and its effective number of observations: [lag, i, j]."""
    values, squares = scored.values, scored.values**2
    known, worth = (scored.weight > 0).astype(np.float64), np.sqrt(scored.weight)
    rho = autocorrelations(scored)
    bartlett = bartlett_factor(rho, rho)
    size, length = values.shape
    correlation, effective = np.zeros((2, lags + 1, size, size))
    for lag in range(lags + 1):
        early, late = slice(0, length - lag), slice(lag, length)
        power = (squares[:, early] @ known[:, late].T) * (known[:, early] @ squares[:, late].T)
        safe = np.maximum(power, 1e-300)
        correlation[lag] = np.clip(values[:, early] @ values[:, late].T / np.sqrt(safe), -1.0, 1.0)
        # common restless times: the variance of r is sum x^2 y^2 / (sum x^2 sum y^2), 1/n when they are unrelated
        restless = known[:, early] @ known[:, late].T * (squares[:, early] @ squares[:, late].T) / safe
        effective[lag] = worth[:, early] @ worth[:, late].T / (bartlett * np.maximum(restless, 1.0))
    return correlation, effective


def _correlation(hourly: Hourly, leader: int, follower: int, lag: int, r: float, chance: float) -> Correlation:
    roles: tuple[Role, Role] = ("contributor", "effect") if lag else ("related", "related")
    begin, end = hourly.at(0), hourly.at(hourly.values.shape[1])
    members = tuple(
        Member(role, "series", str(hourly.keys[row].series_id), hourly.keys[row].metric, at)
        for role, row, at in zip(roles, (leader, follower), (begin, begin + timedelta(hours=lag)), strict=True)
    )
    one, other = (describe(hourly.keys[row]) for row in (leader, follower))
    when = f"{lag} h before" if lag else "together with"
    direction = "in the same direction" if r > 0 else "in the opposite direction"
    return Correlation(
        correlation_id=correlation_id("temporal", hourly.tenant, members),
        tenant=hourly.tenant,
        correlation_type="temporal",
        started_at=begin,
        ended_at=end,
        strength=abs(r),
        confidence=1.0 - chance,
        explanation=f"{one} changes {when} {other}, {direction}: rank correlation {r:.2f}.",
        members=members,
    )


def describe(key: SeriesKey) -> str:
    model = f" ({key.model})" if key.model else ""
    return f"{key.metric} of series {key.series_id}{model}"
