"""temporal: series that move together, and the many that only seem to."""

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from lah_platform.correlations import Correlation, CorrelationConfig, correlate
from lah_platform.correlations.hourly import hourly_by_tenant, scored_changes
from lah_platform.correlations.links import lagged_links, pair_correlations
from lah_platform.correlations.significance import autocorrelations, bartlett_factor, false_discovery_rates, two_sided_p

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
    false = 0
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        rows = unrelated(law, rng, 5, 24 * days)
        report = correlate(inputs(points=[p for i, row in enumerate(rows) for p in series(row, i)]))
        false += any(c.correlation_type == "temporal" for c in report)
    # at the stated rate this many of 25 runs are exceeded once in a thousand times
    assert false <= stats.binom.isf(1e-3, seeds, rate)


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


def tide(rng: np.random.Generator, size: int) -> np.ndarray:
    return 100 + 80 * np.sin(np.arange(size) / 24 * 2 * np.pi) + rng.normal(0, 1, size)


@pytest.mark.parametrize("rhythm", [office, tide])
def test_the_shared_rhythm_of_day_and_week_is_no_link(rhythm: Callable[..., np.ndarray]) -> None:
    rng = np.random.default_rng(5)
    for days in (10, 14, 28):
        points = [p for i in range(4) for p in series(rhythm(rng, 24 * days), i)]
        assert of_type("temporal", points) == []


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
    leaders, followers, lags = (each.ravel() for each in np.mgrid[0:3, 0:3, 0:5])
    correlation, _ = pair_correlations(scored, leaders, followers, lags)
    values, known = scored.values, scored.weight > 0
    for i, j, lag, fast in zip(leaders, followers, lags, correlation, strict=True):
        pairs = [(t, t + lag) for t in range(len(values[0]) - lag) if known[i, t] and known[j, t + lag]]
        x = np.array([values[i, a] for a, _ in pairs])
        y = np.array([values[j, b] for _, b in pairs])
        assert fast == pytest.approx((x * y).sum() / np.sqrt((x * x).sum() * (y * y).sum()))
    assert np.abs(correlation.reshape(3, 3, 5)[0, 1]).argmax() == 2


def test_autocorrelation_makes_observations_worth_less() -> None:
    rng = np.random.default_rng(8)
    steady = np.repeat(rng.normal(size=400), 4)[:1000].cumsum()
    rows = [*series(steady, 0), *series(rng.normal(size=1000).cumsum(), 1)]
    (hourly,) = hourly_by_tenant(inputs(points=rows).points, CorrelationConfig())
    rho = autocorrelations(scored_changes(hourly))
    factor = bartlett_factor(rho[:, None].repeat(2, 1).reshape(4, -1), np.tile(rho, (2, 1))).reshape(2, 2)
    assert factor[0, 0] == pytest.approx(1 + 2 * (0.75**2 + 0.5**2 + 0.25**2), rel=0.25)
    assert factor[1, 1] == pytest.approx(1.0, abs=0.15)
    assert factor[0, 1] == pytest.approx(1.0, abs=0.25)


def test_the_chance_of_a_correlation_is_that_of_fishers_z() -> None:
    assert two_sided_p(0.5, 103) == pytest.approx(2 * stats.norm.sf(np.arctanh(0.5) * 10))
    assert two_sided_p(-1.0, 1000) < 1e-12
    assert two_sided_p(0.99, 4.0) == 1.0


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(1e-12, 1.0), min_size=1, max_size=30), st.integers(0, 200))
def test_the_false_discovery_rate_is_that_of_the_step_up_procedure(p_values: list[float], untried: int) -> None:
    tests = len(p_values) + untried
    rates = false_discovery_rates(np.array(p_values), tests)
    harmonic = sum(1.0 / k for k in range(1, tests + 1))
    ordered = sorted(p_values)
    for level in (0.01, 0.05, 0.5):
        accepted = [k for k, p in enumerate(ordered, start=1) if p <= 0.999 * level * k / (tests * harmonic)]
        for p in p_values:
            if p <= (ordered[max(accepted) - 1] if accepted else 0.0):
                # the harmonic number is taken by its expansion
                assert rates[p_values.index(p)] <= level * 1.001 + 0.03 * (tests == 1)


def test_a_common_cause_or_a_step_between_is_told_from_a_link() -> None:
    for kind in ("common cause", "chain"):
        right = 0
        for seed in range(10):
            rng = np.random.default_rng([seed, len(kind)])
            one, two, three = rng.normal(size=(3, 24 * 28))
            two[2:] += 1.2 * one[:-2]
            source = one if kind == "common cause" else two.copy()
            three[3:] += 1.2 * source[:-3]
            rows = [p for i, row in enumerate((one, two, three)) for p in series(row, i)]
            found = {
                (c.members[0].member_id, c.members[1].member_id, c.evidence["lag_seconds"])
                for c in of_type("temporal", rows)
            }
            right += found == {("0", "1", 7200), ("0" if kind == "common cause" else "1", "2", 10800)}
        assert right >= 9


def test_a_hidden_common_cause_is_reported_as_association_with_its_evidence() -> None:
    rng = np.random.default_rng(10)
    hidden = rng.normal(size=24 * 28)
    one, two = rng.normal(size=(2, 24 * 28)) * 0.7
    (found,) = of_type("temporal", series(hidden + one, 1) + series(np.roll(hidden, 2) + two, 2))
    assert found.evidence["lag_seconds"] == 7200
    assert found.evidence["rank_correlation"] == pytest.approx(found.strength)
    assert float(found.evidence["effective_size"]) < 24 * 28  # type: ignore[arg-type]


def test_screening_loses_no_link_that_judging_every_pair_would_find() -> None:
    rng = np.random.default_rng(11)
    rows = rng.normal(size=(12, 500))
    for effect in range(6, 12):
        rows[effect, effect - 5 :] += rng.uniform(0.5, 1.5) * rows[effect - 6, : 5 - effect]
    rows[rng.random(rows.shape) < 0.2] = np.nan
    points = [p for i, row in enumerate(rows) for p in series(row, i)]
    (hourly,) = hourly_by_tenant(inputs(points=points).points, CorrelationConfig())
    scored = scored_changes(hourly)
    options = {"most_lags": 8, "least_strength": 0.3, "false_discovery_rate": 0.05}
    screened = lagged_links(scored, ~np.eye(12, dtype=np.bool_), **options)  # type: ignore[arg-type]
    leaders, followers, lags = (each.ravel() for each in np.mgrid[0:12, 0:12, 0:9])
    every, _ = pair_correlations(scored, leaders, followers, lags)
    best = np.abs(every).reshape(12, 12, 9).max(axis=2)
    strong = {(i, j) for i in range(12) for j in range(i) if max(best[i, j], best[j, i]) > 0.5}
    judged = [*screened.found, *(link for link, _ in screened.indirect)]
    assert strong <= {(max(e.leader, e.follower), min(e.leader, e.follower)) for e in judged}


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
