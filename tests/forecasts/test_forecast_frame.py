"""What a forecast covers, what a gap means, and what happens to series nothing can be said about."""

import json
import subprocess
import sys
import warnings
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lah_platform.forecasts import FORECAST_SCHEMA, MODEL_SCHEMA, forecast, forecast_with_reasons
from lah_platform.forecasts.members import NotFitted
from lah_platform.forecasts.processes import over_cores
from lah_platform.forecasts.series import Gap, regular_series, seasons_of
from lah_platform.forecasts.state_space import _guarded
from tests.forecasts.simulation import HOUR, START, points, seasonal, simulate

finite = st.floats(min_value=-1e9, max_value=1e9)
amounts = st.one_of(st.just(0.0), st.floats(min_value=0, max_value=1e9))
BOUNDS = ("lower", "lower_80", "value", "upper_80", "upper")


@settings(deadline=None)
@given(
    st.lists(st.none() | finite, max_size=40),
    st.lists(st.none() | finite, max_size=40),
    st.sampled_from(["zero", "interpolate"]),
)
def test_gaps_are_zeros_or_lie_on_the_line_between_their_neighbours(
    one: list[float | None], other: list[float | None], gap: Gap
) -> None:
    frame = pl.concat([points(one, series_id=1), points(other, series_id=2)])
    found = {series.series_id: series for series in regular_series(frame, step=HOUR, gap=gap)}
    ends = [max(i for i, v in enumerate(values) if v is not None) for values in (one, other) if any_value(values)]
    for series_id, values in ((1, one), (2, other)):
        if not any_value(values):
            assert series_id not in found
            continue
        known = [i for i, v in enumerate(values) if v is not None]
        series = found[series_id]
        end = max(ends) if gap == "zero" else known[-1]
        expected = []
        for i in range(known[0], end + 1):
            value = values[i] if i < len(values) else None
            if value is None and gap == "zero":
                value = 0.0
            elif value is None:
                before, after = max(k for k in known if k < i), min(k for k in known if k > i)
                share = (i - before) / (after - before)
                value = (values[before] or 0.0) * (1 - share) + (values[after] or 0.0) * share
            expected.append(value)
        assert series.values.tolist() == pytest.approx(expected)
        assert series.last_start == START + end * HOUR
        assert series.lag == max(ends) - end
        if gap == "interpolate":
            assert np.flatnonzero(series.is_observed).tolist() == [k - known[0] for k in known]


def any_value(values: list[float | None]) -> bool:
    return any(value is not None for value in values)


@settings(deadline=None, max_examples=40)
@given(st.lists(amounts, max_size=60), st.integers(1, 30), st.sampled_from(["zero", "interpolate"]))
def test_forecasts_of_amounts_are_never_negative_and_intervals_are_nested_about_the_value(
    values: list[float], horizon: int, gap: Gap
) -> None:
    result = forecast_with_reasons(points(values), step=HOUR, horizon=horizon, gap=gap)
    frame = result.frame
    assert frame.schema == FORECAST_SCHEMA
    assert result.models.schema == MODEL_SCHEMA
    numbers = frame.select(BOUNDS)
    assert numbers.select(pl.all_horizontal(pl.all().is_finite())).to_series().all()
    assert numbers.select(pl.all_horizontal(pl.all() >= 0)).to_series().all()
    for below, above in pairwise(BOUNDS):
        assert (frame[below] <= frame[above]).all(), (below, above)
    if values:  # the whole horizon is forecast, or it is said why not
        assert (frame.height, result.models.height, result.not_fitted.height) in ((horizon, 1, 0), (0, 0, 1))


@pytest.mark.parametrize("horizon", [1, 12, 200])
@pytest.mark.parametrize("length", [3, 10, 30, 60, 100, 400])
def test_any_history_gives_the_whole_horizon(length: int, horizon: int) -> None:
    frame = forecast(points(seasonal(np.random.default_rng(5), length)), step=HOUR, horizon=horizon)
    assert frame["target_start"].to_list() == [START + (length + i) * HOUR for i in range(horizon)]
    width = frame["upper"] - frame["lower"]
    assert (width > 0).all()


def test_an_amount_that_falls_to_nothing_is_forecast_as_nothing_or_a_little() -> None:
    falling = np.linspace(100, 1, 40) + np.random.default_rng(1).uniform(0, 3, 40)
    frame = forecast(points(falling), step=HOUR, horizon=12)
    assert (frame["lower"] >= 0).all()
    assert (frame["value"] < 10).all()


def test_a_quantity_that_was_negative_may_be_forecast_negative() -> None:
    values = seasonal(np.random.default_rng(1), 100) - 100
    assert forecast(points(values), step=HOUR, horizon=24)["value"].min() < 0


def test_nothing_in_nothing_out() -> None:
    result = forecast_with_reasons(points([]), step=HOUR, horizon=3)
    assert result.frame.is_empty()
    assert result.frame.schema == FORECAST_SCHEMA
    assert result.not_fitted.is_empty()


@pytest.mark.parametrize("values", [[5.0], [5.0, 6.0], [float("nan"), 5.0, float("inf"), None, 6.0]])
def test_from_fewer_than_three_values_nothing_is_said(values: list[float | None]) -> None:
    result = forecast_with_reasons(
        points(values), step=HOUR, horizon=3, gap="interpolate" if len(values) < 5 else "zero"
    )
    if len(values) < 5:
        assert result.frame.is_empty()
        assert "say nothing" in result.not_fitted["reason"][0]
    else:
        assert result.frame.height == 3  # zeros between two values are values


def test_a_constant_series_stays_and_a_short_one_is_not_sure_of_it() -> None:
    short = forecast_with_reasons(points([7.0] * 5), step=HOUR, horizon=2)
    long = forecast_with_reasons(points([7.0] * 200), step=HOUR, horizon=2)
    for made in (short, long):
        assert made.frame["value"].to_list() == [7.0, 7.0]
    assert (short.frame["lower"] < 7).all()
    assert (short.frame["upper"] > 7).all()
    assert long.frame["lower"].to_list() == long.frame["upper"].to_list() == [7.0, 7.0]
    assert long.models["forecastability"].to_list() == [None]
    assert long.models["verdict"][0].startswith("Can be forecast: 0 % MAPE")


def test_a_series_that_was_always_zero_is_forecast_as_zero() -> None:
    made = forecast_with_reasons(points([0.0] * 100), step=HOUR, horizon=2)
    assert made.frame["value"].to_list() == [0.0, 0.0]
    assert made.models["verdict"].to_list() == ["Nothing came in the backtest."]


def test_a_series_says_whether_it_can_be_forecast() -> None:
    rng = np.random.default_rng(3)
    steady, noisy = seasonal(rng, 240), rng.exponential(1.0, 240)
    made = forecast_with_reasons(
        pl.concat([points(steady, series_id=1), points(noisy, series_id=2)]), step=HOUR, horizon=24
    ).models.sort("series_id")
    assert made["is_forecastable"].to_list() == [True, False]
    assert made["verdict"][1].startswith("Cannot be forecast under 12 % MAPE: ")
    assert made["forecastability"][0] > 2 * made["forecastability"][1]
    for weights in made["weights"]:
        assert sum(json.loads(weights).values()) == pytest.approx(1, abs=1e-3)


def test_mostly_zero_series_are_given_the_methods_for_intermittent_demand() -> None:
    mostly_zero = [3.0 if i % 5 == 0 else 0.0 for i in range(100)]
    made = forecast_with_reasons(points(mostly_zero), step=HOUR, horizon=3)
    assert {"croston", "tsb"} < set(json.loads(made.models["weights"][0]))


def test_every_series_is_forecast_for_the_buckets_after_the_frames_last_one() -> None:
    values = seasonal(np.random.default_rng(2), 96).tolist()
    frame = pl.concat([points(values, series_id=1), points(values[:90], series_id=2)])
    ahead = [START + (96 + i) * HOUR for i in range(4)]
    for gap in ("zero", "interpolate"):
        result = forecast(frame, step=HOUR, horizon=4, gap=gap)  # type: ignore[arg-type]
        for _, part in result.group_by("series_id"):
            assert part["target_start"].to_list() == ahead
    trained = dict(result.select("series_id", "trained_through").unique().iter_rows())
    assert trained == {1: START + 95 * HOUR, 2: START + 89 * HOUR}


def test_a_gauge_silent_for_longer_than_a_season_gets_no_forecast() -> None:
    values = seasonal(np.random.default_rng(2), 120).tolist()
    frame = pl.concat([points(values, series_id=1), points(values[:60], series_id=2)])
    result = forecast_with_reasons(frame, step=HOUR, horizon=4, gap="interpolate")
    assert result.frame["series_id"].unique().to_list() == [1]
    assert result.not_fitted.rows() == [(2, "m", "no value for 60 buckets")]


def test_the_same_points_in_any_order_and_any_company_give_the_same_forecasts() -> None:
    past, _ = simulate(seasonal, past=72, future=0, series=3, seed=3)
    result = forecast(past, step=HOUR, horizon=5)
    assert result.equals(forecast(past.sample(fraction=1.0, shuffle=True, seed=1), step=HOUR, horizon=5))
    alone = forecast(past.filter(pl.col("series_id") == 1), step=HOUR, horizon=5)
    assert result.filter(pl.col("series_id") == 1).equals(alone)


def test_a_clock_change_upstream_is_no_gap_and_no_repeat() -> None:
    """Local days of 23 and 25 hours are days of other lengths there; in UTC every hour is there once."""
    values = seasonal(np.random.default_rng(4), 24 * 12)
    spring = datetime.fromisoformat("2026-03-23T00:00:00+00:00")  # Europe's clocks go forward on the 29th
    moved = np.concatenate([values[: 24 * 6], values[24 * 6 + 1 :]])  # demand follows the local clock
    made = forecast_with_reasons(points(moved, start=spring), step=HOUR, horizon=24)
    assert made.frame.height == 24
    assert made.models["backtest_wape"][0] < 0.25


@pytest.mark.parametrize("wrong", [{"horizon": 0}, {"step": timedelta(0)}, {"gap": "previous"}])
def test_arguments_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="no forecast has"):
        forecast(points([1.0]), **({"step": HOUR, "horizon": 1} | wrong))


def test_repeated_and_misplaced_buckets_are_refused() -> None:
    good = points([1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="repeat"):
        forecast(pl.concat([good, good.head(1)]), step=HOUR, horizon=1)
    with pytest.raises(ValueError, match="repeat"):
        forecast(good, step=timedelta(minutes=45), horizon=1)
    with pytest.raises(ValueError, match="1e"):
        forecast(points([1.0, 1e200, 1.0]), step=HOUR, horizon=1)


@pytest.mark.parametrize(
    ("step", "seasons"),
    [
        (timedelta(minutes=1), ()),
        (timedelta(minutes=15), (96, 672)),
        (HOUR, (24, 168)),
        (timedelta(hours=6), (4, 28)),
        (timedelta(days=1), (7,)),
        (timedelta(weeks=1), ()),
        (timedelta(hours=7), ()),
    ],
)
def test_seasons_are_the_day_and_the_week(step: timedelta, seasons: tuple[int, ...]) -> None:
    assert seasons_of(step) == seasons


@pytest.mark.parametrize("step", [timedelta(minutes=15), timedelta(hours=6), timedelta(days=1), timedelta(weeks=1)])
def test_other_steps_are_forecast_too(step: timedelta) -> None:
    values = 50 + 20 * np.sin(np.arange(400) / 3) + np.random.default_rng(1).normal(0, 2, 400)
    made = forecast_with_reasons(points(values, step=step), step=step, horizon=31)
    assert made.frame["target_start"].to_list() == [START + (400 + i) * step for i in range(31)]
    assert made.models["origins"][0] > 0


def test_a_warning_that_means_failure_refuses_the_fit_and_any_other_reaches_the_caller() -> None:
    from statsmodels.tools.sm_exceptions import ConvergenceWarning

    def warn(category: type[Warning]) -> int:
        warnings.warn("so it is", category, stacklevel=1)
        return 5

    for failure in (ConvergenceWarning, RuntimeWarning):
        with pytest.raises(NotFitted, match="model: so it is"):
            _guarded(lambda failure=failure: warn(failure), "model")  # type: ignore[misc]
    with pytest.warns(FutureWarning, match="so it is"):
        assert _guarded(lambda: warn(FutureWarning), "model") == 5


def test_forecasting_loads_no_statsmodels() -> None:
    code = """
import sys
import numpy as np
from lah_platform.forecasts.one_series import forecast_values
forecast_values(np.arange(100.0) % 24, np.ones(100, dtype=bool), 24, (24, 168))
sys.exit('statsmodels' in sys.modules or 'scipy.stats' in sys.modules)
"""
    assert subprocess.run([sys.executable, "-W", "error", "-c", code], check=False).returncode == 0


def test_only_the_latest_six_weeks_of_hours_are_looked_at() -> None:
    values = [1e6] * 100 + [float(i % 24) for i in range(24 * 50)]
    (series,) = regular_series(points(values), step=HOUR, gap="zero")
    assert len(series.values) == 24 * 42
    assert series.values.max() == 23
    assert isinstance(series.last_start, datetime)


def test_over_several_cores_the_forecasts_are_the_same_and_in_the_same_order() -> None:
    frame = pl.concat(
        [
            points(np.random.default_rng(i).poisson(5, 12 if i % 50 else 2).astype(float), series_id=i)
            for i in range(120)
        ]
    )
    alone = forecast_with_reasons(frame, step=HOUR, horizon=3, gap="interpolate")
    with over_cores(2) as over:
        together = forecast_with_reasons(frame, step=HOUR, horizon=3, gap="interpolate", over=over)
    assert alone.not_fitted.height == 3
    for one, other in zip(alone, together, strict=True):
        assert other.equals(one)
