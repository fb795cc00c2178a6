"""Spike, drop and pattern deviation: where a series' surprises open an episode, and what keeps it open.

Surprise says when; the robust deviations of `level` say how far from what, on which side, and for how long.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from lah_platform.anomalies.config import DetectorConfig
from lah_platform.anomalies.episodes import Episode, active, episodes
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


def judge(values: Floats, bucket: Ints, first_us: int, step_us: int, unit: float, config: DetectorConfig) -> Judgement:
    """All that is said about the levels of a series: finite values in ascending buckets from `first_us` (UTC)."""
    at_us, slot = first_us + bucket * step_us, slot_us(step_us)
    hours = (at_us // HOUR_US).tolist() if step_us <= HOUR_US else None
    surprise, by_phase = surprises(values.tolist(), hours, unit, config.relative_floor, config.memory)
    phase = None
    if slot is not None:
        phase = same_phase_deviation(values, at_us // slot, DAY_US // slot, unit, config)
    recent = unexplained_by_phase(recent_deviation(values, unit, config), phase)
    side = np.where(values < recent.baseline, -1.0, 1.0)
    if phase is not None:
        deviation = np.nan_to_num(phase.deviation)
        # above the last hours but below what is usual at this hour, or the other way round: on its way, not odd
        between = (recent.deviation == 0.0) & (deviation != 0.0) & (np.abs(deviation) < config.enter)
        surprise = np.where(between, 0.0, surprise)
        is_outside = by_phase >= config.outside_phase if hours is not None else np.ones(len(values), dtype=np.bool_)
        is_odd = is_outside & (np.abs(deviation) >= config.enter)
        surprise = np.where(is_odd, np.maximum(surprise, config.surprise), surprise)
        by_pattern = (np.abs(recent.deviation) < config.enter) & (np.abs(deviation) >= config.enter)
        side = np.where(by_pattern, np.sign(deviation), side)
    surprise[: config.min_history] = 0.0
    return Judgement(surprise, news(surprise, bucket.tolist(), config.fading), side, recent, phase)


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
