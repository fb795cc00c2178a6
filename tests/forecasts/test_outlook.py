"""Sums, limits and what-if: certain where the forecast is, and no more certain than it."""

import numpy as np
import polars as pl
import pytest

from lah_platform.forecasts import forecast_with_reasons
from lah_platform.forecasts.metrics import FORECAST, gap_of
from lah_platform.forecasts.outlook import outlook
from lah_platform.forecasts.paths import paths, reach, total
from lah_platform.forecasts.what_if import factor_of, what_if
from lah_platform.rollups.metrics import MEASURES, METRICS, metric
from tests.forecasts.simulation import HOUR, points, seasonal, simulate

VALUE = np.full(10, 100.0)
NARROW = (VALUE - 1, VALUE + 1)
WIDE = (VALUE - 40, VALUE + 40)
WIDER = (VALUE - 65, VALUE + 70)


def test_every_bucket_of_the_paths_has_the_forecasts_quantiles() -> None:
    drawn = paths(VALUE, WIDE, WIDER, 0.3, seed=1, count=20_000)
    found = np.quantile(drawn, [0.025, 0.1, 0.5, 0.9, 0.975], axis=0)
    for quantile, expected in zip(found, (35, 60, 100, 140, 170), strict=True):
        assert quantile == pytest.approx(np.full(10, expected), rel=0.05)
    assert (drawn >= 0).all()


def test_the_same_seed_draws_the_same_paths_and_a_sum_is_wider_the_more_errors_have_in_common() -> None:
    alone, common = (paths(VALUE, WIDE, WIDER, share, seed=2) for share in (0.0, 0.9))
    assert (paths(VALUE, WIDE, WIDER, 0.9, seed=2) == common).all()
    narrow, wide = total(alone), total(common)
    assert wide.upper_80 - wide.lower_80 > 2 * (narrow.upper_80 - narrow.lower_80)
    assert narrow.mean == pytest.approx(1000, rel=0.03)


def test_a_budget_is_reached_where_the_running_sum_passes_it() -> None:
    drawn = paths(VALUE, NARROW, NARROW, 0.5, seed=3)
    found = reach(drawn, 450, is_cumulative=True)
    assert (found.probability, found.earliest, found.likely) == (1.0, 4, 4)
    assert reach(drawn, 450, is_cumulative=True, already=300).likely == 1
    assert reach(drawn, 2000, is_cumulative=True).likely is None
    assert (np.diff(found.by_bucket) >= 0).all()


def test_a_rate_limit_is_reached_by_one_bucket() -> None:
    found = reach(paths(VALUE, WIDE, WIDER, 0.0, seed=4), 140, is_cumulative=False)
    assert found.by_bucket[0] == pytest.approx(0.1, abs=0.03)
    assert found.probability == pytest.approx(1 - 0.9**10, abs=0.05)


def test_sums_of_a_day_are_within_their_interval_about_as_often_as_they_say() -> None:
    past, future = simulate(seasonal, past=240, future=24, series=40, seed=11)
    made = forecast_with_reasons(past, step=HOUR, horizon=24)
    both = made.frame.join(made.models.select("series_id", "common_error"), on="series_id")
    held = []
    for (series_id,), part in both.group_by("series_id"):
        came = float(future.filter(pl.col("series_id") == series_id)["actual"].sum())
        said = outlook(part, 1e9, is_cumulative=True).total
        held.append(said.lower_80 <= came <= said.upper_80)
    assert np.mean(held) >= 0.75


def test_an_outlook_sums_series_and_begins_with_what_there_was() -> None:
    frame = pl.concat([points([100.0] * 50, series_id=1), points([50.0] * 50, series_id=2)])
    made = forecast_with_reasons(frame, step=HOUR, horizon=4)
    both = made.frame.join(made.models.select("series_id", "common_error"), on="series_id")
    found = outlook(both, 500, is_cumulative=True, already=120)
    assert found.total.median == pytest.approx(120 + 4 * 150)
    assert found.reach.likely == 2
    assert found.starts == both["target_start"].unique().sort().to_list()
    with pytest.raises(ValueError, match="no outlook"):
        outlook(both.clear(), 1, is_cumulative=True)


def test_more_requests_cost_more_and_take_no_longer() -> None:
    made = forecast_with_reasons(points([10.0] * 30), step=HOUR, horizon=2).frame
    cost, latency = (
        what_if(made.with_columns(metric=pl.lit(name)), growth=2, price=1.5) for name in ("cost_usd", "latency_ms")
    )
    assert cost["value"].to_list() == [30.0, 30.0]
    assert (cost["upper"] == made["upper"] * 3).all()
    assert latency["value"].to_list() == [10.0, 10.0]
    assert factor_of("total_tokens", growth=2, price=5) == 2
    for wrong in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="makes no sense"):
            factor_of("cost_usd", growth=wrong)
    assert what_if(made.clear(), growth=2).is_empty()


def test_what_grows_with_requests_is_all_that_is_counted_and_no_speed_level_or_duration() -> None:
    doubled = {each.name for each in METRICS if factor_of(each.name, growth=2) == 2}
    assert doubled == {each.name for each in METRICS if each.kind == "counter"} | {"requests_per_second"}
    assert {each.name for each in METRICS if factor_of(each.name, price=3) == 3} == {"cost_usd"}
    assert {"cost_usd", "total_tokens", "total_requests", "failed_requests", "latency_ms"} <= set(FORECAST)
    for name, measure in FORECAST.items():
        assert measure in metric(name).measures
        assert (gap_of(measure) == "zero") == (MEASURES[measure] == "adds")
