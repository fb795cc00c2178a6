"""Rows of the input frames as typed records, checked and in order of time, by tenant."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from lah_platform.correlations.model import CorrelationInputs, Member, Role

_EVENT_COLUMNS = (
    "event_id",
    "ts",
    "tenant",
    "event_type",
    "subtype",
    "severity",
    "correlation_id",
    "parent_event_id",
    "series_id",
)
_ANOMALY_COLUMNS = (
    "anomaly_id",
    "tenant",
    "series_id",
    "metric",
    "anomaly_type",
    "started_at",
    "ended_at",
    "deviation",
    "model",
)
_POINT_COLUMNS = ("tenant", "series_id", "metric", "subtype", "model", "bucket_start", "value")
_TIMES = ("ts", "started_at", "ended_at", "bucket_start")

SEVERITIES = ("debug", "info", "warning", "error", "critical")


@dataclass(frozen=True, slots=True)
class EventRow:
    event_id: str
    ts: datetime
    tenant: str
    event_type: str
    subtype: str
    severity: int
    correlation_id: str | None
    parent_event_id: str | None
    series_id: int | None
    resource: str | None
    lineage: tuple[str, ...]
    module: str

    def member(self, role: Role) -> Member:
        return Member(role, "event", self.event_id, "", self.ts)


@dataclass(frozen=True, slots=True)
class AnomalyRow:
    anomaly_id: str
    tenant: str
    series_id: int
    metric: str
    anomaly_type: str
    started_at: datetime
    ended_at: datetime
    deviation: float
    model: str

    def member(self, role: Role) -> Member:
        return Member(role, "anomaly", self.anomaly_id, self.metric, self.started_at)


def check_inputs(inputs: CorrelationInputs) -> None:
    """Raises ValueError when a column is missing or a time carries no zone."""
    for name, columns in (("events", _EVENT_COLUMNS), ("anomalies", _ANOMALY_COLUMNS), ("points", _POINT_COLUMNS)):
        schema = getattr(inputs, name).schema
        missing = [column for column in columns if column not in schema]
        if missing:
            raise ValueError(f"{name} lack the columns {', '.join(missing)}")
        for column in (c for c in columns if c in _TIMES):
            dtype = schema[column]
            if not isinstance(dtype, pl.Datetime) or dtype.time_zone is None:
                raise ValueError(f"{name}.{column} must be a Datetime with a time zone")


def events_by_tenant(events: pl.DataFrame) -> Iterator[tuple[str, list[EventRow]]]:
    """Events of each tenant by time; an id stored under two times counts once, at its earliest."""
    for optional in ("resource", "source_module"):
        if optional not in events.columns:
            events = events.with_columns(pl.lit(None, pl.Utf8).alias(optional))
    if "lineage" not in events.columns:
        events = events.with_columns(lineage=pl.lit([], pl.List(pl.Utf8)))
    rank = {name: position for position, name in enumerate(SEVERITIES)}
    frame = (
        events.select(
            *_EVENT_COLUMNS,
            "resource",
            pl.col("lineage").fill_null([]),
            module=pl.coalesce("source_module", "event_type"),
        )
        .with_columns(
            pl.col("event_id", "correlation_id", "parent_event_id").cast(pl.Utf8),
            pl.col("ts").dt.convert_time_zone("UTC"),
            pl.col("severity").cast(pl.Utf8).replace_strict(rank, return_dtype=pl.Int64),
        )
        .sort("tenant", "ts", "event_id")
        .unique(["tenant", "event_id"], keep="first", maintain_order=True)
    )
    for (tenant,), part in frame.group_by("tenant", maintain_order=True):
        yield str(tenant), [EventRow(**{**row, "lineage": tuple(row["lineage"])}) for row in part.iter_rows(named=True)]


def anomalies_by_tenant(anomalies: pl.DataFrame, limit: int) -> Iterator[tuple[str, list[AnomalyRow], int]]:
    """The latest `limit` anomalies of each tenant by start, and how many earlier ones are left out."""
    frame = (
        anomalies.select(_ANOMALY_COLUMNS)
        .with_columns(
            pl.col("anomaly_id").cast(pl.Utf8),
            pl.col("started_at", "ended_at").dt.convert_time_zone("UTC"),
            pl.col("model").fill_null(""),
        )
        .sort("tenant", "started_at", "anomaly_id")
    )
    for (tenant,), part in frame.group_by("tenant", maintain_order=True):
        rows = [AnomalyRow(*row) for row in part.tail(limit).iter_rows()]
        yield str(tenant), rows, max(part.height - limit, 0)


def covered_seconds(inputs: CorrelationInputs) -> float:
    """Length of the period the inputs cover, at least a day: rates from less would be guesses."""
    columns = (
        inputs.events["ts"],
        inputs.anomalies["started_at"],
        inputs.anomalies["ended_at"],
        inputs.points["bucket_start"],
    )
    # started and ended times of the frames as naive UTC instants of one resolution, so that they compare
    instants = pl.concat([c.dt.convert_time_zone("UTC").cast(pl.Datetime("us", "UTC")).rename("at") for c in columns])
    first, last = inputs.covered_from or instants.min(), inputs.covered_to or instants.max()
    if not isinstance(first, datetime) or not isinstance(last, datetime):
        return timedelta(days=1).total_seconds()
    return max((last - first).total_seconds(), timedelta(days=1).total_seconds())


def first_movers(rows: Sequence[AnomalyRow]) -> list[Role]:
    """Roles by order of start: a single first one contributed, several simultaneous ones are related, later ones
    are effects. Being first is all that is known."""
    first = min(row.started_at for row in rows)
    is_alone = sum(row.started_at == first for row in rows) == 1
    return ["effect" if row.started_at > first else "contributor" if is_alone else "related" for row in rows]
