"""pattern_match: series of one metric whose last two days have the same shape."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import numpy as np
import polars as pl

from lah_platform.correlations.config import CorrelationConfig
from lah_platform.correlations.hourly import Bools, Floats, Hourly, hourly_by_tenant, phases, scored_changes
from lah_platform.correlations.model import Correlation, Found, Member, correlation_id, strongest
from lah_platform.correlations.significance import autocorrelations, bartlett_factor, two_sided_p
from lah_platform.correlations.temporal import describe

_MIN_PRESENT = 0.9  # of the window: a shape drawn through more gaps than this is the interpolation's


def pattern_matches(points: pl.DataFrame, config: CorrelationConfig) -> Found:
    """Pairs of series of the same metric and subtype whose last `shape_hours` look alike once the daily pattern of
    the time before is taken off.

    Strength: similarity 1 - d^2 / 2m of the two z-normalised windows of m hours at Euclidean distance d, which is
    their correlation (Mueen et al., distances under z-normalisation); at least `min_similarity`. Two wandering
    series often look alike by chance, so their hourly changes within the window must agree, too. Confidence: 1
    minus the chance that the changes of any pair tried agree so well (Bonferroni, effective size as for temporal),
    at least 1 - `false_positive_rate`.
    """
    correlations: list[Correlation] = []
    skipped_pairs = left_out = 0
    for hourly in hourly_by_tenant(points, config):
        kept, cut = strongest(list(_of_tenant(hourly, config)), config.max_found)
        correlations.extend(kept)
        left_out += cut
        skipped_pairs += hourly.skipped_pairs
    return Found(correlations, skipped_pairs, left_out)


def _of_tenant(hourly: Hourly, config: CorrelationConfig) -> Iterator[Correlation]:
    m = config.shape_hours
    if hourly.values.shape[1] <= m + 24:
        return
    shapes, usable = _recent_shapes(hourly, m)
    groups: dict[tuple[str, str], list[int]] = defaultdict(list)
    for row in np.flatnonzero(usable):
        groups[hourly.keys[row].metric, hourly.keys[row].subtype].append(int(row))
    pairs = sum(len(rows) * (len(rows) - 1) // 2 for rows in groups.values())
    if pairs == 0:
        return
    scored = scored_changes(hourly)
    rho = autocorrelations(scored)
    similarity = shapes @ shapes.T / m
    inside, worth = scored.values[:, -m:], np.sqrt(scored.weight[:, -m:])
    present = (worth > 0).astype(np.float64)
    power = (inside**2 @ present.T) * (present @ (inside**2).T)
    agreement = inside @ inside.T / np.sqrt(np.maximum(power, 1e-300))
    effective = worth @ worth.T / bartlett_factor(rho, rho)
    for rows in groups.values():
        for position, one in enumerate(rows):
            for other in rows[position + 1 :]:
                r = float(similarity[one, other])
                if r < config.min_similarity or agreement[one, other] <= 0:
                    continue
                chance = min(two_sided_p(float(agreement[one, other]), float(effective[one, other])) * pairs, 1.0)
                if chance <= config.false_positive_rate:
                    yield _correlation(hourly, one, other, min(r, 1.0), chance, m)


def _recent_shapes(hourly: Hourly, m: int) -> tuple[Floats, Bools]:
    """The last m hours minus the median of their phase before them, z-normalised; and which are usable: hardly a gap,
    every hour's phase known from two earlier days, and not flat."""
    shapes, usable = np.zeros((len(hourly.values), m)), np.zeros(len(hourly.values), dtype=np.bool_)
    phase = phases(hourly)
    for row, values in enumerate(hourly.values):
        recent = values[-m:]
        present = ~np.isnan(recent)
        usual = np.array([_median_of_two(values[:-m][phase[:-m] == p]) for p in phase[-m:]])
        if present.mean() < _MIN_PRESENT or np.isnan(usual).any():
            continue
        excess = recent - usual
        excess = np.interp(np.arange(m), np.flatnonzero(present), excess[present])
        scale = excess.std()
        if scale > 1e-9 * np.abs(recent[present]).max():
            shapes[row], usable[row] = (excess - excess.mean()) / scale, True
    return shapes, usable


def _median_of_two(values: Floats) -> float:
    known = values[~np.isnan(values)]
    return float(np.median(known)) if len(known) >= 2 else np.nan


def _correlation(hourly: Hourly, one: int, other: int, r: float, chance: float, m: int) -> Correlation:
    length = hourly.values.shape[1]
    begin, end = hourly.at(length - m), hourly.at(length)
    keys = (hourly.keys[one], hourly.keys[other])
    members = tuple(Member("related", "series", str(key.series_id), key.metric, begin) for key in keys)
    return Correlation(
        correlation_id=correlation_id("pattern_match", hourly.tenant, members),
        tenant=hourly.tenant,
        correlation_type="pattern_match",
        started_at=begin,
        ended_at=end,
        strength=r,
        confidence=1.0 - chance,
        explanation=(
            f"the last {m} hours of {describe(keys[0])} and {describe(keys[1])} have the same shape "
            f"beyond their daily pattern: similarity {r:.2f}."
        ),
        members=members,
    )
