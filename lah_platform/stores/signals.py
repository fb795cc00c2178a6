"""Signals in PostgreSQL: what they are made of out, episodes, forecasts and correlations in."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

import polars as pl
from psycopg.types.json import Jsonb

from lah_platform.anomalies.identity import anomaly_id
from lah_platform.correlations.model import Correlation
from lah_platform.quality.verdicts import Verdict
from lah_platform.stores.frames import copy_frame, copy_rows, read_frame
from lah_platform.stores.live_feed import noting_changes
from lah_platform.stores.postgres import Connection
from lah_platform.stores.queries import queries
from lah_platform.stores.staging import SCHEMA as STAGED
from lah_platform.stores.staging import Judge, Stage, staging

__all__ = [
    "FORECAST_TABLES",
    "Connection",
    "publish_forecasts",
    "read_anomalies",
    "read_linked_events",
    "read_owners",
    "read_unjudged_forecasts",
    "read_usage",
    "stage_forecasts",
    "write_anomalies",
    "write_correlations",
    "write_forecasts",
    "write_judged_forecasts",
]

FORECAST_TABLES = ("forecasts", "forecast_models")
_Q = queries("signals")
_TIME = pl.Datetime("us", "UTC")
_LINKED: dict[str, Any] = (
    {"event_id": pl.String, "ts": _TIME}
    | dict.fromkeys(["tenant", "event_type", "subtype", "severity", "correlation_id", "parent_event_id"], pl.String)
    | {"series_id": pl.Int64, "resource": pl.String, "lineage": pl.List(pl.String), "source_module": pl.String}
)
_ANOMALIES: dict[str, Any] = (
    {"anomaly_id": pl.String, "tenant": pl.String, "series_id": pl.Int64}
    | dict.fromkeys(["metric", "window_name", "anomaly_type"], pl.String)
    | dict.fromkeys(["started_at", "peak_at", "ended_at"], _TIME)
    | {"score": pl.Float64, "deviation": pl.Float64}
    | dict.fromkeys(["event_type", "subtype", "model"], pl.String)
)
_USAGE: dict[str, Any] = (
    {"at": _TIME, "service": pl.String, "model": pl.String}
    | dict.fromkeys(["requests", "fresh_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens"], pl.Int64)
    | {"usd": pl.String, "failed_requests": pl.Int64}
    | dict.fromkeys(["fresh_price", "cache_read_price", "cache_write_price", "output_price"], pl.String)
)

_UNJUDGED: dict[str, Any] = {
    "series_id": pl.Int64,
    "metric": pl.String,
    "method": pl.String,
    "trained_through": _TIME,
    "target_start": _TIME,
} | dict.fromkeys(["value", "lower", "upper", "lower_80", "upper_80", "naive_step"], pl.Float64)
_KEPT = timedelta(days=45)  # longer than the longest horizon, a month of days: until all of it can be judged

_CORRELATION_TYPES = {
    "correlation_id": "uuid",
    "tenant": "text",
    "correlation_type": "text",
    "started_at": "timestamptz",
    "ended_at": "timestamptz",
    "strength": "float8",
    "confidence": "float8",
    "explanation": "text",
    "detected_at": "timestamptz",
    "evidence": "jsonb",
}
_MEMBER_TYPES = {
    "correlation_id": "uuid",
    "position": "int4",
    "role": "text",
    "member_type": "text",
    "member_id": "text",
    "metric": "text",
    "at": "timestamptz",
}


def read_linked_events(connection: Connection, start: datetime, end: datetime) -> pl.DataFrame:
    """Events of [start, end) UTC that correlations are made of."""
    return read_frame(connection, _Q["linked_events"], {"start": start, "end": end}, schema=_LINKED)


def read_usage(connection: Connection, tenant: str, spans: Sequence[tuple[datetime, datetime]]) -> pl.DataFrame:
    """What the tenant's requests used and cost in spans of whole hours [start, end) UTC that do not overlap, as
    correlations take it; amounts and prices as text, exact."""
    asked = {"tenant": tenant, "starts": [start for start, _ in spans], "ends": [end for _, end in spans]}
    return read_frame(connection, _Q["usage_of_spans"], asked, schema=_USAGE)


def read_owners(connection: Connection, series_ids: Sequence[int]) -> pl.DataFrame:
    """Tenant and model of each series."""
    schema = {"series_id": pl.Int64, "tenant": pl.String, "model": pl.String}
    return read_frame(connection, _Q["owners_of_series"], {"series_ids": list(series_ids)}, schema=schema)


def read_anomalies(connection: Connection, start: datetime, end: datetime) -> pl.DataFrame:
    """Anomalies that overlap [start, end) UTC, of every window, with their series' dimensions."""
    return read_frame(connection, _Q["anomalies"], {"start": start, "end": end}, schema=_ANOMALIES)


def write_anomalies(
    connection: Connection,
    frame: pl.DataFrame,
    *,
    period_from: datetime,
    period_to: datetime,
    window: str,
    detected_at: datetime,
) -> int:
    """Replace `window`'s episodes that overlap [period_from, period_to) UTC by those of `frame`; returns how many.

    `frame` has the columns of `anomalies.detect`; episodes outside the period are passed over. An episode keeps its id
    while it grows, so one that was still open yesterday is the same row today.
    """
    kept = frame.filter((pl.col("ended_at") > period_from) & (pl.col("started_at") < period_to))
    keys = kept.select("series_id", "metric", "window_name", "anomaly_type", "started_at").rows()
    ids = [anomaly_id(*key) for key in keys]
    rows = kept.with_columns(
        anomaly_id=pl.Series([str(each) for each in ids], dtype=pl.String),
        detected_at=pl.lit(detected_at).cast(_TIME),
    ).join(_tenants(connection, kept), on="series_id", how="left")
    with connection.transaction():
        connection.execute(_Q["lock"], {"table": "anomalies"})
        replaced = {"window": window, "start": period_from, "end": period_to, "ids": ids}
        with noting_changes(connection, "anomalies", replaced):
            connection.execute(_Q["delete_anomalies"], replaced)
            return copy_frame(connection, "anomalies", rows, ["anomaly_id", "tenant", *frame.columns, "detected_at"])


def write_forecasts(
    connection: Connection, frame: pl.DataFrame, models: pl.DataFrame, *, window: str, computed_at: datetime
) -> int:
    """Serve `window`'s forecasts and what they were made of at once, unjudged; returns how many forecasts."""
    with staging(connection, *FORECAST_TABLES) as stage:
        rows = stage_forecasts(connection, frame, models, window=window, computed_at=computed_at)
        publish_forecasts(stage, windows=[window], computed_at=computed_at)
    return rows


def stage_forecasts(
    connection: Connection, frame: pl.DataFrame, models: pl.DataFrame, *, window: str, computed_at: datetime
) -> int:
    """Stage `window`'s forecasts and what they were made of; returns how many forecasts.

    Within `staging(connection, *FORECAST_TABLES)`. frame, models: of `forecasts.forecast_with_reasons`.
    """
    extra = {"window_name": pl.lit(window), "computed_at": pl.lit(computed_at).cast(_TIME)}
    tenants = _tenants(connection, frame)
    rows, made_of = (each.with_columns(**extra).join(tenants, on="series_id", how="left") for each in (frame, models))
    names = ["tenant", "window_name", "computed_at"]
    copy_frame(connection, "forecast_models", made_of, [*names, *models.columns], schema=STAGED)
    return copy_frame(connection, "forecasts", rows, [*names, *frame.columns], schema=STAGED)


def publish_forecasts(
    stage: Stage, *, windows: Sequence[str], computed_at: datetime, judge: Judge | None = None
) -> list[Verdict]:
    """Serve what was staged, one origin beside the other; returns the verdicts.

    What is there of the same series, metric and origin is replaced. Of `windows`, forecasts older than 45 days are
    deleted; so is what other methods said of the staged metrics' buckets after `computed_at`, of every series: the
    first run after an upgrade leaves none of them. Of `forecast_models` nothing is. Raises RowsRefused.
    """
    connection = stage.connection

    def remove() -> None:
        connection.execute(_Q["lock"], {"table": "forecasts"})
        connection.execute(_Q["delete_forecasts"])
        connection.execute(_Q["delete_forecast_models"])
        connection.execute(_Q["forget_forecasts"], {"windows": list(windows), "before": computed_at - _KEPT})
        connection.execute(_Q["forget_other_methods"], {"after": computed_at})

    return stage.publish(remove, judge)


def read_unjudged_forecasts(
    connection: Connection, window: str, metrics: Sequence[str], start: datetime, end: datetime
) -> pl.DataFrame:
    """Forecasts from [start, end) for buckets of it (UTC) that may not have been compared with what came about."""
    asked = {"window": window, "metrics": list(metrics), "start": start, "end": end}
    return read_frame(connection, _Q["unjudged_forecasts"], asked, schema=_UNJUDGED)


def write_judged_forecasts(connection: Connection, frame: pl.DataFrame, *, window: str, judged_at: datetime) -> int:
    """Write how forecasts came out, a frame of `forecasts.judged`; returns how many."""
    columns = frame.to_dict(as_series=False)
    with connection.transaction():
        connection.execute(_Q["lock"], {"table": "forecasts"})
        return connection.execute(_Q["judge_forecasts"], {**columns, "window": window, "judged_at": judged_at}).rowcount


def write_correlations(
    connection: Connection,
    correlations: Iterable[Correlation],
    *,
    period_from: datetime,
    period_to: datetime,
    detected_at: datetime,
) -> int:
    """Replace the correlations that ended in (period_from, period_to] UTC; returns how many were written.

    By their end, because what they are made of may reach weeks back; those that ended outside are passed over. A
    cluster that grew and a pair of series keep their id: what is stored under an id found again is replaced.
    """
    kept = [each for each in correlations if period_from < each.ended_at <= period_to]
    with connection.transaction():
        connection.execute(_Q["lock"], {"table": "correlations"})
        replaced = {"start": period_from, "end": period_to, "ids": [c.correlation_id for c in kept]}
        connection.execute(_Q["delete_correlations"], replaced)
        copy_rows(
            connection,
            "correlations",
            list(_CORRELATION_TYPES),
            list(_CORRELATION_TYPES.values()),
            [
                (c.correlation_id, c.tenant, c.correlation_type, c.started_at, c.ended_at)
                + (c.strength, c.confidence, c.explanation, detected_at, Jsonb(dict(c.evidence)))
                for c in kept
            ],
        )
        copy_rows(
            connection,
            "correlation_members",
            list(_MEMBER_TYPES),
            list(_MEMBER_TYPES.values()),
            [
                (c.correlation_id, position, m.role, m.member_type, m.member_id, m.metric, m.at)
                for c in kept
                for position, m in enumerate(c.members)
            ],
        )
    return len(kept)


def _tenants(connection: Connection, frame: pl.DataFrame) -> pl.DataFrame:
    series_ids = frame.get_column("series_id").unique().to_list()
    schema = {"series_id": pl.Int64, "tenant": pl.String}
    return read_frame(connection, _Q["tenants_of_series"], {"series_ids": series_ids}, schema=schema)
