"""Lagged links on series whose causes are planted: leads, common causes among the observed, and nothing at all."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.report import seconds_of
from lah_platform.correlations.config import CorrelationConfig
from lah_platform.correlations.hourly import Hourly, SeriesKey, scored_changes
from lah_platform.correlations.links import lagged_links

__all__ = ["LinkScores", "false_links", "lagged_matrix", "link_scores", "seconds_of_size"]

Floats = NDArray[np.float64]
_CONFIG = CorrelationConfig()
_HOURS = 24 * 28
_FIRST_HOUR = 24 * 4 + 24 * 7 * 2900  # a Monday
_LAWS = ("noise", "autoregressive", "random walk", "daily and weekly", "heavy tails")


@dataclass(frozen=True)
class LinkScores:
    """precision and recall of direct links with their direction and lag (one step off allowed)."""

    precision: float
    recall: float


def lagged_matrix(values: Floats) -> Hourly:
    """Rows of hourly values of as many series as a tenant's matrix."""
    keys = [SeriesKey(i, "latency_ms", "latency", "") for i in range(len(values))]
    return Hourly("simulated", keys, _FIRST_HOUR, values, 0)


def link_scores(runs: int, *, is_confounded: bool, seed: int = 5) -> LinkScores:
    """`runs` draws of 20 series over four weeks, of every law of noise in turn: five leads of 1 to 6 hours, or five
    common causes of two series each, 1 to 3 and 2 to 6 hours ahead, and series that nothing drives."""
    found = right = planted = 0
    for run in range(runs):
        generator = np.random.default_rng([seed, run, int(is_confounded)])
        values, truth = _planted(generator, _LAWS[run % len(_LAWS)], is_confounded)
        links = _links(values)
        planted += len(truth)
        found += len(links)
        right += sum(abs(truth.get((one, other), -9) - lag) <= 1 for one, other, lag in links)
    return LinkScores(right / found if found else 1.0, right / planted)


def false_links(runs: int, seed: int = 6) -> dict[str, tuple[float, float]]:
    """Per law of independent series: the share of runs of 20 series with any link, and of pairs linked."""
    result = {}
    for law in _LAWS:
        counts = [len(_links(_noise(np.random.default_rng([seed, run]), law, 20))) for run in range(runs)]
        result[law] = (float(np.mean([count > 0 for count in counts])), float(np.mean(counts)) / 190)
    return result


def seconds_of_size(series: int) -> float:
    """Seconds that the links among so many series of six weeks take, a fifth of which move together."""
    generator = np.random.default_rng(series)
    values = generator.normal(size=(series, _CONFIG.max_hours)).cumsum(axis=1)
    values[: series // 5] += generator.normal(size=_CONFIG.max_hours).cumsum()
    return seconds_of(lambda: _links(values))


def _links(values: Floats) -> list[tuple[int, int, int]]:
    size = len(values)
    links = lagged_links(
        scored_changes(lagged_matrix(values)),
        ~np.eye(size, dtype=np.bool_),
        most_lags=_CONFIG.max_lag_hours,
        least_strength=_CONFIG.min_strength,
        false_discovery_rate=_CONFIG.false_positive_rate,
    )
    return [(each.leader, each.follower, each.lag) for each in links.found]


def _planted(
    generator: np.random.Generator, law: str, is_confounded: bool
) -> tuple[Floats, dict[tuple[int, int], int]]:
    values = _noise(generator, law, 20)
    driven = (values - values.mean(axis=1, keepdims=True)) / values.std(axis=1, keepdims=True)
    result, truth = driven.copy(), {}
    for group in range(5):
        cause = 3 * group
        effects = (cause + 1, cause + 2) if is_confounded else (cause + 1,)
        for place, effect in enumerate(effects):
            lag = int(generator.integers(1, 4) if place == 0 and is_confounded else generator.integers(2, 7))
            sign = float(generator.choice([-1.0, 1.0]))
            result[effect, lag:] += sign * generator.uniform(0.4, 2.0) * driven[cause, :-lag]
            truth[cause, effect] = lag
    return result, truth


def _noise(generator: np.random.Generator, law: str, size: int) -> Floats:
    noise = generator.normal(size=(size, _HOURS))
    hours = np.arange(_HOURS)
    if law == "autoregressive":
        for step in range(1, _HOURS):
            noise[:, step] += 0.8 * noise[:, step - 1]
    if law == "random walk":
        noise = noise.cumsum(axis=1)
    if law == "daily and weekly":
        busy = np.where((hours % 24 >= 8) & (hours % 24 < 18) & (hours // 24 % 7 < 5), 5.0, 1.0)
        noise = busy * np.exp(0.3 * noise)
    if law == "heavy tails":
        noise = generator.standard_t(2, size=(size, _HOURS))
    return noise
