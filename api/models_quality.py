"""Questions about data quality, and answers. The conventions are those of `api/models.py`."""

from datetime import date, datetime
from typing import Annotated, Any

from pydantic import BaseModel, Field, WithJsonSchema

from api.parameters import Day, Instant, Paging, Text, TimeRange

__all__ = [
    "FailingRows",
    "HistoryFilter",
    "PastVerdict",
    "QualityScore",
    "RowsFilter",
    "ScoreFilter",
    "Suspect",
    "SuspectFilter",
]


def _as_in(example: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "format": "date-time", "examples": [example]})


class HistoryFilter(TimeRange):
    """Which verdicts."""

    asset: Text | None = Field(None, description="Asset that is checked.", examples=["events"])
    check_name: Text | None = Field(None, description="Name of the check.")
    passed: bool | None = Field(None, description="Only those that passed, or only those that did not.")


class RowsFilter(BaseModel):
    """Which failing rows."""

    from_: Annotated[Instant, _as_in("2026-01-31T00:00:00Z")] = Field(
        alias="from", description="Start, included: RFC 3339 with an offset."
    )
    to: Annotated[Instant, _as_in("2026-02-01T00:00:00Z")] = Field(description="End, excluded, at most a day later.")
    limit: int = Field(100, ge=1, le=1000, description="Rows at most.", examples=[50])


class ScoreFilter(Paging):
    """Which days."""

    from_: Day | None = Field(None, alias="from", description="First day, included (UTC).", examples=["2026-01-01"])
    to: Day | None = Field(None, description="Last day, included (UTC).", examples=["2026-01-31"])


class SuspectFilter(TimeRange):
    """Which suspect windows."""

    is_open: bool | None = Field(None, description="Suspect now, or cleared since.")


class PastVerdict(BaseModel):
    """One verdict of one check."""

    check_id: int
    tenant: str = Field(description="Whose rows are counted; `*`: everyone's.")
    asset: str
    check_name: str
    checked_at: datetime
    severity: str
    blocking: bool
    passed: bool = Field(description="Whether none of the caller's rows failed.")
    checked_rows: int | None = Field(description="Of the caller's tenant; null: the verdict is about all tenants.")
    failed_rows: int | None
    advice: str
    period_from: datetime | None
    period_to: datetime | None
    run_id: str | None


class FailingRows(BaseModel):
    """Rows that fail a check now: their keys, and the columns that tell why."""

    items: list[dict[str, Any]]
    is_complete: bool = Field(description="Whether these are all; else there are more than `limit`.")
    what_to_do: str


class QualityScore(BaseModel):
    """How far a tenant's day can be believed."""

    day: date
    tenant: str
    score: float = Field(description="0 to 100; docs/quality.md has the definition.")
    checks: int
    failed_checks: int
    checked_rows: int
    failed_rows: int
    computed_at: datetime


class Suspect(BaseModel):
    """Windows of one series and metric that failed a check."""

    suspect_id: int
    tenant: str
    series_id: int
    metric: str
    window: str
    period_from: datetime
    period_to: datetime
    asset: str
    check_name: str
    advice: str
    since: datetime
    cleared_at: datetime | None = Field(description="When a later check passed them; null: they are suspect.")
