"""Each member does what its page says, checked against the obvious slow version or a case with a known answer."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lah_platform.forecasts.backtest import said
from lah_platform.forecasts.combine import combined, weights_of
from lah_platform.forecasts.errors import errors_of, naive_step
from lah_platform.forecasts.intermittent import croston, tsb
from lah_platform.forecasts.members import MEMBERS, NotFitted, members_for
from lah_platform.forecasts.one_series import forecast_values
from lah_platform.forecasts.regression import autoregression
from lah_platform.forecasts.scales import scale_of
from lah_platform.forecasts.smoothing import smoothing
from lah_platform.forecasts.state_space import arima, exponential_smoothing
from tests.forecasts import naive
from tests.forecasts.simulation import Floats, random_walk, seasonal

sizes = st.one_of(st.just(0.0), st.floats(min_value=1e-6, max_value=1e6))


@given(st.lists(st.tuples(st.lists(sizes, min_size=3, max_size=3), st.floats(0.01, 1)), min_size=1, max_size=12))
def test_the_combination_is_the_weighted_median(rows: list[tuple[list[float], float]]) -> None:
    values = np.array([row for row, _ in rows])
    weights = np.array([weight for _, weight in rows])
    weights = weights / weights.sum()
    assert combined(values, weights).tolist() == naive.weighted_median(values, weights)


@given(st.lists(st.lists(sizes, min_size=4, max_size=4), max_size=7))
def test_weights_sum_to_one_and_a_smaller_error_never_weighs_less(rows: list[list[float]]) -> None:
    errors = np.array(rows).reshape(-1, 4)
    weights = weights_of(errors)
    assert weights.sum() == pytest.approx(1)
    order = np.argsort(errors.sum(axis=0), kind="stable")
    assert (np.diff(weights[order]) <= 1e-12).all()


def test_one_member_that_goes_mad_moves_the_combination_no_further_than_the_next_one() -> None:
    sane = np.array([[1.0], [2.0], [3.0]])
    equal = np.full(4, 0.25)
    assert combined(np.vstack([sane, [[1e12]]]), equal)[0] in (2.0, 3.0)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10_000))
def test_smoothing_is_the_best_of_its_grid_each_computed_one_by_one(seed: int) -> None:
    values = np.exp(np.random.default_rng(seed).normal(3, 1, 30))
    x = np.log(values)
    shape = np.median(x[:28].reshape(7, 4) - x[:28].reshape(7, 4).mean(axis=1, keepdims=True), axis=0)
    grid = product((0.02, 0.1, 0.3, 0.6, 0.9), (0.0, 0.1, 0.3, 0.5), (0.0, 0.1))
    tried = [
        naive.holt_winters(x.tolist(), 4, alpha, gamma, beta, float(x[:4].mean()), shape.tolist(), 6)
        for alpha, gamma, beta in grid
    ]
    best = min(tried, key=lambda one: one[0])[1]
    bounded = np.clip(best, x.min() - x.std(), x.max() + x.std())
    assert smoothing(values, 6, (4,)) == pytest.approx(np.exp(bounded))


def test_the_autoregression_finds_a_wave_and_a_known_autoregression_about_it() -> None:
    t = np.arange(24 * 30)
    wave = 100 + 30 * np.sin(2 * np.pi * t / 24) + 10 * np.sin(2 * np.pi * t / 168)
    ahead = autoregression(wave[: 24 * 28], 48, (24, 168), scale="root", kind="full")
    assert ahead == pytest.approx(wave[24 * 28 :], rel=0.01)


def test_the_local_autoregression_follows_a_level_shift_within_the_day() -> None:
    values = np.concatenate([np.full(24 * 9, 100.0), np.full(12, 300.0)]) + np.random.default_rng(1).normal(0, 2, 228)
    ahead = MEMBERS["autoregression_local"](values, 12, (24, 168))
    assert ahead.mean() > 230
    naive_ahead = MEMBERS["seasonal_naive"](values, 12, (24, 168))
    assert np.abs(ahead - 300).sum() < 0.5 * np.abs(naive_ahead - 300).sum()


def test_the_profile_takes_the_level_of_the_last_day_but_not_one_odd_hour_of_it() -> None:
    shape = np.sin(2 * np.pi * np.arange(24) / 24)
    roots = np.concatenate([10 + shape] * 7 + [14 + shape])
    ahead = MEMBERS["profile_at_level"](roots**2, 48, (24, 168))
    assert ahead == pytest.approx(np.tile((14 + shape) ** 2, 2))
    odd = roots.copy()
    odd[-3] = 1000
    assert MEMBERS["profile_at_level"](odd**2, 48, (24, 168)) == pytest.approx(ahead, rel=0.05)


def test_the_seasonal_autoregression_carries_todays_deviation_on_and_lets_it_fade() -> None:
    random, deviation = np.random.default_rng(3), [0.0]
    for _ in range(24 * 20 - 1):
        deviation.append(0.8 * deviation[-1] + float(random.normal(0, 1)))
    deviation[-1] += 15
    shape = 60 + 10 * np.sin(2 * np.pi * np.arange(24 * 21) / 24)
    values = (shape[: 24 * 20] + np.array(deviation)) ** 2
    ahead = np.sqrt(MEMBERS["autoregression_seasonal"](values, 24, (24, 168))) - shape[24 * 20 :]
    assert ahead[0] > 6
    assert abs(ahead[12:].mean()) < 0.25 * ahead[0]


def test_a_member_that_does_not_apply_has_no_vote() -> None:
    """Four days have no week: what stands in for last week's value is yesterday's, which has its own vote."""
    values = seasonal(np.random.default_rng(14), 24 * 4 + 1)
    found = forecast_values(values, np.ones(len(values), dtype=bool), 24, (24, 168))
    assert found.origins >= 1
    assert "seasonal_naive" in found.weights
    assert not {"seasonal_naive_long", "profile_long"} & set(found.weights)
    constant = forecast_values(np.full(200, 5.0), np.ones(200, dtype=bool), 24, (24, 168))
    assert constant.weights["seasonal_naive"] > 0.99


def test_one_outlier_in_the_past_leaves_the_autoregression_nearly_where_it_was() -> None:
    values = seasonal(np.random.default_rng(2), 24 * 20)
    spoilt = values.copy()
    spoilt[24 * 9 + 5] *= 50
    clean = autoregression(values, 24, (24, 168), scale="log", kind="full")
    moved = np.abs(autoregression(spoilt, 24, (24, 168), scale="log", kind="full") / clean - 1)
    assert moved.mean() < 0.05
    assert moved.max() < 0.2


@given(st.lists(st.one_of(st.just(0.0), st.floats(0.1, 100)), min_size=1, max_size=60))
def test_methods_for_intermittent_demand_are_flat_and_between_nothing_and_the_most(values: list[float]) -> None:
    for method in (croston, tsb):
        rate = method(np.array(values), 5, ())
        assert len(set(rate.tolist())) == 1
        assert 0 <= rate[0] <= max(values) + 1e-9


def test_what_comes_every_fifth_bucket_is_forecast_as_a_fifth_and_fades_when_it_stops_coming() -> None:
    every_fifth = np.array([10.0 if i % 5 == 4 else 0.0 for i in range(500)])
    assert croston(every_fifth, 1, ())[0] == pytest.approx(2 * 0.95, rel=0.01)
    assert tsb(every_fifth, 1, ())[0] == pytest.approx(2, rel=0.3)
    assert tsb(np.concatenate([every_fifth, np.zeros(60)]), 1, ())[0] < 0.01


@given(
    st.lists(st.one_of(st.just(0.0), st.floats(1e-6, 1e6)), min_size=1, max_size=30), st.sampled_from(["log", "root"])
)
def test_a_scale_leads_there_and_back(values: list[float], scale: str) -> None:
    given_values = np.array(values)
    there, back = scale_of(given_values, scale)  # type: ignore[arg-type]
    assert back(there(given_values)) == pytest.approx(given_values, rel=1e-6, abs=1e-9)


@given(st.lists(st.tuples(sizes, sizes), min_size=1, max_size=20))
def test_errors_are_what_their_definitions_say(pairs: list[tuple[float, float]]) -> None:
    y, f = [a for a, _ in pairs], [b for _, b in pairs]
    found = errors_of(np.array(y), np.array(f), np.ones(len(y), dtype=bool), 2.0)
    expected = naive.errors(y, f)
    for name in ("mape", "smape", "wape"):
        assert getattr(found, name) == (None if expected[name] is None else pytest.approx(expected[name]))
    assert found.mase == pytest.approx(sum(abs(a - b) for a, b in pairs) / len(pairs) / 2)


def test_the_naive_step_is_the_mean_change_from_season_to_season() -> None:
    assert naive_step(np.array([1.0, 2.0, 4.0, 8.0]), 2) == pytest.approx((3 + 6) / 2)
    assert naive_step(np.array([1.0, 2.0]), 2) == 0


@pytest.mark.parametrize("name", sorted(MEMBERS))
@pytest.mark.parametrize("draw", [seasonal, random_walk])
def test_every_member_keeps_the_shape_and_the_numbers(name: str, draw: object) -> None:
    values: Floats = draw(np.random.default_rng(1), 400)  # type: ignore[operator]
    ahead = MEMBERS[name](values, 30, (24, 168))
    assert ahead.shape == (30,)
    assert np.isfinite(ahead).all()


def test_a_member_that_does_not_apply_says_what_the_first_one_says() -> None:
    values = np.arange(1.0, 31.0)
    with pytest.raises(NotFitted):
        MEMBERS["seasonal_naive_long"](values, 3, ())
    both = said(["level", "seasonal_naive_long"], values, 3, ())
    assert both[0].tolist() == both[1].tolist()


def test_the_members_for_intermittent_demand_are_for_series_half_of_which_is_zero() -> None:
    assert "croston" in members_for(np.array([0.0, 0.0, 1.0, 1.0]))
    assert "croston" not in members_for(np.array([0.0, 1.0, 1.0]))
    assert "croston" not in members_for(np.array([-1.0, 0.0, 0.0, 0.0]))


@pytest.mark.parametrize("member", [arima, exponential_smoothing])
def test_statsmodels_methods_take_part_when_asked_and_refuse_what_they_cannot_fit(member: object) -> None:
    values = seasonal(np.random.default_rng(7), 24 * 6)
    found = forecast_values(
        values,
        np.ones(len(values), dtype=bool),
        24,
        (24, 168),
        more_members={"model": member},  # type: ignore[dict-item]
    )
    assert found.weights["model"] > 0.02
    with pytest.raises(NotFitted):
        member(np.full(100, 3.0), 5, (24,))  # type: ignore[operator]
