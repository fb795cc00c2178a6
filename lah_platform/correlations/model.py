"""What correlations are made of and from. No method lives here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal
from uuid import NAMESPACE_URL, UUID, uuid5

import polars as pl

Role = Literal["root_cause", "contributor", "effect", "related"]
MemberType = Literal["event", "anomaly", "series"]
CorrelationType = Literal[
    "causal_chain",
    "temporal",
    "pattern_match",
    "anomaly",
    "cost_impact",
    "security_incident",
    "performance_degradation",
    "compliance_cascade",
]

Evidence = Mapping[str, float | str | None]

UsageReader = Callable[[str, Sequence[tuple[datetime, datetime]]], pl.DataFrame]
MinuteReader = Callable[[Sequence[int], Sequence[str], datetime, datetime], pl.DataFrame]

_NAMESPACE = uuid5(NAMESPACE_URL, "urn:lah:correlation")


@dataclass(frozen=True, slots=True)
class Member:
    """One piece of evidence; `at` is when it happened or began. Only series and anomalies have a metric."""

    role: Role
    member_type: MemberType
    member_id: str
    metric: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Correlation:
    """A row of `correlations` with its `correlation_members` in order of position."""

    correlation_id: UUID
    tenant: str
    correlation_type: CorrelationType
    started_at: datetime
    ended_at: datetime
    strength: float
    confidence: float
    explanation: str
    members: tuple[Member, ...]
    evidence: Evidence = field(default_factory=dict)
    """What it rests on, by names that end in their unit; what is in it is stated by each method."""

    def __post_init__(self) -> None:
        if not (0.0 <= self.strength <= 1.0 and 0.0 <= self.confidence <= 1.0):
            raise ValueError(f"strength {self.strength} and confidence {self.confidence} must lie in 0..1")
        if self.started_at > self.ended_at or len(self.members) < 2:
            raise ValueError("a correlation has at least two members and does not end before it starts")


@dataclass(frozen=True, slots=True)
class CorrelationInputs:
    """Frames of one period; all times UTC.

    events: event_id, ts, tenant, event_type, subtype, severity, correlation_id, parent_event_id, series_id; events
        with a parent or a correlation id, and all security and governance events; ids as text. Optional columns:
        `resource` names what an event was about, `lineage` (list of text) the assets data flowed along, first to last,
        `source_module` who sent it (else its event_type stands for that).
    anomalies: anomaly_id (text), tenant, series_id, metric, anomaly_type, started_at, peak_at, ended_at, score,
        deviation, event_type, subtype, model; further columns are ignored.
    points: tenant, series_id, metric, event_type?, subtype, model, bucket_start, value; hourly.
    minutes: reads points by the minute of some series and metrics in [start, end), in the columns of `points`; without
        it no lag below an hour is told.
    usage: reads what a tenant's requests used and cost in some spans of whole hours: at (the hour), service, model,
        requests, fresh_tokens, cache_read_tokens, cache_write_tokens, output_tokens, usd, failed_requests;
        fresh_price, cache_read_price, cache_write_price, output_price a token (null without a price); amounts as text.
        Without it a cost is parted into more and dearer tokens only.
    covered_from, covered_to: the period the frames were read for; by default what they hold. Rates of coincidence
        are measured over it.
    """

    events: pl.DataFrame
    anomalies: pl.DataFrame
    points: pl.DataFrame
    covered_from: datetime | None = None
    covered_to: datetime | None = None
    minutes: MinuteReader | None = None
    usage: UsageReader | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """What one method found, and what its limits made it leave out."""

    correlations: Sequence[Correlation]
    skipped_pairs: int = 0
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class CorrelationReport:
    """All correlations of a call, sorted by start. Iterates and counts like the list of them.

    skipped_pairs: pairs of series that were not compared because a tenant has more than `max_series`.
    left_out: per type, how many correlations or inputs fell to the other limits.
    """

    correlations: tuple[Correlation, ...]
    skipped_pairs: int
    left_out: Mapping[str, int]

    def __iter__(self) -> Iterator[Correlation]:
        return iter(self.correlations)

    def __len__(self) -> int:
        return len(self.correlations)


def correlation_id(correlation_type: CorrelationType, tenant: str, anchors: Sequence[Member]) -> UUID:
    """UUIDv5 of the type, the tenant and the members that define the correlation, in any order.

    A cluster is defined by what began it, so it keeps its id while it grows. A pair of series is defined by both and
    by the period they were compared over: the same pair a day later is another finding, beside the first.
    """
    names = sorted(
        "\x1e".join((m.member_type, m.member_id, m.metric, m.at.isoformat() if m.member_type == "series" else ""))
        for m in anchors
    )
    return uuid5(_NAMESPACE, "\x1f".join((correlation_type, tenant, *names)))


def strongest(found: list[Correlation], limit: int) -> tuple[list[Correlation], int]:
    """The `limit` strongest (then surest, largest, earliest) and how many are left out."""
    ranked = sorted(
        found, key=lambda c: (-c.strength, -c.confidence, -len(c.members), c.started_at, str(c.correlation_id))
    )
    return ranked[:limit], max(len(ranked) - limit, 0)
