"""Lagged links on series whose causes are planted: leads, common causes among the observed, and nothing at all."""

from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import polars as pl
from numpy.typing import NDArray

from benchmarks.report import seconds_of
from lah_platform.correlations.config import CorrelationConfig
from lah_platform.correlations.hourly import Hourly, SeriesKey, scored_changes
from lah_platform.correlations.links import Links, lagged_links
from lah_platform.correlations.minutes import minute_links

__all__ = [
    "LinkScores",
    "false_links",
    "false_minute_links",
    "lagged_matrix",
    "link_scores",
    "minute_link_scores",
    "seconds_of_size",
]

Floats = NDArray[np.float64]
_CONFIG = CorrelationConfig()
_HOURS = 24 * 28
_FIRST_HOUR = 24 * 4 + 24 * 7 * 2900  # a Monday
_MINUTES = 24 * 60
_MINUTE_LAWS = ("noise", "autoregressive", "random walk", "heavy tails", "started by the clock")
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


def minute_link_scores(runs: int, lag_seconds: int, seed: int = 7) -> LinkScores:
    """`runs` draws of 20 series of a day of minutes, of every law of noise in turn: five leads by `lag_seconds`, all
    pairs taken to have passed the hours. Right is the leader and the lag to the second."""
    found = right = planted = 0
    for run in range(runs):
        generator = np.random.default_rng([seed, run, lag_seconds])
        driven = _standard(_minute_noise(generator, _MINUTE_LAWS[run % len(_MINUTE_LAWS)], 20))
        values, lag = driven.copy(), lag_seconds // 60
        for cause in range(0, 10, 2):
            sign = float(generator.choice([-1.0, 1.0]))
            values[cause + 1, lag:] += sign * generator.uniform(0.5, 2.0) * driven[cause, :-lag]
        links = _minute_links(values)
        planted += 5
        found += len(links)
        right += sum(one < 10 and one % 2 == 0 and (other, shift) == (one + 1, lag) for one, other, shift in links)
    return LinkScores(right / found if found else 1.0, right / planted)


def false_minute_links(runs: int, minutes: int = _MINUTES, seed: int = 8) -> dict[str, tuple[float, float]]:
    """`false_links` by the minute, with the last `minutes` of a day known: all 190 pairs of 20 independent series, as
    if each had passed the hours."""
    result = {}
    for law in _MINUTE_LAWS:
        counts = []
        for run in range(runs):
            values = _minute_noise(np.random.default_rng([seed, run]), law, 20)
            values[:, : _MINUTES - minutes] = np.nan
            counts.append(len(_minute_links(values)))
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


def _minute_links(values: Floats) -> list[tuple[int, int, int]]:
    size, length = values.shape
    hours = lagged_matrix(np.zeros((size, length // 60)))
    start = hours.at(0)
    times = pl.datetime_range(start, start + timedelta(minutes=length - 1), "1m", time_unit="us", eager=True)
    points = pl.DataFrame(
        {
            "series_id": np.repeat(np.arange(size), length),
            "metric": "latency_ms",
            "bucket_start": pl.concat([times] * size),
            "value": values.ravel(),
        }
    )
    screened = [(one, other, 0) for one in range(size) for other in range(one + 1, size)]
    *_, links = minute_links(hours, Links([], [], 0, 0, screened), lambda *_: points, _CONFIG)
    return [(each.leader, each.follower, each.lag) for each in links.found]


def _planted(
    generator: np.random.Generator, law: str, is_confounded: bool
) -> tuple[Floats, dict[tuple[int, int], int]]:
    values = _noise(generator, law, 20)
    driven = _standard(values)
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


def _standard(values: Floats) -> Floats:
    standard: Floats = (values - values.mean(axis=1, keepdims=True)) / values.std(axis=1, keepdims=True)
    return standard


def _minute_noise(generator: np.random.Generator, law: str, size: int) -> Floats:
    if law != "started by the clock":
        return _noise(generator, law, size, _MINUTES)
    minutes = np.arange(_MINUTES)
    loud = 1.0 + 4.0 * (minutes % 5 == 0) + 20.0 * (minutes % 60 == 0)
    return np.asarray(loud * np.exp(0.3 * generator.normal(size=(size, _MINUTES))), dtype=np.float64)


def _noise(generator: np.random.Generator, law: str, size: int, length: int = _HOURS) -> Floats:
    noise = generator.normal(size=(size, length))
    hours = np.arange(length)
    if law == "autoregressive":
        for step in range(1, length):
            noise[:, step] += 0.8 * noise[:, step - 1]
    if law == "random walk":
        noise = noise.cumsum(axis=1)
    if law == "daily and weekly":
        busy = np.where((hours % 24 >= 8) & (hours % 24 < 18) & (hours // 24 % 7 < 5), 5.0, 1.0)
        noise = busy * np.exp(0.3 * noise)
    if law == "heavy tails":
        noise = generator.standard_t(2, size=(size, length))
    return noise
