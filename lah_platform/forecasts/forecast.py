"""Forecasts of a frame of points: every method that applies to a series, and why the others do not.

What the methods do is in `methods` and `state_space`.
"""

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from lah_platform.forecasts.backtest import backtest_wape
from lah_platform.forecasts.methods import Method, NotFitted, SeasonalNaive
from lah_platform.forecasts.series import Gap, RegularSeries, regular_series, seasonal_period
from lah_platform.forecasts.state_space import Arima, ExponentialSmoothing

__all__ = ["FORECAST_SCHEMA", "METHODS", "Forecasts", "forecast", "forecast_with_reasons"]

METHODS: dict[str, Method] = {
    "seasonal_naive": SeasonalNaive,
    "exponential_smoothing": ExponentialSmoothing,
    "arima": Arima,
}
_TIME = pl.Datetime("us", "UTC")
FORECAST_SCHEMA = pl.Schema(
    {
        "series_id": pl.Int64(),
        "metric": pl.String(),
        "method": pl.String(),
        "target_start": _TIME,
        "trained_through": _TIME,
        "value": pl.Float64(),
        "lower": pl.Float64(),
        "upper": pl.Float64(),
        "level": pl.Float64(),
        "backtest_wape": pl.Float64(),
    }
)
_REASON_SCHEMA = pl.Schema(
    {"series_id": pl.Int64(), "metric": pl.String(), "method": pl.String(), "reason": pl.String()}
)
_FLOOR = "seasonal_naive"


class Forecasts(NamedTuple):
    """`frame` has FORECAST_SCHEMA. `not_fitted` says which method was left out of which series, and why."""

    frame: pl.DataFrame
    not_fitted: pl.DataFrame


def forecast(
    points: pl.DataFrame,
    *,
    step: timedelta,
    horizon: int,
    level: Decimal | float = 0.95,
    gap: Gap = "zero",
) -> pl.DataFrame:
    """The `frame` of `forecast_with_reasons`."""
    return forecast_with_reasons(points, step=step, horizon=horizon, level=level, gap=gap).frame


def forecast_with_reasons(
    points: pl.DataFrame,
    *,
    step: timedelta,
    horizon: int,
    level: Decimal | float = 0.95,
    gap: Gap = "zero",
) -> Forecasts:
    """The next `horizon` buckets of every series and metric of `points` by each of METHODS that applies.

    points: series_id, metric, bucket_start (UTC, complete buckets only, any order), value; `step` is the length of a
    bucket. `gap` says what a missing bucket is: "zero" for counts and sums, "interpolate" for gauges.

    All forecasts start after the frame's last bucket. `trained_through` is the start of the last bucket the series'
    model has seen; `lower` and `upper` bound a bucket's value with probability `level`. Where no observed value is
    negative, neither is a forecast or a bound. `backtest_wape` is the error on held-out buckets, None when unknown.

    The seasonal naive method is the floor: it is all there is for series that are constant, more than half zeros or
    more than half gaps, or too short, or where another did not converge. Series with fewer than three values, and
    gauges silent for longer than a season and the horizon, get none. Seasons need two of them.

    Raises ValueError when a bucket repeats or lies off the grid, a value is beyond ±1e150, or an argument makes no
    sense.
    """
    if step <= timedelta(0) or horizon < 1 or not 0 < level < 1 or gap not in ("zero", "interpolate"):
        raise ValueError(f"no forecast has step {step}, horizon {horizon}, level {level} and gap {gap!r}")
    rows: list[tuple[Any, ...]] = []
    reasons: list[tuple[Any, ...]] = []
    for series in regular_series(points, step=step, gap=gap):
        period = seasonal_period(step)
        if len(series.values) < 2 * period:
            period = 1
        for name, method in METHODS.items():
            try:
                _refuse(series, name, max(period, horizon))
                rows.extend(_rows(series, name, method, step, period, horizon, float(level)))
            except NotFitted as reason:
                reasons.append((series.series_id, series.metric, name, str(reason)))
    return Forecasts(
        pl.DataFrame(rows, schema=FORECAST_SCHEMA, orient="row"),
        pl.DataFrame(reasons, schema=_REASON_SCHEMA, orient="row"),
    )


def _refuse(series: RegularSeries, name: str, longest_silence: int) -> None:
    values = series.values
    if series.lag > longest_silence:
        raise NotFitted(f"no value for {series.lag} buckets")
    if name == _FLOOR:
        return
    if np.count_nonzero(values) < len(values) / 2:
        raise NotFitted("more than half of the values are zero")
    if np.count_nonzero(series.is_observed) < len(values) / 2:
        raise NotFitted("more than half of the buckets are missing")


def _rows(
    series: RegularSeries, name: str, method: Method, step: timedelta, period: int, horizon: int, level: float
) -> Iterator[tuple[Any, ...]]:
    values, is_observed = series.values, series.is_observed
    is_non_negative = bool(values.min() >= 0)
    value, half_width = method(values, period).predict(values, is_observed, series.lag + horizon, level)
    lower, upper = value - half_width, value + half_width
    if is_non_negative:
        value, lower, upper = (numbers.clip(min=0) for numbers in (value, lower, upper))
    wape = backtest_wape(method, values, is_observed, period, horizon, level, non_negative=is_non_negative)
    for ahead in range(series.lag, series.lag + horizon):
        yield (
            series.series_id,
            series.metric,
            name,
            series.last_start + (ahead + 1) * step,
            series.last_start,
            float(value[ahead]),
            float(lower[ahead]),
            float(upper[ahead]),
            level,
            wape,
        )
