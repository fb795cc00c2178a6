"""Incidents in PostgreSQL: what they are made of out, the told ones in."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import polars as pl
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from lah_platform.correlations.model import Correlation, Member
from lah_platform.incidents import LEAD, USUAL, Incident, IncidentInputs
from lah_platform.stores.binary_arrays import array_cursor
from lah_platform.stores.frames import copy_rows, read_frame
from lah_platform.stores.live_feed import noting_changes
from lah_platform.stores.postgres import Connection
from lah_platform.stores.queries import queries

__all__ = ["read_correlations", "read_incident_inputs", "read_telemetry", "write_incidents"]

_Q = queries("signals")
_TIME = pl.Datetime("us", "UTC")
_HABITS = frozenset({"temporal", "pattern_match"})  # what usually happens, over weeks: of no incident
_MOST_SPANS = 200_000  # the latest of the period: who calls whom shows in far fewer
_ANOMALIES: dict[str, Any] = (
    {
        "anomaly_id": pl.String,
        "tenant": pl.String,
        "series_id": pl.Int64,
        "metric": pl.String,
        "anomaly_type": pl.String,
    }
    | {"started_at": _TIME, "ended_at": _TIME, "deviation": pl.Float64}
    | dict.fromkeys(["impact", "explanation", "model", "service", "team"], pl.String)
)
_TELEMETRY: dict[str, Any] = (
    {"tenant": pl.String, "at": _TIME, "service": pl.String, "model": pl.String}
    | dict.fromkeys(["requests", "latency", "failed_share"], pl.Float64)
)  # fmt: skip
_SERIES = {"series_id": pl.Int64, "tenant": pl.String, "service": pl.String, "model": pl.String}
_SPANS: dict[str, Any] = (
    dict.fromkeys(["tenant", "event_id", "parent_event_id", "correlation_id"], pl.String)
    | {"ts": _TIME, "service": pl.String, "model": pl.String}
)  # fmt: skip
_TYPES = {
    "incident_id": "uuid",
    "tenant": "text",
    "title": "text",
    "severity": "text",
    "is_open": "bool",
    "started_at": "timestamptz",
    "ended_at": "timestamptz",
    "root_cause": "text",
    "root_cause_confidence": "float8",
    "cost_usd": "numeric",
    "story": "jsonb",
    "detected_at": "timestamptz",
}
_MEMBER_TYPES = {"incident_id": "uuid", "position": "int4", "member_type": "text", "member_id": "text"}


def read_incident_inputs(
    connection: Connection, start: datetime, end: datetime, until: datetime, since: datetime | None = None
) -> IncidentInputs:
    """What happened in [start, end) UTC, and components' telemetry from long enough before what had not ended by
    `since`; `until` and `since` as in the inputs."""
    period = {"start": start, "end": end}
    anomalies = read_frame(connection, _Q["incident_anomalies"], period, schema=_ANOMALIES)
    correlations = read_correlations(connection, start, end)
    told_since = since or start
    begins = anomalies.filter(pl.col("ended_at") > told_since)["started_at"].to_list()
    begins += [c.started_at for c in correlations if c.ended_at > told_since and c.correlation_type not in _HABITS]
    first = max(min([*begins, told_since]), start) - LEAD - USUAL
    return IncidentInputs(
        anomalies=anomalies,
        correlations=correlations,
        telemetry=read_telemetry(connection, first, end),
        spans=read_frame(connection, _Q["spans"], period | {"limit": _MOST_SPANS}, schema=_SPANS),
        until=until,
        since=since,
    )


def read_telemetry(connection: Connection, start: datetime, end: datetime) -> pl.DataFrame:
    """Requests, mean latency in seconds and share of failures by five minutes of [start, end) UTC, service and model.

    As whole columns: half a million rows take 1 s instead of 5.
    """
    series = read_frame(connection, _Q["component_series"], schema=_SERIES)
    found = array_cursor(connection).execute(_Q["component_telemetry"], {"start": start, "end": end}).fetchall()
    parts = [
        pl.DataFrame({"series_id": ids, "at": starts_us, "count": counts, "mean": means, "sum": sums}).with_columns(
            metric=pl.lit(metric)
        )
        for metric, ids, starts_us, counts, means, sums in found
    ]
    if not parts:
        return pl.DataFrame(schema=_TELEMETRY)

    def total(column: pl.Expr, metric: str) -> pl.Expr:
        is_of_metric = pl.col("metric") == metric
        return pl.when(is_of_metric.any()).then(column.filter(is_of_metric).sum().cast(pl.Float64))

    timed, counted = total(pl.col("count"), "latency_ms"), total(pl.col("sum"), "total_requests")
    waited, failed = total(pl.col("mean") * pl.col("count"), "latency_ms"), total(pl.col("sum"), "failed_requests")
    return (
        pl.concat(parts)
        .join(series, on="series_id")
        .group_by("tenant", pl.col("at").cast(_TIME), "service", "model")
        .agg(
            requests=pl.max_horizontal(timed.fill_null(0.0), counted.fill_null(0.0)),
            latency=pl.when(timed > 0).then(waited / (timed * 1000)),
            failed_share=pl.when(counted > 0).then(failed / counted),
        )
        .select(list(_TELEMETRY))
    )


def read_correlations(connection: Connection, start: datetime, end: datetime) -> list[Correlation]:
    """Correlations that overlap [start, end) UTC."""
    with connection.cursor(row_factory=dict_row) as cursor:
        cursor.execute(_Q["correlations_of_period"], {"start": start, "end": end})
        return [_correlation(row) for row in cursor]


def write_incidents(
    connection: Connection,
    incidents: Sequence[Incident],
    *,
    period_from: datetime,
    period_to: datetime,
    detected_at: datetime,
) -> int:
    """Replace the incidents that overlap [period_from, period_to) UTC; returns how many were written.

    Those outside the period are passed over; an incident that grew keeps its id and is one row.
    """
    kept = [each for each in incidents if each.ended_at > period_from and each.started_at < period_to]
    with connection.transaction():
        connection.execute(_Q["lock"], {"table": "incidents"})
        ids = [each.incident_id for each in kept]
        replaced = {"start": period_from, "end": period_to, "ids": ids}
        with noting_changes(connection, "incidents", replaced):
            connection.execute(_Q["delete_incidents"], replaced)
            copy_rows(
                connection,
                "incidents",
                list(_TYPES),
                list(_TYPES.values()),
                [
                    (i.incident_id, i.tenant, i.title, i.severity, i.is_open, i.started_at, i.ended_at, i.root_cause)
                    + (i.root_cause_confidence, i.cost_usd, Jsonb(dict(i.story)), detected_at)
                    for i in kept
                ],
            )
        copy_rows(
            connection,
            "incident_members",
            list(_MEMBER_TYPES),
            list(_MEMBER_TYPES.values()),
            [
                (i.incident_id, position, member_type, member_id)
                for i in kept
                for position, (member_type, member_id) in enumerate(i.members)
            ],
        )
    return len(kept)


def _correlation(row: dict[str, Any]) -> Correlation:
    columns = zip(row["roles"], row["types"], row["ids"], row["metrics"], row["times"], strict=True)
    return Correlation(
        **{name: row[name] for name in ("correlation_id", "tenant", "correlation_type", "started_at", "ended_at")},
        **{name: row[name] for name in ("strength", "confidence", "explanation", "evidence")},
        members=tuple(Member(*each) for each in columns),
    )
