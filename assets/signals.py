"""Signals on the hourly rollups: anomalies, forecasts, correlations. What they mean is in their rooms."""

import time
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import partial

import dagster as dg
import polars as pl
from pydantic import Field

from assets.gravest import gravest
from assets.hourly_anomalies import HISTORY, judge_days
from assets.judging import check_results, check_specs, staged_judge
from assets.partitions import DAILY, days_of, period_of
from assets.resources import Hub
from assets.tables import table_spec
from lah_platform.anomalies.detect import detect
from lah_platform.anomalies.feedback import lowered, outside_maintenance, told_once
from lah_platform.correlations.correlate import correlate
from lah_platform.correlations.model import CorrelationInputs
from lah_platform.incidents import tell_incidents
from lah_platform.rollups.windows import window
from lah_platform.stores import anomaly_feedback, signals
from lah_platform.stores import incidents as stored_incidents
from lah_platform.stores.cold_events import refuse_cold_days
from lah_platform.stores.points import read_points
from lah_platform.stores.staging import RowsRefused, staging

__all__ = ["MEASURES", "anomalies", "correlations", "forecasts", "incidents"]

_WINDOW = "1h"
_STEP = timedelta(hours=1)
_EVIDENCE = timedelta(days=14)  # what correlations look back on: rates from a day would be guesses
_LONGEST_EPISODE = timedelta(days=7)  # so much after the period is read, so that its last episodes are whole
_DAY = timedelta(days=1)
# By window: step, buckets ahead, history. Two days of hours; a month of days, which is what budgets run for
_FORECAST_WINDOWS = {"1h": (_STEP, 48, timedelta(days=42)), "1d": (_DAY, 31, timedelta(days=400))}
_MINUTE = "1m"
_MINUTE_HISTORY = timedelta(days=2)
_MINUTES_KNOWN = 24 * 60  # of three days' 4,320: what speaks less often is for the hours to judge
_MINUTE_POINTS = 1_000_000  # about half a minute of work
_REMEMBERED = timedelta(days=90)  # how long a dismissal lowers what comes after it

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

_SIGNAL = {"group": "signals"}
_ANOMALIES = table_spec(
    "anomalies",
    "Episodes of five types on every series by the hour, the last day's by the minute too: spike, drop, pattern "
    "deviation, frequency, distribution shift.",
    deps=["rollup_1h"],
    partitions_def=DAILY,
    **_SIGNAL,
)
_FORECASTS = table_spec(
    "forecasts",
    "The next 48 hours and 31 days, with intervals, backtest error and how earlier forecasts came out.",
    deps=["rollup_1h", "rollup_1d"],
    **_SIGNAL,
)
_CORRELATIONS = table_spec(
    "correlations",
    "Eight types of correlation between events, anomalies and series, with roles, strength and confidence.",
    deps=["events", "rollup_1m", "rollup_1h", "anomalies"],
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


def _complete_until(end: datetime, window_name: str = _WINDOW) -> datetime:
    """The end of the last whole bucket before `end` and now: one that still fills would look like a drop."""
    return window(window_name).floor(min(end, datetime.now(UTC)))


@dg.multi_asset(name="compute_anomalies", specs=[_ANOMALIES], backfill_policy=dg.BackfillPolicy.single_run())
def anomalies(context: dg.AssetExecutionContext, hub: Hub) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """Judge the run's days, going on from what is remembered of each series, and replace the episodes that touch them.

    The last of the days is judged by the minute too; what its hours show is not told again.
    """
    start, end = period_of(context)
    until, started = _complete_until(end + _LONGEST_EPISODE), time.monotonic()
    last_day = max(start, end - timedelta(days=1))
    with hub.connection() as connection:
        hours = judge_days(connection, MEASURES, start, end, after=until)
        minutes, left_out = _minutes(connection, last_day, end)
        narrow = detect(minutes, window=_MINUTE, step=timedelta(minutes=1), until=_complete_until(end, _MINUTE))
        owners = signals.read_owners(connection, hours.series_ids)
        told = _heeding(connection, told_once(hours.found, narrow), owners, end)
        now, rows = datetime.now(UTC), 0
        for name, since in ((_WINDOW, start), (_MINUTE, last_day)):
            of_window = told.filter(pl.col("window_name") == name)
            rows += signals.write_anomalies(
                connection, of_window, period_from=since, period_to=end, window=name, detected_at=now
            )
    figures = {"series": hours.judged, "learning": hours.learning, "judged_anew": hours.judged_anew}
    return _result(rows, until, started, minute_points_left_out=left_out, gravest=gravest(told), **figures)


def _minutes(connection: signals.Connection, start: datetime, end: datetime) -> tuple[pl.DataFrame, int]:
    """Points by the minute with two days before them, of the series that speak in most minutes, up to a bound."""
    points = _points(connection, MEASURES, start - _MINUTE_HISTORY, _complete_until(end, _MINUTE), window_name=_MINUTE)
    sizes = (
        points.group_by("series_id", "metric").len().sort("len", "series_id", "metric", descending=[True, False, False])
    )
    dense = sizes.filter(pl.col("len") >= _MINUTES_KNOWN)
    kept = dense.filter(pl.col("len").cum_sum() <= _MINUTE_POINTS)
    left_out = int(dense.select(pl.col("len").sum()).item()) - int(kept.select(pl.col("len").sum()).item())
    return points.join(kept, on=["series_id", "metric"], how="semi"), left_out


def _minutes_of(
    connection: signals.Connection, series_ids: Sequence[int], metrics: Sequence[str], start: datetime, end: datetime
) -> pl.DataFrame:
    """Points by the minute of some series, as correlations ask for them."""
    measures = {metric: MEASURES[metric] for metric in metrics}
    return _points(connection, measures, start, end, window_name=_MINUTE, series_ids=series_ids)


def _heeding(connection: signals.Connection, found: pl.DataFrame, owners: pl.DataFrame, end: datetime) -> pl.DataFrame:
    """Episodes after what people said: none from maintenance, lower scores for what was dismissed before."""
    if found.is_empty():
        return found
    first = found["started_at"].min()
    maintenance = anomaly_feedback.read_maintenance(connection, first, end + _LONGEST_EPISODE)  # type: ignore[arg-type]
    dismissals = anomaly_feedback.read_dismissals(connection, end - _REMEMBERED, end + _LONGEST_EPISODE)
    return lowered(outside_maintenance(found, owners, maintenance), dismissals)


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
                points=_points(connection, MEASURES, start - HISTORY, until),
                minutes=partial(_minutes_of, connection),
                usage=partial(signals.read_usage, connection),
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
        inputs = stored_incidents.read_incident_inputs(connection, start - _LONGEST_EPISODE, end, until, start)
        rows = stored_incidents.write_incidents(
            connection, tell_incidents(inputs), period_from=start, period_to=end, detected_at=datetime.now(UTC)
        )
    return _result(rows, until, started)


class ForecastConfig(dg.Config):
    """How many series a run forecasts: the largest of each metric; the metadata says how many were left out.

    holidays: UTC days such as 2026-12-25 that are unlike their weekday, past ones too. lstm: train one network over all
    series of a metric and use it where it is better; needs the extra of that name. processes: how many at most, one a
    core, each with 200 MB.
    """

    series_per_metric: int = 1000
    holidays: list[str] = Field(default_factory=list)
    lstm: bool = False
    processes: int = 2


@dg.multi_asset(name="compute_forecasts", specs=[_FORECASTS], check_specs=check_specs("forecasts", "forecasts"))
def forecasts(
    context: dg.AssetExecutionContext, config: ForecastConfig, hub: Hub
) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:  # type: ignore[type-arg]
    """Forecast hours and days from everything up to the last whole one, and judge what was forecast before.

    What was forecast is served once it passed its blocking checks; else the run fails and nothing is.
    """
    from lah_platform.forecasts.forecast import forecast_with_reasons
    from lah_platform.forecasts.judged import judged
    from lah_platform.forecasts.lstm import network_of
    from lah_platform.forecasts.metrics import FORECAST, gap_of
    from lah_platform.forecasts.processes import over_cores

    now, started = datetime.now(UTC), time.monotonic()
    holidays = [date.fromisoformat(day) for day in config.holidays]
    rows = left_out = compared = 0
    with (
        hub.connection() as connection,
        over_cores(config.processes) as over,
        staging(connection, *signals.FORECAST_TABLES) as stage,
    ):
        for name, (step, horizon, history) in _FORECAST_WINDOWS.items():
            until = window(name).floor(now)
            for metric, measure in FORECAST.items():
                gap = gap_of(measure)
                points = read_points(connection, name, measure, [metric], until - history, until, with_histograms=False)
                since = until - 2 * horizon * step
                earlier = signals.read_unjudged_forecasts(connection, name, [metric], since, until)
                came_out = judged(earlier, points, until=until, gap=gap)
                compared += signals.write_judged_forecasts(connection, came_out, window=name, judged_at=now)
                sizes = points.group_by("series_id").agg(pl.len()).sort("len", "series_id", descending=[True, False])
                chosen = sizes.head(config.series_per_metric).get_column("series_id").implode()
                left_out += max(0, sizes.height - config.series_per_metric)
                points = points.filter(pl.col("series_id").is_in(chosen))
                made = forecast_with_reasons(
                    points,
                    step=step,
                    horizon=horizon,
                    gap=gap,
                    contenders=network_of(points, step=step, horizon=horizon, gap=gap) if config.lstm else {},
                    holidays=holidays,
                    over=map if config.lstm else over,  # a network stays in its process
                )
                for reason in made.not_fitted.iter_rows(named=True):
                    context.log.debug("no forecast of series %(series_id)s %(metric)s: %(reason)s", reason)
                rows += signals.stage_forecasts(connection, made.frame, made.models, window=name, computed_at=now)
        end = now + max(step * horizon for step, horizon, _ in _FORECAST_WINDOWS.values()) + _DAY
        judge, verdicts = staged_judge(connection, hub, "forecasts", now - _DAY, end, context.run.run_id)
        try:
            signals.publish_forecasts(stage, windows=list(_FORECAST_WINDOWS), computed_at=now, judge=judge)
        except RowsRefused:
            yield from check_results(verdicts, "forecasts")
            raise
    yield _result(rows, _complete_until(now), started, series_left_out=left_out, forecasts_judged=compared)
    yield from check_results(verdicts, "forecasts")


def _points(
    connection: signals.Connection,
    measures: dict[str, str],
    start: datetime,
    end: datetime,
    *,
    with_histograms: bool = False,
    window_name: str = _WINDOW,
    series_ids: Sequence[int] | None = None,
) -> pl.DataFrame:
    by_measure: dict[str, list[str]] = {}
    for metric, measure in measures.items():
        by_measure.setdefault(measure, []).append(metric)
    return pl.concat(
        [
            read_points(
                connection,
                window_name,
                measure,
                names,
                start,
                end,
                with_histograms=with_histograms,
                series_ids=series_ids,
            )
            for measure, names in by_measure.items()
        ]
    )


def _result(rows: int, until: datetime, started: float, **more: int | str | dg.MetadataValue) -> dg.MaterializeResult:  # type: ignore[type-arg]
    figures = {"dagster/row_count": rows, "seconds": round(time.monotonic() - started, 3)}
    return dg.MaterializeResult(metadata={**figures, "watermark": until.isoformat(), **more})
