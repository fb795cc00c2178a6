"""Forecasts are as good as they say: intervals hold what they promise, and errors are those on unseen buckets."""

from collections.abc import Callable
from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from lah_platform.forecasts import forecast, forecast_with_reasons
from lah_platform.forecasts.backtest import backtest
from lah_platform.forecasts.combine import combined, held_out, weights_of
from lah_platform.forecasts.forecast import METHOD
from lah_platform.forecasts.judged import judged
from lah_platform.forecasts.members import MEMBERS, members_for
from lah_platform.forecasts.one_series import forecast_values
from lah_platform.forecasts.series import Bools
from tests.forecasts.simulation import (
    HOUR,
    START,
    Floats,
    bursty_counts,
    points,
    random_walk,
    rare_counts,
    seasonal,
    simulate,
)


@pytest.mark.parametrize(
    ("draw", "least_80", "most_80"),
    [(seasonal, 0.76, 0.87), (random_walk, 0.66, 0.9), (bursty_counts, 0.74, 0.87), (rare_counts, 0.74, 1.0)],
)
def test_intervals_hold_the_future_about_as_often_as_they_say(
    draw: Callable[[np.random.Generator, int], Floats], least_80: float, most_80: float
) -> None:
    """30 series of ten days: wide limits, for a random walk's day is one error and not 24."""
    past, future = simulate(draw, past=240, future=24, series=30, seed=7)
    frame = forecast(past, step=HOUR, horizon=24).join(future, on=["series_id", "target_start"])
    assert frame.height == 30 * 24
    coverage_80 = ((frame["lower_80"] <= frame["actual"]) & (frame["actual"] <= frame["upper_80"])).mean()
    coverage_95 = ((frame["lower"] <= frame["actual"]) & (frame["actual"] <= frame["upper"])).mean()
    assert coverage_80 is not None
    assert coverage_95 is not None
    assert least_80 <= coverage_80 <= most_80
    assert coverage_95 >= 0.88


def test_intervals_from_few_seasons_allow_for_how_little_was_seen() -> None:
    past, future = simulate(seasonal, past=108, future=24, series=20, seed=48)
    frame = forecast(past, step=HOUR, horizon=24).join(future, on=["series_id", "target_start"])
    held = ((frame["lower"] <= frame["actual"]) & (frame["actual"] <= frame["upper"])).mean()
    assert held is not None
    assert held >= 0.93


def test_on_a_daily_shape_the_combination_beats_the_naive_method_and_that_beats_the_last_value() -> None:
    past, future = simulate(seasonal, past=240, future=24, series=8, seed=2)
    made = forecast_with_reasons(past, step=HOUR, horizon=24)
    told = made.models["backtest_wape"].mean()
    naive_told = made.models["naive_wape"].mean()
    both = made.frame.join(future, on=["series_id", "target_start"])
    really = (both["value"] - both["actual"]).abs().sum() / both["actual"].sum()
    naive_really = _wape_of(past, future, season=24)
    assert isinstance(told, float)
    assert isinstance(naive_told, float)
    assert told < 0.85 * naive_told
    assert really < 0.85 * naive_really
    assert naive_really < _wape_of(past, future, season=1)
    assert told == pytest.approx(really, rel=0.2)
    assert naive_told == pytest.approx(naive_really, rel=0.2)


def _wape_of(past: pl.DataFrame, future: pl.DataFrame, *, season: int) -> float:
    error = actual = 0.0
    for (series_id,), part in past.group_by("series_id"):
        values = part.sort("bucket_start")["value"].to_numpy()
        came = future.filter(pl.col("series_id") == series_id).sort("target_start")["actual"].to_numpy()
        said = values[len(values) - season + np.arange(len(came)) % season]
        error += float(np.abs(came - said).sum())
        actual += float(came.sum())
    return error / actual


def test_a_backtest_is_forecasts_from_shorter_histories() -> None:
    values = seasonal(np.random.default_rng(3), 24 * 12)
    names = members_for(values)
    found = backtest(names, values, np.ones(len(values), dtype=bool), 24, (24, 168))
    assert found is not None
    assert len(found.said) == 7
    for row, day in enumerate(range(11, 4, -1)):
        assert found.actual[row].tolist() == values[24 * day : 24 * (day + 1)].tolist()
        for place, name in enumerate(names):
            if day >= 7 or "long" not in name:
                assert found.said[row, place] == pytest.approx(MEMBERS[name](values[: 24 * day], 24, (24, 168)).clip(0))


def test_an_origin_is_judged_with_the_weights_of_the_others() -> None:
    values = seasonal(np.random.default_rng(3), 24 * 9)
    found = backtest(members_for(values), values, np.ones(len(values), dtype=bool), 24, (24, 168))
    assert found is not None
    told = held_out(found)
    own = np.array([combined(said, weights_of(found.errors)) for said in found.said])
    assert not np.array_equal(told, own)
    for row in range(len(told)):
        others = [r for r in range(len(told)) if r != row]
        errors = np.abs(found.said[others] - found.actual[others][:, None, :]).sum(axis=2)
        assert told[row].tolist() == combined(found.said[row], weights_of(errors)).tolist()


def test_no_backtest_sees_what_it_is_tested_on() -> None:
    """Whatever happens in the last held-out day, the forecasts it is compared with stay as they were."""
    values = seasonal(np.random.default_rng(4), 24 * 10)
    changed = values.copy()
    changed[-24:] += 1000.0
    names = members_for(values)
    before, after = (
        backtest(names, each, np.ones(len(values), dtype=bool), 24, (24, 168)) for each in (values, changed)
    )
    assert before is not None
    assert after is not None
    assert after.said.tolist() == before.said.tolist()


def test_filled_gaps_are_not_judged() -> None:
    values = seasonal(np.random.default_rng(5), 24 * 10)
    is_observed: Bools = np.random.default_rng(6).random(len(values)) < 0.7
    spoilt = values.copy()
    spoilt[~is_observed & (np.arange(len(values)) >= 24 * 9)] = 1e6  # in the last origin's buckets only
    clean = forecast_values(values, is_observed, 24, (24, 168))
    found = backtest(members_for(values), spoilt, is_observed, 24, (24, 168))
    assert found is not None
    assert found.errors[0].max() < 24 * 200
    assert clean.errors.wape is not None


def test_refreshing_with_new_buckets_equals_forecasting_everything_again() -> None:
    """Nothing is remembered between runs, so a day's refresh is what a new installation would say."""
    values = seasonal(np.random.default_rng(8), 24 * 15)
    forecast(points(values[: 24 * 14]), step=HOUR, horizon=24)
    refreshed = forecast(points(values), step=HOUR, horizon=24)
    assert refreshed.equals(forecast(points(values), step=HOUR, horizon=24))
    assert refreshed["target_start"].min() == START + 24 * 15 * HOUR


def test_units_do_not_matter() -> None:
    values = seasonal(np.random.default_rng(9), 24 * 9)
    values[::50] = 0.0
    one, other = (forecast(points(values * factor), step=HOUR, horizon=5) for factor in (1.0, 1e-9))
    for name in ("value", "lower", "upper", "lower_80", "upper_80"):
        assert (other[name] * 1e9).to_list() == pytest.approx(one[name].to_list(), rel=1e-4)


def test_yesterdays_forecast_is_judged_by_what_came_about() -> None:
    values = seasonal(np.random.default_rng(10), 24 * 10)
    made = forecast_with_reasons(points(values[: 24 * 9]), step=HOUR, horizon=48)
    stored = made.frame.join(made.models.select("series_id", "naive_step"), on="series_id")
    came = points(values)
    found = judged(stored, came, until=START + 24 * 10 * HOUR, gap="zero")
    told = made.frame.head(24)
    actual = values[24 * 9 :]
    assert found["judged_buckets"].to_list() == [24]
    assert found["wape"][0] == pytest.approx(np.abs(told["value"].to_numpy() - actual).sum() / actual.sum())
    held = (told["lower"].to_numpy() <= actual) & (actual <= told["upper"].to_numpy())
    assert found["coverage_95"][0] == pytest.approx(held.mean())


def test_a_bucket_without_a_point_is_nothing_for_counts_and_unknown_for_gauges() -> None:
    made = forecast_with_reasons(points([5.0] * 30), step=HOUR, horizon=3)
    stored = made.frame.join(made.models.select("series_id", "naive_step"), on="series_id")
    came = points([5.0], start=START + 30 * HOUR)
    until = START + 33 * HOUR
    counts, gauges = (judged(stored, came, until=until, gap=gap) for gap in ("zero", "interpolate"))  # type: ignore[arg-type]
    assert counts.select("judged_buckets", "wape").row(0) == (3, 2.0)
    assert gauges.select("judged_buckets", "wape").row(0) == (1, 0.0)
    assert judged(stored, came, until=START + 30 * HOUR, gap="zero").is_empty()
    assert judged(stored, came, until=until - timedelta(hours=2), gap="zero")["judged_buckets"].to_list() == [1]


def test_a_holiday_is_not_learnt_from_and_the_next_one_is_forecast_like_it() -> None:
    values = seasonal(np.random.default_rng(12), 24 * 22)
    halved = values.copy()
    halved[24 * 16 : 24 * 17] /= 2
    holidays = [(START + timedelta(days=day)).date() for day in (16, 23)]
    ordinary = forecast(points(values), step=HOUR, horizon=72)
    told = forecast_with_reasons(points(halved), step=HOUR, horizon=72, holidays=holidays).frame
    ratio = (told["value"] / ordinary["value"]).to_numpy()
    assert ratio[:24] == pytest.approx(np.ones(24), abs=0.1)
    assert ratio[24:48] == pytest.approx(np.full(24, 0.5), abs=0.1)
    assert ratio[48:] == pytest.approx(np.ones(24), abs=0.1)
    assert (told["upper_80"] >= told["value"]).all()


def test_a_holiday_that_is_no_day_of_the_series_changes_nothing() -> None:
    frame = points(seasonal(np.random.default_rng(13), 24 * 10))
    made = forecast_with_reasons(frame, step=HOUR, horizon=24, holidays=[START.date() - timedelta(days=30)])
    assert made.frame.equals(forecast(frame, step=HOUR, horizon=24))


def test_a_method_that_forecasts_otherwise_has_another_name() -> None:
    """Old forecasts are told from new ones by it: when these figures change, count METHOD up with them."""
    made = forecast(points(seasonal(np.random.default_rng(15), 24 * 21)), step=HOUR, horizon=48)
    sums = [float(made[name].sum()) for name in ("value", "lower_80", "upper_80", "lower", "upper")]
    assert made["method"].unique().to_list() == [METHOD] == ["combination_2"]
    assert sums == pytest.approx([4837.4, 4162.48, 5567.0, 3794.43, 6010.01], rel=1e-3)
