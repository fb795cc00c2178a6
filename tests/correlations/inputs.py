"""Inputs for the tests, built from short tuples: two weeks that begin on a Monday."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from uuid import NAMESPACE_OID, uuid5

import numpy as np
import polars as pl

from lah_platform.correlations import CorrelationInputs

MONDAY = datetime(2025, 1, 6, tzinfo=UTC)
HOUR = timedelta(hours=1)
PERIOD = (MONDAY, MONDAY + timedelta(days=14))
TIME = pl.Datetime("us", "UTC")

EVENTS = {
    "event_id": pl.Utf8,
    "ts": TIME,
    "tenant": pl.Utf8,
    "event_type": pl.Utf8,
    "subtype": pl.Utf8,
    "severity": pl.Utf8,
    "correlation_id": pl.Utf8,
    "parent_event_id": pl.Utf8,
    "series_id": pl.Int64,
    "resource": pl.Utf8,
}
ANOMALIES = {
    "anomaly_id": pl.Utf8,
    "tenant": pl.Utf8,
    "series_id": pl.Int64,
    "metric": pl.Utf8,
    "anomaly_type": pl.Utf8,
    "started_at": TIME,
    "peak_at": TIME,
    "ended_at": TIME,
    "score": pl.Float64,
    "deviation": pl.Float64,
    "event_type": pl.Utf8,
    "subtype": pl.Utf8,
    "model": pl.Utf8,
}
POINTS = {
    "tenant": pl.Utf8,
    "series_id": pl.Int64,
    "metric": pl.Utf8,
    "subtype": pl.Utf8,
    "model": pl.Utf8,
    "bucket_start": TIME,
    "value": pl.Float64,
}


def event(
    name: str,
    minute: float = 0.0,
    *,
    parent: str | None = None,
    operation: str | None = None,
    kind: str = "telemetry/latency",
    severity: str = "info",
    series_id: int = 1,
    resource: str | None = None,
    tenant: str = "acme",
) -> tuple[object, ...]:
    event_type, subtype = kind.split("/")
    at = MONDAY + timedelta(minutes=minute)
    return (name, at, tenant, event_type, subtype, severity, operation, parent, series_id, resource)


def anomaly(
    metric: str,
    hour: float,
    hours: float = 1.0,
    *,
    series_id: int = 1,
    deviation: float = 8.0,
    anomaly_type: str = "spike",
    model: str = "gpt-4",
    tenant: str = "acme",
) -> tuple[object, ...]:
    start, end = MONDAY + hour * HOUR, MONDAY + (hour + hours) * HOUR
    name = str(uuid5(NAMESPACE_OID, f"{tenant}/{series_id}/{metric}/{anomaly_type}/{start}"))
    return (name, tenant, series_id, metric, anomaly_type, start, start, end, 0.5, deviation, "", "", model)


def series(
    values: Sequence[float] | np.ndarray,
    series_id: int,
    metric: str = "latency_ms",
    *,
    subtype: str = "latency",
    model: str = "",
    tenant: str = "acme",
    start: datetime = MONDAY,
) -> list[tuple[object, ...]]:
    return [
        (tenant, series_id, metric, subtype, model, start + i * HOUR, float(v))
        for i, v in enumerate(values)
        if not np.isnan(v)
    ]


def inputs(
    *,
    events: Iterable[tuple[object, ...]] = (),
    anomalies: Iterable[tuple[object, ...]] = (),
    points: Iterable[tuple[object, ...]] = (),
    period: tuple[datetime, datetime] | None = PERIOD,
) -> CorrelationInputs:
    return CorrelationInputs(
        pl.DataFrame(list(events), schema=EVENTS, orient="row"),
        pl.DataFrame(list(anomalies), schema=ANOMALIES, orient="row"),
        pl.DataFrame(list(points), schema=POINTS, orient="row"),
        *(period or ()),
    )
