"""Forecasts are as good as they say: intervals hold what they promise, and errors are those on unseen buckets."""

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest

from lah_platform.forecasts import METHODS, forecast, forecast_with_reasons
from lah_platform.forecasts.backtest import backtest_wape
from lah_platform.forecasts.methods import Prediction
from lah_platform.forecasts.series import Bools
from lah_platform.forecasts.state_space import Arima, ExponentialSmoothing
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
    ("draw", "methods"),
    [
        (seasonal, set(METHODS)),
        (random_walk, set(METHODS)),
        (bursty_counts, set(METHODS)),
        (rare_counts, {"seasonal_naive"}),
    ],
)
def test_intervals_hold_the_future_about_as_often_as_they_say(
    draw: Callable[[np.random.Generator, int], Floats], methods: set[str]
) -> None:
    past, future = simulate(draw, past=120, future=24, series=12, seed=7)
    frame = forecast(past, step=HOUR, horizon=24, level=0.9).join(future, on=["series_id", "target_start"])
    held = frame.group_by("method").agg(
        coverage=((pl.col("lower") <= pl.col("actual")) & (pl.col("actual") <= pl.col("upper"))).mean(), rows=pl.len()
    )
    assert set(held["method"]) == methods
    assert (held["rows"] == 12 * 24).all()
    for method, coverage in held.select("method", "coverage").iter_rows():
        assert 0.8 <= coverage <= 0.97, (method, coverage)


def test_intervals_from_two_seasons_allow_for_how_little_was_seen() -> None:
    """Without that allowance they hold 80 of 100 values."""
    past, future = simulate(seasonal, past=48, future=24, series=12, seed=48)
    frame = forecast(past, step=HOUR, horizon=24).join(future, on=["series_id", "target_start"])
    frame = frame.filter(pl.col("method") == "exponential_smoothing")
    held = ((frame["lower"] <= frame["actual"]) & (frame["actual"] <= frame["upper"])).mean()
    assert frame.height == 12 * 24
    assert held is not None
    assert held >= 0.92


def test_a_higher_level_gives_a_wider_interval_about_the_same_value() -> None:
    past, _ = simulate(seasonal, past=96, future=0, series=1, seed=1)
    narrow, wide = (forecast(past, step=HOUR, horizon=24, level=level) for level in (0.8, 0.99))
    assert narrow["value"].equals(wide["value"])
    assert (wide["lower"] < narrow["lower"]).all()
    assert (wide["upper"] > narrow["upper"]).all()


def test_on_a_daily_shape_models_beat_the_seasonal_naive_method_and_that_beats_the_last_value() -> None:
    past, future = simulate(seasonal, past=168, future=24, series=6, seed=2)
    frame = forecast(past, step=HOUR, horizon=24)
    told = dict(frame.group_by("method").agg(pl.col("backtest_wape").mean()).iter_rows())
    assert told["exponential_smoothing"] < told["seasonal_naive"]
    assert told["arima"] < told["seasonal_naive"]
    errors = frame.join(future, on=["series_id", "target_start"]).with_columns(
        error=(pl.col("value") - pl.col("actual")).abs()
    )
    really = dict(errors.group_by("method").agg(pl.col("error").sum() / pl.col("actual").sum()).iter_rows())
    assert really["exponential_smoothing"] < really["seasonal_naive"]
    assert really["arima"] < really["seasonal_naive"]
    last = past.group_by("series_id").agg(last=pl.col("value").sort_by("bucket_start").last())
    last_value_error = future.join(last, on="series_id").select(
        (pl.col("last") - pl.col("actual")).abs().sum() / pl.col("actual").sum()
    )
    assert really["seasonal_naive"] < last_value_error.item()
    for method, wape in told.items():
        assert wape == pytest.approx(really[method], rel=0.35)


def test_the_backtest_error_is_that_of_forecasts_from_shorter_histories() -> None:
    values = seasonal(np.random.default_rng(3), 24 * 8)
    (told,) = (
        forecast(points(values), step=HOUR, horizon=24)
        .filter(pl.col("method") == "seasonal_naive")["backtest_wape"]
        .unique()
    )
    error = actual = 0.0
    for days in (5, 6, 7):  # the last three days, each from the day before it
        held_out = values[24 * days : 24 * (days + 1)]
        error += float(np.abs(held_out - values[24 * (days - 1) : 24 * days]).sum())
        actual += float(np.abs(held_out).sum())
    assert told == pytest.approx(error / actual)


class MeanOfHistory:
    """A method whose parameter is the mean of all that it was fitted to."""

    def __init__(self, values: Floats, period: int) -> None:  # noqa: ARG002
        self.mean = float(values.mean())

    def predict(self, values: Floats, is_observed: Bools, horizon: int, level: float) -> Prediction:  # noqa: ARG002
        return Prediction(np.full(horizon, self.mean), np.zeros(horizon))


def test_parameters_are_estimated_before_the_first_held_out_block_and_only_observed_buckets_are_judged() -> None:
    rng = np.random.default_rng(11)
    values = rng.uniform(1, 100, 100)
    is_observed = rng.random(100) < 0.7
    told = backtest_wape(MeanOfHistory, values, is_observed, 1, 10, 0.95, non_negative=True)
    held_out = values[70:][is_observed[70:]]  # three blocks as long as the horizon
    assert told == pytest.approx(np.abs(held_out - values[:70].mean()).sum() / held_out.sum())


def test_no_backtest_sees_what_it_is_tested_on() -> None:
    """Whatever happens in the last held-out block, the forecasts it is compared with stay as they were."""
    values = seasonal(np.random.default_rng(4), 24 * 5)
    changed = values.copy()
    changed[-24:] += 1000.0
    for name in METHODS:
        before, after = (
            forecast(points(v), step=HOUR, horizon=24).filter(pl.col("method") == name)["backtest_wape"][0]
            for v in (values, changed)
        )
        # 24 errors of about 1000 each; seeing the jump would have made them smaller
        grown = after * np.abs(changed[-48:]).sum() - before * np.abs(values[-48:]).sum()
        assert grown == pytest.approx(24 * 1000, rel=0.05), name


def test_smoothing_intervals_widen_with_the_horizon_as_statsmodels_computes_them() -> None:
    import pandas as pd
    from statsmodels.tsa.exponential_smoothing.ets import ETSModel

    values = random_walk(np.random.default_rng(6), 24 * 4) + 100 * np.sin(np.arange(96) * np.pi / 12)
    fitted = ExponentialSmoothing(values, 24)
    ours = fitted.predict(values, np.full(96, True), 60, 0.95)
    series = pd.Series(values / np.abs(values).mean())
    model = ETSModel(
        series,
        error="add",
        trend="add",
        damped_trend=True,
        seasonal="add",
        seasonal_periods=24,
        initialization_method="heuristic",
    )
    theirs = model.smooth(fitted._parameters).get_prediction(start=96, end=155)
    ratio = ours.half_width / np.sqrt(np.asarray(theirs.forecast_variance))
    assert ratio == pytest.approx(np.full(60, ratio[0]))
    assert ours.value == pytest.approx(np.asarray(theirs.predicted_mean) * np.abs(values).mean())


def test_arima_differences_what_wanders_and_not_what_stays() -> None:
    rng = np.random.default_rng(8)
    assert Arima(random_walk(rng, 300), 1)._order[1] == 1
    assert Arima(50 + rng.normal(0, 5, 300), 1)._order[1] == 0


def test_a_series_that_leaves_the_stationary_region_says_so() -> None:
    result = forecast_with_reasons(points([float(i % 2) for i in range(120)]), step=HOUR, horizon=3)
    reasons = dict(result.not_fitted.select("method", "reason").iter_rows())
    assert "drifts out of the stationary region" in reasons["arima"]
    assert "arima" not in set(result.frame["method"])


def test_a_series_that_needs_more_than_a_method_can_give_says_so_and_keeps_the_floor() -> None:
    without_noise = points(2 + np.sin(2 * np.pi * np.arange(120) / 24))
    result = forecast_with_reasons(without_noise, step=HOUR, horizon=3)
    assert set(result.frame["method"]) == {"seasonal_naive"}
    reasons = dict(result.not_fitted.select("method", "reason").iter_rows())
    assert "failed to converge" in reasons["exponential_smoothing"]
    assert "did not converge" in reasons["arima"]
    assert result.frame["value"].to_list() == pytest.approx(2 + np.sin(2 * np.pi * np.arange(120, 123) / 24))


def test_units_do_not_matter() -> None:
    values = seasonal(np.random.default_rng(9), 100)
    one, other = (forecast(points(values * factor), step=HOUR, horizon=5) for factor in (1.0, 1e-9))
    assert other["method"].equals(one["method"])
    for name in ("value", "lower", "upper"):
        assert (other[name] * 1e9).to_list() == pytest.approx(one[name].to_list(), rel=1e-3)
    assert one["target_start"].min() == START + 100 * HOUR
