"""Answers about evidence and operations: reports, verdicts, dead letters, backfills, readiness.

The conventions are those of `api/models.py`.
"""

from datetime import date, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema

from api.parameters import Day
from lah_platform.rollups.metrics import NUMBER_OF
from lah_platform.stores.backfills import BACKFILL_TABLES

__all__ = [
    "Backfill",
    "BackfillRequest",
    "Check",
    "DeadLetter",
    "Health",
    "Readiness",
    "BackfillState",
    "ReportContent",
    "ReportRequest",
    "ReportRow",
    "ReportVerification",
]


class ReportChange(BaseModel):
    """A published figure that differs from the revision before, and the sources that moved in between."""

    control: str | None = Field(description="The control; null: of the report as a whole.")
    figure: str
    old: Any
    new: Any
    moved: list[dict[str, Any]]


class ReportRow(BaseModel):
    """One revision of a report, without its content."""

    report_id: UUID
    name: str = Field(description="The framework.")
    tenant: str = Field(description="Whose; `*`: everyone's.")
    environment: str = Field(description="Of which environment; `*`: of all.")
    period_from: date = Field(description="First day (UTC).")
    period_to: date = Field(description="First day after it (UTC).")
    revision: int = Field(description="Of this framework, tenant, environment and period, from 1.")
    generated_at: datetime
    sha256: str = Field(description="SHA-256 of the JSON document.")
    requested_by: str
    supersedes: UUID | None = Field(description="The revision before.")
    changes: list[ReportChange]


class ReportContent(ReportRow):
    """One report with its content."""

    content: dict[str, Any]


class ReportVerdict(BaseModel):
    """One thing that was checked of one document."""

    document: str
    checked: str
    holds: bool


class ReportVerification(BaseModel):
    """What came of checking the stored documents of a report."""

    report_id: UUID
    tenant: str
    holds: bool
    verdicts: list[ReportVerdict]


class Check(BaseModel):
    """The latest verdict of one check. What it observed counts every tenant's rows, so only operators see that."""

    asset: str
    check_name: str
    checked_at: datetime
    severity: str
    blocking: bool
    passed: bool
    advice: str
    period_from: datetime | None
    period_to: datetime | None
    run_id: str | None
    checked_rows: int | None = None
    failed_rows: int | None = None
    observed: dict[str, Any] | None = None


class DeadLetter(BaseModel):
    """One record that could not be stored, with its bytes."""

    dead_letter_id: int
    tenant: str
    topic: str
    partition: int
    record_offset: int
    dead_lettered_at: datetime
    code: str
    field: str
    reason: str
    raw_text: str | None = Field(description="The record, when it is UTF-8.")
    raw_base64: str | None = Field(description="The record, when it is not.")
    replayed_at: datetime | None
    replayed_as: str | None


def _table(name: str) -> str:
    if name not in BACKFILL_TABLES:
        raise ValueError(f"no table {name!r} can be recomputed: use one of {', '.join(BACKFILL_TABLES)}")
    return name


TableName = Annotated[str, AfterValidator(_table), WithJsonSchema({"type": "string", "enum": list(BACKFILL_TABLES)})]


BackfillState = Literal["requested", "started", "cancelling", "succeeded", "failed", "cancelled"]


class ReportRequest(BaseModel):
    """Which days a report is to cover."""

    model_config = ConfigDict(extra="forbid")

    from_: Day = Field(alias="from", description="First day, included (UTC).", examples=["2026-01-01"])
    to: Day = Field(description="Last day, included (UTC).", examples=["2026-01-31"])


class BackfillRequest(BaseModel):
    """Which table to recompute from which events."""

    model_config = ConfigDict(extra="forbid")

    table: TableName = Field(
        description="What to recompute; the windows are recomputed together.", examples=["cost_daily"]
    )
    from_: Day = Field(alias="from", description="First day, included (UTC).", examples=["2026-01-01"])
    to: Day = Field(description="Last day, included (UTC).", examples=["2026-01-31"])
    metrics: list[Annotated[str, Field(json_schema_extra={"enum": list(NUMBER_OF)})]] | None = Field(
        None, description="Of rollups: these metrics only.", examples=[["latency_ms"]], max_length=len(NUMBER_OF)
    )


class Backfill(BaseModel):
    """A requested recomputation and how far it is."""

    model_config = ConfigDict(populate_by_name=True)

    request_id: UUID
    table: str
    from_: date = Field(alias="from")
    to: date
    requested_by: str
    requested_at: datetime
    state: BackfillState = Field(description="`cancelling`: whoever runs it has been told to stop, or not to begin.")
    run_id: str | None
    finished_at: datetime | None
    days_done: int = Field(description="Days computed so far; a table that is computed in one piece has 0 until then.")
    days: int = Field(description="Days from the first to the last.")
    metrics: list[str] | None = Field(description="The metrics that are recomputed; null: all of them.")


class Health(BaseModel):
    """The process lives."""

    status: Literal["alive"]


class Readiness(BaseModel):
    """Whether requests can be answered, and if not, why."""

    ready: bool
    reasons: list[str]
