"""Forecasts of a frame of points, series by series, and what each backtest says. The method is in `one_series`."""

import json
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import date, timedelta
from functools import partial
from typing import Any, NamedTuple, Protocol

import polars as pl

from lah_platform.forecasts.forecastability import PROMISED_MAPE, forecastability, verdict
from lah_platform.forecasts.holidays import without_holidays
from lah_platform.forecasts.members import Member, NotFitted
from lah_platform.forecasts.one_series import LEVELS, forecast_values
from lah_platform.forecasts.series import Gap, RegularSeries, regular_series, seasons_of

__all__ = ["FORECAST_SCHEMA", "METHOD", "MODEL_SCHEMA", "Forecasts", "Over", "forecast", "forecast_with_reasons"]

METHOD = "combination_2"  # the number goes up when the same history is forecast otherwise
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
        "lower_80": pl.Float64(),
        "upper_80": pl.Float64(),
        "backtest_wape": pl.Float64(),
    }
)
MODEL_SCHEMA = pl.Schema(
    {
        "series_id": pl.Int64(),
        "metric": pl.String(),
        "method": pl.String(),
        "trained_through": _TIME,
        "horizon": pl.Int64(),
        "weights": pl.String(),
        "origins": pl.Int64(),
        "backtest_mape": pl.Float64(),
        "backtest_smape": pl.Float64(),
        "backtest_wape": pl.Float64(),
        "backtest_mase": pl.Float64(),
        "naive_wape": pl.Float64(),
        "common_error": pl.Float64(),
        "naive_step": pl.Float64(),
        "forecastability": pl.Float64(),
        "is_forecastable": pl.Boolean(),
        "verdict": pl.String(),
    }
)
_REASON_SCHEMA = pl.Schema({"series_id": pl.Int64(), "metric": pl.String(), "reason": pl.String()})
_BODY, _TAIL = LEVELS


class Over(Protocol):
    """A function applied to each, in order."""

    def __call__(self, function: Callable[[Any], Any], each: Iterable[Any], /) -> Iterable[Any]: ...


class _Asked(NamedTuple):
    step: timedelta
    horizon: int
    more_members: Mapping[str, Member]
    contenders: Mapping[str, Member]
    holidays: Collection[date]


class _Made(NamedTuple):
    rows: list[tuple[Any, ...]]
    model: tuple[Any, ...]


class _NoForecast(NamedTuple):
    series_id: int
    metric: str
    reason: str


class Forecasts(NamedTuple):
    """`frame` has FORECAST_SCHEMA, `models` MODEL_SCHEMA, a row a series. `not_fitted`: which got none, and why."""

    frame: pl.DataFrame
    models: pl.DataFrame
    not_fitted: pl.DataFrame


def forecast(points: pl.DataFrame, *, step: timedelta, horizon: int, gap: Gap = "zero") -> pl.DataFrame:
    """The `frame` of `forecast_with_reasons`."""
    return forecast_with_reasons(points, step=step, horizon=horizon, gap=gap).frame


def forecast_with_reasons(
    points: pl.DataFrame,
    *,
    step: timedelta,
    horizon: int,
    gap: Gap = "zero",
    more_members: Mapping[str, Member] | None = None,
    contenders: Mapping[str, Member] | None = None,
    holidays: Collection[date] = (),
    over: Over = map,
) -> Forecasts:
    """The next `horizon` buckets of every series and metric of `points`.

    points: series_id, metric, bucket_start (UTC, complete buckets only, any order), value; `step` is the length of a
    bucket. `gap` says what a missing bucket is: "zero" for counts and sums, "interpolate" for gauges.

    All forecasts start after the frame's last bucket. `trained_through` is the start of the last bucket the series'
    model has seen; `lower` and `upper` bound a bucket's value with probability `level`, 0.95, `lower_80` and `upper_80`
    with 0.8. Where no observed value is negative, neither is a forecast or a bound. Backtest errors are shares, null
    when unknown; `weights` is a JSON object of the members' weights.

    `more_members` take part everywhere, `contenders` where they beat the others' combination in the backtest.
    `holidays` (UTC days, past and future) are not learnt from, and forecast by how earlier ones were unlike their
    weekday: see `holidays`. `over` maps a function over series as `map` does, such as a pool of processes (members
    must then be picklable). Series with fewer than three values, and gauges silent for longer than a season and the
    horizon, get none.
    Raises ValueError when a bucket repeats or lies off the grid, a value is beyond ±1e150, or an argument makes no
    sense.
    """
    if step <= timedelta(0) or horizon < 1 or gap not in ("zero", "interpolate"):
        raise ValueError(f"no forecast has step {step}, horizon {horizon} and gap {gap!r}")
    rows: list[tuple[Any, ...]] = []
    models: list[tuple[Any, ...]] = []
    reasons: list[tuple[Any, ...]] = []
    asked = _Asked(step, horizon, more_members or {}, contenders or {}, frozenset(holidays))
    for found in over(partial(_attempt, asked=asked), regular_series(points, step=step, gap=gap)):
        if isinstance(found, _NoForecast):
            reasons.append(found)
            continue
        rows.extend(found.rows)
        models.append(found.model)
    return Forecasts(
        pl.DataFrame(rows, schema=FORECAST_SCHEMA, orient="row"),
        pl.DataFrame(models, schema=MODEL_SCHEMA, orient="row"),
        pl.DataFrame(reasons, schema=_REASON_SCHEMA, orient="row"),
    )


def _attempt(series: RegularSeries, asked: _Asked) -> _Made | _NoForecast:
    try:
        return _of_series(series, *asked)
    except NotFitted as reason:
        return _NoForecast(series.series_id, series.metric, str(reason))


def _of_series(
    series: RegularSeries,
    step: timedelta,
    horizon: int,
    more_members: Mapping[str, Member],
    contenders: Mapping[str, Member],
    holidays: Collection[date],
) -> _Made:
    seasons = seasons_of(step)
    if series.lag > max(seasons[0] if seasons else 1, horizon):
        raise NotFitted(f"no value for {series.lag} buckets")
    series, effect = without_holidays(series, step, holidays)
    values = series.values
    found = forecast_values(
        values,
        series.is_observed,
        series.lag + horizon,
        seasons,
        more_members=more_members,
        contenders=contenders,
    )
    days = [(series.last_start + (ahead + 1) * step).date() for ahead in range(series.lag + horizon)]
    value, bounds = effect.on(days, found.value, found.bounds)
    (lower_80, upper_80), (lower, upper) = bounds[_BODY], bounds[_TAIL]
    errors = found.errors
    name = (series.series_id, series.metric, METHOD)
    rows = [
        (
            *name,
            series.last_start + (ahead + 1) * step,
            series.last_start,
            float(value[ahead]),
            float(lower[ahead]),
            float(upper[ahead]),
            _TAIL,
            float(lower_80[ahead]),
            float(upper_80[ahead]),
            errors.wape,
        )
        for ahead in range(series.lag, series.lag + horizon)
    ]
    model = (
        *name,
        series.last_start,
        horizon,
        json.dumps({member: round(weight, 4) for member, weight in found.weights.items()}),
        found.origins,
        errors.mape,
        errors.smape,
        errors.wape,
        errors.mase,
        found.naive_wape,
        found.common_error,
        found.naive_step,
        forecastability(values),
        None if errors.mape is None else errors.mape <= PROMISED_MAPE,
        verdict(errors, found.origins),
    )
    return _Made(rows, model)
