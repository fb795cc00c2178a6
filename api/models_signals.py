"""Anomalies, correlations and incidents as they look on the wire; conventions as in `models`."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, Field

from api.models import SeriesDimensions, Usd

__all__ = ["Anomaly", "Correlation", "Dismissal", "Incident", "IncidentDetail"]


class Anomaly(SeriesDimensions):
    """One stretch of a series that is not as expected."""

    anomaly_id: UUID
    tenant: str
    series_id: int
    metric: str
    window: str
    anomaly_type: str
    method: str
    started_at: datetime
    peak_at: datetime
    ended_at: datetime
    score: float
    baseline: float | None
    observed: float | None
    deviation: float
    impact: str
    explanation: str
    detected_at: datetime
    dismissed_at: datetime | None = Field(description="When someone said that it was nothing; null: nobody did.")


class Dismissal(BaseModel):
    """That an anomaly was nothing, as someone said."""

    anomaly_id: UUID
    tenant: str
    series_id: int
    metric: str
    anomaly_type: str
    started_at: datetime
    deviation: float
    dismissed_at: datetime
    dismissed_by: str
    note: str


class CorrelationMember(BaseModel):
    """What takes part in a correlation, and as what."""

    role: str
    member_type: str
    member_id: str
    metric: str
    at: datetime


class Correlation(BaseModel):
    """Things that belong together, with how sure that is."""

    correlation_id: UUID
    tenant: str
    correlation_type: str
    started_at: datetime
    ended_at: datetime
    strength: float
    confidence: float
    explanation: str
    detected_at: datetime
    evidence: dict[str, float | str | None] = Field(description="What it rests on, by names that end in their unit.")
    members: list[CorrelationMember]


class Incident(BaseModel):
    """Something that went wrong, in one line."""

    incident_id: UUID
    tenant: str
    title: str
    severity: str
    is_open: bool
    started_at: datetime
    ended_at: datetime
    root_cause: str | None = Field(description="The component it most likely started in; null: nothing can be said.")
    root_cause_confidence: float | None = Field(description="Posterior probability of that.")
    cost_usd: Usd | None = Field(description="What it cost beyond the usual.")
    detected_at: datetime


class IncidentCandidate(BaseModel):
    """A component where it may have started."""

    node: str
    confidence: float
    path: list[str] = Field(description="From what hurts down to it.")
    explained_share: float = Field(description="Its excess over that of what hurts, at most 1.")
    excess_per_step: float = Field(description="Beyond the usual in five minutes, in `unit`.")
    unit: str
    deviations: float = Field(description="Robust standard deviations of that.")
    onset: datetime | None


class IncidentWhere(BaseModel):
    """Where it started."""

    hurt: str | None = Field(None, description="The component whose suffering was traced.")
    symptom: str | None = None
    is_significant: bool = Field(False, description="Whether that component left its usual range.")
    why_none: str | None = Field(None, description="Why there is no candidate.")
    candidates: list[IncidentCandidate]


class IncidentStory(BaseModel):
    """What happened, told in order."""

    what: list[str]
    since: datetime
    until: datetime
    where: IncidentWhere
    hurts: dict[str, list[str]] = Field(description="Services, models and teams.")
    costs: dict[str, float | str | None] = Field(
        description="USD beyond the usual in parts that add up: volume, retry, latency, model, prompt, answer, cache,"
        " price (by the rollups alone volume and rate); and main_cause, what the most of it is for."
    )
    next: list[str] = Field(description="What to look at, in order.")


class IncidentMember(BaseModel):
    """An anomaly or a correlation that is part of it."""

    member_type: str
    member_id: str


class IncidentDetail(Incident):
    """An incident with its story and what it is made of."""

    story: IncidentStory
    members: list[IncidentMember]
