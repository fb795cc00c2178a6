"""The numbers a detector is tuned by, each with its reason. No computation here.

`history`, `min_history` and `max_gap` count buckets, so the same configuration serves every window:
a minute series looks back 168 minutes, an hourly one a week.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from lah_platform.anomalies.surprise import MOST, Memory

# Sums over a bucket's events, and the one that only counts them
TOTALS = frozenset({"events", "total_tokens", "cost_usd", "failed_requests"})
COUNTS = frozenset({"events"})
# The smallest difference that means something, per metric. It keeps a scale from collapsing to nothing on a
# flat series, and is where a histogram stops telling a value from zero.
UNITS: Mapping[str, float] = MappingProxyType(
    {
        "cost_usd": 1e-4,
        "score": 0.01,
        "tokens_per_second": 0.1,
        "requests_per_second": 0.1,
    }
)
DEFAULT_UNIT = 1.0  # milliseconds, tokens, requests, events


@dataclass(frozen=True, slots=True)
class DetectorConfig:
    """What every detector shares. Deviations are in robust standard deviations of the baseline."""

    history: int = 168
    """Baseline length in buckets: one week of hours."""
    min_history: int = 36
    """Buckets of a series that must lie before a bucket before anything is said about it. One and a half days of
    hours: with 24 the second morning of every office-hours series was a spike."""
    surprise: float = 1.9
    """A level's episode opens at this surprise. Chosen for at most one false episode per series and week."""
    fading: float = 0.015
    """Cool-down: so much of a heard surprise is forgotten per bucket. After one of 2.8, another of 1.9 is told again
    from 60 buckets on, a greater one at once."""
    outside_phase: float = 3.3
    """The answer of the phase, from which a deviation from it is believed: a fifth of the range outside every band."""
    memory: Memory = field(default_factory=Memory)
    enter: float = 4.5
    """Episodes of counts and of hours open at this deviation: one in 300,000 on each side of a normal series."""
    exit: float = 3.0
    """An open episode goes on down to this deviation (hysteresis)."""
    distribution_enter: float = 7.0
    """As `enter`, for distances between histograms: they are skewed to the right even when nothing happens."""
    distribution_exit: float = 4.5
    evidence: float = 2.0
    """A bucket of n events that come by chance weighs n / (n + this): one request alone opens no episode, six hold
    three quarters of what many would. The ratio of the variances of single events and of levels. Of what comes like
    clockwork less is asked."""
    max_gap: int = 2
    """Quiet or missing buckets that do not end an episode."""
    relative_floor: float = 0.02
    """No scale is smaller than this share of the level."""
    day_cycles: int = 7
    min_day_cycles: int = 3
    """Earlier days, at least, that the same hour of day must have been seen on."""
    week_cycles: int = 4
    min_week_cycles: int = 2
    """Earlier weeks, at least, after which the hour of week takes the place of the hour of day."""
    min_bucket_count: int = 30
    """Values a bucket needs before its histogram is compared with others."""
    min_shift_octaves: float = 0.1
    """Distances between histograms below this (7 %) are never reported, however significant."""
    units: Mapping[str, float] = field(default_factory=lambda: UNITS)

    def __post_init__(self) -> None:
        if not 2 <= self.min_history <= self.history:
            raise ValueError(f"min_history must lie in 2..history ({self.history}), not {self.min_history}")
        if not 0 < self.exit <= self.enter or not 0 < self.distribution_exit <= self.distribution_enter:
            raise ValueError("exit thresholds must be positive and no greater than their enter thresholds")
        if not 0 < self.surprise < MOST or self.fading < 0 or self.outside_phase < 0:
            raise ValueError(
                f"surprise must lie between 0 and {MOST:.1f}, fading and outside_phase must not be negative"
            )
        if self.max_gap < 0 or self.relative_floor <= 0 or self.min_bucket_count < 1 or self.evidence < 0:
            raise ValueError("max_gap and evidence must be >= 0, relative_floor > 0 and min_bucket_count >= 1")
        if not (2 < self.min_day_cycles <= self.day_cycles and 2 <= self.min_week_cycles <= self.week_cycles):
            raise ValueError("min_day_cycles must lie in 3..day_cycles and min_week_cycles in 2..week_cycles")

    def unit(self, metric: str) -> float:
        """Smallest meaningful difference of a metric, in that metric's unit."""
        return self.units.get(metric, DEFAULT_UNIT)


DEFAULT = DetectorConfig()
