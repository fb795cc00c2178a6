"""temporal and pattern_match: series that move together, and the many that only seem to."""

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest
from scipy import stats

from lah_platform.correlations import Correlation, CorrelationConfig, correlate
from lah_platform.correlations.hourly import hourly_by_tenant, scored_changes
from lah_platform.correlations.significance import autocorrelations, bartlett_factor, two_sided_p
from lah_platform.correlations.temporal import lagged_correlations

from .inputs import HOUR, MONDAY, inputs, series

DAYS_14 = 24 * 14


def of_type(kind: str, points: list[tuple[object, ...]], config: CorrelationConfig | None = None) -> list[Correlation]:
    report = correlate(inputs(points=points), config or CorrelationConfig())
    return [c for c in report if c.correlation_type == kind]


def office(rng: np.random.Generator, size: int = DAYS_14) -> np.ndarray:
    hour = np.arange(size)
    busy = (hour % 24 >= 8) & (hour % 24 < 18) & (hour // 24 % 7 < 5)
    return np.where(busy, 200.0, 40.0) * rng.lognormal(0, 0.2, size)


def unrelated(law: str, rng: np.random.Generator, count: int, size: int) -> np.ndarray:
    noise = rng.normal(size=(count, size))
    if law == "random walks":
        return noise.cumsum(axis=1)
    if law == "autoregressive":
        for t in range(1, size):
            noise[:, t] += 0.9 * noise[:, t - 1]
        return noise
    if law == "heavy tails":
        return rng.standard_cauchy((count, size))
    if law == "office hours":
        return np.stack([office(rng, size) for _ in range(count)])
    return noise


@pytest.mark.parametrize("law", ["noise", "random walks", "autoregressive", "heavy tails", "office hours"])
@pytest.mark.parametrize("days", [7, 14, 28])
def test_unrelated_series_are_reported_no_more_often_than_stated(law: str, days: int) -> None:
    seeds, rate = 25, CorrelationConfig().false_positive_rate
    false: dict[str, int] = {"temporal": 0, "pattern_match": 0}
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        rows = unrelated(law, rng, 5, 24 * days)
        report = correlate(inputs(points=[p for i, row in enumerate(rows) for p in series(row, i)]))
        for kind in false:
            false[kind] += any(c.correlation_type == kind for c in report)
    # at the stated rate this many of 25 runs are exceeded once in a thousand times
    allowed = stats.binom.isf(1e-3, seeds, rate)
    assert false["temporal"] <= allowed
    assert false["pattern_match"] <= allowed


@pytest.mark.parametrize("lag", [0, 1, 7])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_series_that_follows_another_is_found_with_its_lag_and_direction(lag: int, sign: int) -> None:
    rng = np.random.default_rng(1)
    leader = office(rng, DAYS_14 + lag)
    follower = sign * np.roll(leader, lag) + rng.normal(0, 10, len(leader))
    points = series(leader[lag:], 1, "requests_per_second") + series(follower[lag:] + 1000, 2, "latency_ms")
    points += series(rng.normal(size=DAYS_14).cumsum(), 3)
    (found,) = of_type("temporal", points)
    assert {m.member_id for m in found.members} == {"1", "2"}
    assert found.strength > 0.5
    assert found.confidence >= 0.95
    assert ("same" if sign > 0 else "opposite") in found.explanation
    if lag:
        first, second = found.members
        assert (first.member_id, first.role) == ("1", "contributor")
        assert (second.member_id, second.role) == ("2", "effect")
        assert second.at - first.at == lag * HOUR
        assert f"{lag} h before" in found.explanation
    else:
        assert {m.role for m in found.members} == {"related"}


def test_measures_of_the_same_events_are_not_compared() -> None:
    rng = np.random.default_rng(2)
    tokens = office(rng)
    same_series = series(tokens, 1, "input_tokens") + series(tokens, 1, "latency_ms")
    assert of_type("temporal", same_series) == []
    same_model = series(tokens, 1, "input_tokens", model="gpt-4") + series(tokens, 2, "cost_usd", model="gpt-4")
    assert of_type("temporal", same_model) == []
    other_model = series(tokens, 1, "input_tokens", model="gpt-4") + series(tokens, 2, "cost_usd", model="claude")
    assert len(of_type("temporal", other_model)) == 1


def test_short_constant_and_gappy_series_are_survived() -> None:
    rng = np.random.default_rng(3)
    points = series(rng.normal(size=50), 1) + series(np.full(DAYS_14, 7.0), 2) + series(rng.normal(size=DAYS_14), 3)
    gappy = rng.normal(size=DAYS_14)
    gappy[rng.random(DAYS_14) < 0.5] = np.nan
    alternating = np.where(np.arange(DAYS_14) % 2 == 0, rng.normal(size=DAYS_14), np.nan)
    points += series(gappy, 4) + series(alternating, 5)
    assert len(correlate(inputs(points=points))) == 0
    assert len(correlate(inputs(points=series([5.0], 1)))) == 0


def test_two_series_with_the_same_unusual_days_match_in_shape() -> None:
    rng = np.random.default_rng(4)
    days = np.arange(24 * 18)
    bump = np.where(days >= 24 * 16, 50 * np.sin((days - 24 * 16) / 48 * 4 * np.pi) + 20 * (days % 7), 0.0)
    rhythm = 400 * np.sin(days / 24 * 2 * np.pi)
    # their days go against each other: only what is unusual about the last two is alike
    one, other = (scale * (side * rhythm + bump) + rng.normal(0, 4, len(days)) for scale, side in ((1.0, 1), (3.0, -1)))
    calm = rhythm + rng.normal(0, 4, len(days))
    points = series(one, 1) + series(other, 2) + series(calm, 3)
    (match,) = of_type("pattern_match", points)
    assert {m.member_id for m in match.members} == {"1", "2"}
    assert match.strength > 0.9
    assert match.ended_at - match.started_at == 48 * HOUR
    other_metric = series(one, 1) + series(other, 2, "ttft_ms")
    assert of_type("pattern_match", other_metric) == []


def tide(rng: np.random.Generator, size: int) -> np.ndarray:
    return 100 + 80 * np.sin(np.arange(size) / 24 * 2 * np.pi) + rng.normal(0, 1, size)


@pytest.mark.parametrize("rhythm", [office, tide])
def test_the_shared_rhythm_of_day_and_week_is_no_match(rhythm: Callable[..., np.ndarray]) -> None:
    rng = np.random.default_rng(5)
    for days in (10, 14, 28):
        points = [p for i in range(4) for p in series(rhythm(rng, 24 * days), i)]
        assert of_type("pattern_match", points) == []
        assert of_type("temporal", points) == []


def test_of_many_wandering_series_hardly_any_seem_to_share_a_shape() -> None:
    # among twelve random walks some pair looks alike in its last two days in most draws
    false = 0
    for seed in range(12):
        walks = np.random.default_rng(seed).normal(size=(12, 240)).cumsum(axis=1)
        false += bool(of_type("pattern_match", [p for i, walk in enumerate(walks) for p in series(walk, i)]))
    assert false <= stats.binom.isf(1e-3, 12, CorrelationConfig().false_positive_rate)


def test_beyond_the_limit_the_fullest_series_are_compared_and_the_rest_is_counted() -> None:
    rng = np.random.default_rng(6)
    points = [p for i in range(5) for p in series(rng.normal(size=DAYS_14 - 10 * i), i)]
    report = correlate(inputs(points=points), CorrelationConfig(max_series=3))
    assert report.skipped_pairs == 10 - 3
    frame = inputs(points=points).points
    (hourly,) = hourly_by_tenant(frame, CorrelationConfig(max_series=3))
    assert [key.series_id for key in hourly.keys] == [0, 1, 2]


def test_lagged_correlations_are_those_of_the_pairs_that_are_known() -> None:
    rng = np.random.default_rng(7)
    rows = rng.normal(size=(3, 200))
    rows[1, 2:] += rows[0, :-2]
    rows[rng.random((3, 200)) < 0.1] = np.nan
    (hourly,) = hourly_by_tenant(
        inputs(points=[p for i, r in enumerate(rows) for p in series(r, i)]).points, CorrelationConfig()
    )
    scored = scored_changes(hourly)
    correlation, _ = lagged_correlations(scored, 4)
    values, known = scored.values, scored.weight > 0
    for lag in range(5):
        for i in range(3):
            for j in range(3):
                pairs = [(t, t + lag) for t in range(len(values[0]) - lag) if known[i, t] and known[j, t + lag]]
                x = np.array([values[i, a] for a, _ in pairs])
                y = np.array([values[j, b] for _, b in pairs])
                naive = (x * y).sum() / np.sqrt((x * x).sum() * (y * y).sum())
                assert correlation[lag, i, j] == pytest.approx(naive)
    assert np.abs(correlation[:, 0, 1]).argmax() == 2


def test_autocorrelation_makes_observations_worth_less() -> None:
    rng = np.random.default_rng(8)
    steady = np.repeat(rng.normal(size=400), 4)[:1000].cumsum()
    rows = [*series(steady, 0), *series(rng.normal(size=1000).cumsum(), 1)]
    (hourly,) = hourly_by_tenant(inputs(points=rows).points, CorrelationConfig())
    rho = autocorrelations(scored_changes(hourly))
    factor = bartlett_factor(rho, rho)
    assert factor[0, 0] == pytest.approx(1 + 2 * (0.75**2 + 0.5**2 + 0.25**2), rel=0.25)
    assert factor[1, 1] == pytest.approx(1.0, abs=0.15)
    assert factor[0, 1] == pytest.approx(1.0, abs=0.25)


def test_the_chance_of_a_correlation_is_that_of_fishers_z() -> None:
    assert two_sided_p(0.5, 103) == pytest.approx(2 * stats.norm.sf(np.arctanh(0.5) * 10))
    assert two_sided_p(-1.0, 1000) < 1e-12
    assert two_sided_p(0.99, 4.0) == 1.0


def test_points_that_are_not_hourly_or_repeat_are_refused() -> None:
    good = inputs(points=series(np.arange(100.0), 1))
    half = good.points.with_columns(pl.col("bucket_start") + pl.duration(minutes=30))
    with pytest.raises(ValueError, match="full hour"):
        correlate(type(good)(good.events, good.anomalies, half))
    with pytest.raises(ValueError, match="two values"):
        correlate(type(good)(good.events, good.anomalies, pl.concat([good.points] * 2)))


def test_future_points_do_not_change_where_the_compared_period_begins() -> None:
    rows = series(np.random.default_rng(9).normal(size=24 * 60), 1)
    (hourly,) = hourly_by_tenant(inputs(points=rows).points, CorrelationConfig())
    assert hourly.values.shape[1] == CorrelationConfig().max_hours
    assert hourly.at(hourly.values.shape[1]) == MONDAY + 24 * 60 * HOUR
