"""Signals on the hourly rollups: anomalies, forecasts, correlations. What they mean is in their rooms."""

import time
from datetime import UTC, datetime, timedelta

import dagster as dg
import polars as pl

from assets.partitions import DAILY, days_of, period_of
from assets.resources import Hub
from assets.tables import table_spec
from lah_platform.anomalies.detect import detect
from lah_platform.correlations.correlate import correlate
from lah_platform.correlations.model import CorrelationInputs
from lah_platform.incidents import tell_incidents
from lah_platform.rollups.windows import window
from lah_platform.stores import incidents as stored_incidents
from lah_platform.stores import signals
from lah_platform.stores.cold_events import refuse_cold_days

__all__ = ["MEASURES", "anomalies", "correlations", "forecasts", "incidents"]

_WINDOW = "1h"
_STEP = timedelta(hours=1)
_HISTORY = timedelta(days=28)  # four weeks: enough for the hour of week
_EVIDENCE = timedelta(days=14)  # what correlations look back on: rates from a day would be guesses
_LONGEST_EPISODE = timedelta(days=7)  # so much after the period is read, so that its last episodes are whole
_HORIZON = 48

# What is judged of each metric: totals of what adds up, the tail of what people wait for, the mean of gauges
MEASURES = {
    "events": "count",
    "latency_ms": "p95",
    "ttft_ms": "p95",
    "tokens_per_second": "avg",
    "requests_per_second": "avg",
    "failed_requests": "sum",
    "total_tokens": "sum",
    "cost_usd": "sum",
}
_FORECAST = {"requests_per_second": "avg", "total_tokens": "sum", "cost_usd": "sum", "events": "count"}
_ADDITIVE = ("sum", "count")

_SIGNAL = {"group": "signals"}
_ANOMALIES = table_spec(
    "anomalies",
    "Episodes of five types on every hourly series: spike, drop, pattern deviation, frequency, distribution shift.",
    deps=["rollup_1h"],
    partitions_def=DAILY,
    **_SIGNAL,
)
_FORECASTS = table_spec(
    "forecasts",
    "The next 48 hours by seasonal naive, exponential smoothing and ARIMA, with intervals and backtest error.",
    deps=["rollup_1h"],
    **_SIGNAL,
)
_CORRELATIONS = table_spec(
    "correlations",
    "Eight types of correlation between events, anomalies and series, with roles, strength and confidence.",
    deps=["events", "rollup_1h", "anomalies"],
    partitions_def=DAILY,
    **_SIGNAL,
)

_INCIDENTS = table_spec(
    "incidents",
    "Anomalies and correlations told as one story: what, since when, where it started, whom it hurts, what it costs.",
    deps=["correlations", "anomalies", "rollup_5m", "events"],
    partitions_def=DAILY,
    **_SIGNAL,
)


def _complete_until(end: datetime) -> datetime:
    """The end of the last whole hour before `end` and now: an hour that still fills would look like a drop."""
    return window(_WINDOW).floor(min(end, datetime.now(UTC)))


@dg.multi_asset(name="compute_anomalies", specs=[_ANOMALIES], backfill_policy=dg.BackfillPolicy.single_run())
def anomalies(context: dg.AssetExecutionContext, hub: Hub) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """Detect on the run's days with four weeks of history before them, and replace the episodes that touch them."""
    start, end = period_of(context)
    until, started = _complete_until(end + _LONGEST_EPISODE), time.monotonic()
    with hub.connection() as connection:
        points = _points(connection, MEASURES, start - _HISTORY, until, with_histograms=True)
        found = detect(points, window=_WINDOW, step=_STEP, until=until)
        rows = signals.write_anomalies(
            connection, found, period_from=start, period_to=end, window=_WINDOW, detected_at=datetime.now(UTC)
        )
    return _result(rows, until, started, series=points.select("series_id", "metric").n_unique())


@dg.multi_asset(name="compute_correlations", specs=[_CORRELATIONS], backfill_policy=dg.BackfillPolicy.single_run())
def correlations(context: dg.AssetExecutionContext, hub: Hub) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """Correlate the run's days with what lies before them, and replace what ended in them."""
    start, end = period_of(context)
    until, started = _complete_until(end), time.monotonic()
    with hub.connection() as connection:
        refuse_cold_days(connection, (start - _EVIDENCE).date(), days_of(context)[1], what="correlations")
        report = correlate(
            CorrelationInputs(
                events=signals.read_linked_events(connection, start - _EVIDENCE, end),
                anomalies=signals.read_anomalies(connection, start - _EVIDENCE, end),
                points=_points(connection, MEASURES, start - _HISTORY, until),
                covered_from=start - _EVIDENCE,
                covered_to=end,
            )
        )
        rows = signals.write_correlations(
            connection, report.correlations, period_from=start, period_to=end, detected_at=datetime.now(UTC)
        )
    return _result(rows, until, started, skipped_pairs=report.skipped_pairs, left_out=str(dict(report.left_out)))


@dg.multi_asset(name="tell_incidents", specs=[_INCIDENTS], backfill_policy=dg.BackfillPolicy.single_run())
def incidents(context: dg.AssetExecutionContext, hub: Hub) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """Tell what happened in the run's days, and replace the incidents that touch them."""
    start, end = period_of(context)
    until, started = _complete_until(end), time.monotonic()
    with hub.connection() as connection:
        refuse_cold_days(connection, start.date(), days_of(context)[1], what="incidents")
        inputs = stored_incidents.read_incident_inputs(connection, start - _LONGEST_EPISODE, end, until)
        rows = stored_incidents.write_incidents(
            connection, tell_incidents(inputs), period_from=start, period_to=end, detected_at=datetime.now(UTC)
        )
    return _result(rows, until, started)


class ForecastConfig(dg.Config):
    """How many series a run forecasts: the largest of each metric; the metadata says how many were left out."""

    series_per_metric: int = 6


@dg.multi_asset(name="compute_forecasts", specs=[_FORECASTS])
def forecasts(context: dg.AssetExecutionContext, config: ForecastConfig, hub: Hub) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """Forecast from everything up to the last whole hour."""
    from lah_platform.forecasts.forecast import forecast_with_reasons

    until, started = _complete_until(datetime.now(UTC)), time.monotonic()
    rows = left_out = 0
    with hub.connection() as connection:
        for metric, measure in _FORECAST.items():
            points = _points(connection, {metric: measure}, until - _HISTORY, until)
            sizes = points.group_by("series_id").agg(pl.len()).sort("len", "series_id", descending=[True, False])
            chosen = sizes.head(config.series_per_metric).get_column("series_id").implode()
            left_out += max(0, sizes.height - config.series_per_metric)
            made = forecast_with_reasons(
                points.filter(pl.col("series_id").is_in(chosen)),
                step=_STEP,
                horizon=_HORIZON,
                gap="zero" if measure in _ADDITIVE else "interpolate",
            )
            for reason in made.not_fitted.iter_rows(named=True):
                context.log.info("%(method)s left out of series %(series_id)s %(metric)s: %(reason)s", reason)
            rows += signals.write_forecasts(connection, made.frame, window=_WINDOW, computed_at=datetime.now(UTC))
    return _result(rows, until, started, series_left_out=left_out)


def _points(
    connection: signals.Connection,
    measures: dict[str, str],
    start: datetime,
    end: datetime,
    *,
    with_histograms: bool = False,
) -> pl.DataFrame:
    by_measure: dict[str, list[str]] = {}
    for metric, measure in measures.items():
        by_measure.setdefault(measure, []).append(metric)
    return pl.concat(
        [
            signals.read_points(connection, _WINDOW, measure, names, start, end, with_histograms=with_histograms)
            for measure, names in by_measure.items()
        ]
    )


def _result(rows: int, until: datetime, started: float, **more: int | str) -> dg.MaterializeResult:  # type: ignore[type-arg]
    figures = {"dagster/row_count": rows, "seconds": round(time.monotonic() - started, 3)}
    return dg.MaterializeResult(metadata={**figures, "watermark": until.isoformat(), **more})
