"""What a forecast covers, what a gap means, and what happens to series nothing can be said about."""

import subprocess
import sys
import warnings
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lah_platform.forecasts import FORECAST_SCHEMA, METHODS, forecast, forecast_with_reasons
from lah_platform.forecasts.methods import NotFitted
from lah_platform.forecasts.series import Gap, regular_series, seasonal_period
from lah_platform.forecasts.state_space import _guarded
from tests.forecasts.simulation import HOUR, START, points, seasonal, simulate

finite = st.floats(min_value=-1e9, max_value=1e9)
amounts = st.one_of(st.just(0.0), st.floats(min_value=0, max_value=1e9))


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


@settings(deadline=None, max_examples=25)
@given(st.lists(amounts, max_size=60), st.integers(1, 30), st.sampled_from(["zero", "interpolate"]))
def test_forecasts_of_amounts_are_never_negative_and_bounds_enclose_the_value(
    values: list[float], horizon: int, gap: Gap
) -> None:
    result = forecast_with_reasons(points(values), step=HOUR, horizon=horizon, gap=gap)
    frame = result.frame
    assert frame.schema == FORECAST_SCHEMA
    numbers = frame.select("lower", "value", "upper")
    assert numbers.select(pl.all_horizontal(pl.all().is_finite())).to_series().all()
    assert numbers.select(pl.all_horizontal(pl.all() >= 0)).to_series().all()
    assert ((frame["lower"] <= frame["value"]) & (frame["value"] <= frame["upper"])).all()
    if values:  # every method either forecasts the whole horizon or says why not
        rows = dict(frame.group_by("method").len().iter_rows())
        assert set(rows.values()) <= {horizon}
        assert set(rows) | set(result.not_fitted["method"]) == set(METHODS)
        assert not set(rows) & set(result.not_fitted["method"])


def test_an_amount_that_falls_to_nothing_is_forecast_as_nothing() -> None:
    falling = np.linspace(100, 1, 40) + np.random.default_rng(1).uniform(0, 3, 40)
    frame = forecast(points(falling), step=HOUR, horizon=12)
    assert set(frame["method"]) == set(METHODS)
    assert (frame["lower"] >= 0).all()
    assert ((frame["lower"] <= frame["value"]) & (frame["value"] <= frame["upper"])).all()
    assert frame.filter(pl.col("method") == "exponential_smoothing")["value"].min() == 0


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
    result = forecast_with_reasons(points(values), step=HOUR, horizon=3, gap="interpolate")
    assert result.frame.is_empty()
    assert set(result.not_fitted["method"]) == set(METHODS)


def test_a_constant_series_stays_and_a_short_one_is_not_sure_of_it() -> None:
    short = forecast(points([7.0] * 5), step=HOUR, horizon=2)
    long = forecast(points([7.0] * 200), step=HOUR, horizon=2)
    for frame in (short, long):
        assert frame["method"].unique().to_list() == ["seasonal_naive"]
        assert frame["value"].to_list() == [7.0, 7.0]
    assert (short["lower"] < 7).all()
    assert (short["upper"] > 7).all()
    assert long["lower"].to_list() == long["upper"].to_list() == [7.0, 7.0]


def test_mostly_zero_and_mostly_missing_series_get_the_floor_only() -> None:
    mostly_zero = [3.0 if i % 5 == 0 else 0.0 for i in range(100)]
    mostly_missing = [float(i) if i % 5 < 2 else None for i in range(100)]
    for values, gap in ((mostly_zero, "zero"), (mostly_missing, "interpolate")):
        result = forecast_with_reasons(points(values), step=HOUR, horizon=3, gap=gap)  # type: ignore[arg-type]
        assert result.frame["method"].unique().to_list() == ["seasonal_naive"]
        assert result.not_fitted["reason"].str.starts_with("more than half").all()


def test_every_series_is_forecast_for_the_buckets_after_the_frames_last_one() -> None:
    values = seasonal(np.random.default_rng(2), 96).tolist()
    frame = pl.concat([points(values, series_id=1), points(values[:90], series_id=2)])
    ahead = [START + (96 + i) * HOUR for i in range(4)]
    for gap in ("zero", "interpolate"):
        result = forecast(frame, step=HOUR, horizon=4, gap=gap)  # type: ignore[arg-type]
        for (_, _), part in result.group_by("series_id", "method"):
            assert part["target_start"].to_list() == ahead
    trained = dict(result.select("series_id", "trained_through").unique().iter_rows())
    assert trained == {1: START + 95 * HOUR, 2: START + 89 * HOUR}


def test_a_gauge_silent_for_longer_than_a_season_gets_no_forecast() -> None:
    values = seasonal(np.random.default_rng(2), 120).tolist()
    frame = pl.concat([points(values, series_id=1), points(values[:60], series_id=2)])
    result = forecast_with_reasons(frame, step=HOUR, horizon=4, gap="interpolate")
    assert result.frame["series_id"].unique().to_list() == [1]
    assert set(result.not_fitted.filter(pl.col("series_id") == 2)["reason"]) == {"no value for 60 buckets"}


def test_the_same_points_in_any_order_give_the_same_forecasts() -> None:
    past, _ = simulate(seasonal, past=72, future=0, series=3, seed=3)
    result = forecast(past, step=HOUR, horizon=5)
    assert result.equals(forecast(past.sample(fraction=1.0, shuffle=True, seed=1), step=HOUR, horizon=5))
    alone = forecast(past.filter(pl.col("series_id") == 1), step=HOUR, horizon=5)
    assert result.filter(pl.col("series_id") == 1).equals(alone)


def test_a_level_may_be_a_decimal() -> None:
    frame = forecast(points([1.0, 2.0, 4.0, 3.0]), step=HOUR, horizon=1, level=Decimal("0.8"))
    assert frame["level"].to_list() == [0.8]


@pytest.mark.parametrize(
    "wrong", [{"horizon": 0}, {"level": 1.0}, {"level": 0}, {"step": timedelta(0)}, {"gap": "previous"}]
)
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
    ("step", "period"),
    [
        (timedelta(minutes=1), 1),
        (timedelta(minutes=15), 96),
        (HOUR, 24),
        (timedelta(hours=6), 4),
        (timedelta(days=1), 7),
        (timedelta(weeks=1), 1),
        (timedelta(hours=7), 1),
    ],
)
def test_the_season_is_a_day_of_short_buckets_and_a_week_of_days(step: timedelta, period: int) -> None:
    assert seasonal_period(step) == period


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


def test_importing_the_room_loads_no_statsmodels() -> None:
    code = "import sys, lah_platform.forecasts; sys.exit('statsmodels' in sys.modules or 'scipy.stats' in sys.modules)"
    assert subprocess.run([sys.executable, "-W", "error", "-c", code], check=False).returncode == 0


def test_only_the_latest_six_weeks_of_hours_are_looked_at() -> None:
    values = [1e6] * 100 + [float(i % 24) for i in range(24 * 50)]
    (series,) = regular_series(points(values), step=HOUR, gap="zero")
    assert len(series.values) == 24 * 42
    assert series.values.max() == 23
    assert isinstance(series.last_start, datetime)
