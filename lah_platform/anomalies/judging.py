"""Spike, drop and pattern deviation: where a series' surprises open an episode, and what keeps it open.

Surprise says when; the robust deviations of `level` say how far from what, on which side, and for how long.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from lah_platform.anomalies.config import COUNTS, TOTALS, DetectorConfig
from lah_platform.anomalies.episodes import Episode, active, episodes
from lah_platform.anomalies.evidence import evidence_weight, poisson_z, trailing_mean
from lah_platform.anomalies.impact import score01
from lah_platform.anomalies.level import (
    LevelVerdict,
    PhaseVerdict,
    recent_deviation,
    same_phase_deviation,
    unexplained_by_phase,
)
from lah_platform.anomalies.phase import DAY_US, HOUR_US, slot_us
from lah_platform.anomalies.rolling import Bools, Floats, Ints
from lah_platform.anomalies.surprise import MOST, news, surprises


@dataclass(frozen=True, slots=True)
class Judgement:
    """Per value: surprise 0..4.5, what of it is news, on which side it lies (1 or -1), and the robust deviations."""

    surprise: Floats
    alarm: Floats
    side: Floats
    recent: LevelVerdict
    phase: PhaseVerdict | None


@dataclass(frozen=True, slots=True)
class Told:
    """One episode: its type and method, positions, which of them were active, numbers at the peak, a score 0..1."""

    anomaly_type: str
    method: str
    episode: Episode
    is_active: Bools
    observed: float
    baseline: float
    deviation: float
    score: float


@dataclass(frozen=True, slots=True)
class Levels:
    """One series' finite values in ascending buckets of `step_us` from `first_us` (UTC), how many events made each
    (None: nobody counted, all are believed), and the metric, which says what kind of measure it is."""

    values: Floats
    bucket: Ints
    first_us: int
    step_us: int
    unit: float
    counts: Floats | None = None
    metric: str = ""

    @property
    def hours(self) -> Ints | None:
        """Hours since the epoch; None where a bucket is longer than one."""
        return (self.first_us + self.bucket * self.step_us) // HOUR_US if self.step_us <= HOUR_US else None


def judge(levels: Levels, config: DetectorConfig) -> Judgement:
    """All that is said about the levels of a series."""
    hours = None if levels.hours is None else levels.hours.tolist()
    streamed = surprises(levels.values.tolist(), hours, levels.unit, config.relative_floor, config.memory)
    return weigh(levels, *streamed, config)


def weigh(levels: Levels, surprise: Floats, by_phase: Floats, config: DetectorConfig) -> Judgement:
    """What `surprises` says of each value, weighed by what the hour of day, the week and the bucket's events say."""
    values, slot = levels.values, slot_us(levels.step_us)
    phase = None
    if slot is not None:
        at_us = levels.first_us + levels.bucket * levels.step_us
        phase = same_phase_deviation(values, at_us // slot, DAY_US // slot, levels.unit, config)
    recent = unexplained_by_phase(recent_deviation(values, levels.unit, config), phase)
    weight = _weight(levels, phase, config)
    surprise = surprise * weight
    side = np.where(values < recent.baseline, -1.0, 1.0)
    if phase is not None:
        deviation = np.nan_to_num(phase.deviation)
        # above the last hours but below what is usual at this hour, or the other way round: on its way, not odd
        between = (recent.deviation == 0.0) & (deviation != 0.0) & (np.abs(deviation) < config.enter)
        surprise = np.where(between, 0.0, surprise)
        is_outside = np.full(len(values), True) if levels.hours is None else by_phase >= config.outside_phase
        is_evident = weight * MOST >= config.surprise  # of one event not even the greatest surprise would be told
        is_odd = is_outside & is_evident & (np.abs(deviation) * weight >= config.enter)
        surprise = np.where(is_odd, np.maximum(surprise, config.surprise), surprise)
        by_pattern = (np.abs(recent.deviation) < config.enter) & (np.abs(deviation) >= config.enter)
        side = np.where(by_pattern, np.sign(deviation), side)
    surprise[: config.min_history] = 0.0
    return Judgement(surprise, news(surprise, levels.bucket.tolist(), config.fading), side, recent, phase)


def _weight(levels: Levels, phase: PhaseVerdict | None, config: DetectorConfig) -> Floats:
    """0..1 per value: the evidence of a bucket's events; of counts 1, or 0 where chance makes such a count."""
    counts = levels.counts
    if counts is None:
        return np.ones(len(levels.values))
    if levels.metric not in COUNTS:
        return evidence_weight(counts, levels.bucket, config.evidence, config.history, is_total=levels.metric in TOTALS)
    usual = np.nan_to_num(trailing_mean(counts, config.history)) + 0.5  # half an event: Jeffreys prior
    is_rare = np.abs(poisson_z(counts, usual)) >= config.enter
    if phase is not None:
        is_rare |= np.abs(poisson_z(counts, np.maximum(np.nan_to_num(phase.baseline), 0.0) + 0.5)) >= config.enter
    return is_rare.astype(np.float64)


def tell(values: Floats, bucket: Ints, verdict: Judgement, config: DetectorConfig) -> Iterator[Told]:
    """Episodes of a judged series: those above what is usual, then those below."""
    for side in (1.0, -1.0):
        on_side = verdict.side == side
        deviates = side * verdict.recent.deviation >= config.exit
        enter = on_side & (verdict.alarm >= config.surprise)
        hold = on_side & (deviates | (verdict.surprise >= config.surprise))
        is_active = active(bucket, enter, hold, config.max_gap)
        for episode in episodes(bucket, is_active, np.maximum(side * verdict.recent.plain, 0.0), config.max_gap):
            yield _told(values, verdict, episode, is_active, side, config)


def _told(
    values: Floats, verdict: Judgement, episode: Episode, is_active: Bools, side: float, config: DetectorConfig
) -> Told:
    """What began as a spike stays one: the type is part of an episode's identity, and it grows."""
    start, at, recent, phase = episode.start, episode.peak, verdict.recent, verdict.phase
    if phase is not None and abs(recent.deviation[start]) < config.enter <= side * phase.deviation[start]:
        active_at = start + np.flatnonzero(is_active[start : episode.end + 1])
        at = int(active_at[np.nan_to_num(side * phase.deviation[active_at]).argmax()])
        kind, method = "pattern_deviation", phase.method(at)
        baseline, deviation = float(phase.baseline[at]), float(phase.deviation[at])
    else:
        kind, method = "spike" if side > 0 else "drop", recent.method(at, config.exit, side) or "novelty"
        baseline, deviation = float(recent.baseline[at]), float(recent.plain[at])
    heard = float(verdict.alarm[start : episode.end + 1].max())
    score = max(min((heard - config.surprise) / (MOST - config.surprise), 1.0), score01(deviation, config.enter))
    told = Episode(start, at, episode.end)
    return Told(kind, method, told, is_active, float(values[at]), baseline, deviation, score)
