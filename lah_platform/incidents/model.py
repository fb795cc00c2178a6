"""What incidents are made of and from. No method lives here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

import polars as pl

from lah_platform.correlations.model import Correlation

IMPACTS = ("negligible", "low", "medium", "high", "critical")
MemberType = Literal["anomaly", "correlation"]


@dataclass(frozen=True, slots=True)
class Incident:
    """A row of `incidents` with its `incident_members`, in order. `story` is JSON: see `tell_incidents`."""

    incident_id: UUID
    tenant: str
    title: str
    severity: str
    is_open: bool
    started_at: datetime
    ended_at: datetime
    root_cause: str | None
    root_cause_confidence: float | None
    cost_usd: Decimal | None
    story: Mapping[str, Any]
    members: tuple[tuple[MemberType, str], ...]


@dataclass(frozen=True, slots=True)
class IncidentInputs:
    """Frames of one period; all times UTC.

    anomalies: anomaly_id (text), tenant, series_id, metric, anomaly_type, started_at, ended_at, deviation, impact,
        explanation, model, service, team.
    correlations: those that touch the period.
    telemetry: tenant, at, service, model, requests, latency (mean, seconds), failed_share (0..1); steps of equal
        length from a week before the period on. Empty texts where a dimension is unknown.
    spans: tenant, event_id, parent_event_id, correlation_id, ts, service, model.
    until: how far the anomalies are known; an incident that reaches it is open.
    since: what had ended by then is not told (None: everything is).
    """

    anomalies: pl.DataFrame
    correlations: Sequence[Correlation]
    telemetry: pl.DataFrame
    spans: pl.DataFrame
    until: datetime
    since: datetime | None = None


@dataclass(slots=True)
class Group:
    """Anomalies (as rows) and correlations that hang together."""

    tenant: str
    anomalies: list[dict[str, Any]] = field(default_factory=list)
    correlations: list[Correlation] = field(default_factory=list)

    @property
    def started_at(self) -> datetime:
        starts: list[datetime] = [row["started_at"] for row in self.anomalies]
        return min(starts + [c.started_at for c in self.correlations])

    @property
    def ended_at(self) -> datetime:
        ends: list[datetime] = [row["ended_at"] for row in self.anomalies]
        return max(ends + [c.ended_at for c in self.correlations])
