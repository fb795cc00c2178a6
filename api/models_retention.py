"""Questions and answers about retention and legal holds.

The conventions are those of `api/models.py`.
"""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from api.parameters import Instant, Note, Text

__all__ = ["Hold", "HoldRequest", "Holds", "RetentionRun", "RetentionRuns", "Rule", "RuleRequest", "Rules"]

RetentionClass = Literal["events", "personal", "dead_letters", "rollups", "signals", "costs", "checks", "reports"]


class RuleRequest(BaseModel):
    """How long what is kept; it takes the place of the rule of the same tenant, class, table and type."""

    model_config = ConfigDict(extra="forbid")

    class_: RetentionClass = Field(alias="class", description="Which rows; `personal`: encrypted content of events.")
    keep_days: int = Field(ge=1, le=36500, description="Whole UTC days that are kept.")
    tenant: Text | None = Field(
        None, max_length=256, description="Whose rows; your own when left out. `*`, an operator's: everyone's."
    )
    table_name: Text = Field("", description="This table of the class only.")
    event_type: Text = Field("", description="Events of this type only.")


class Rule(BaseModel):
    """A rule of retention; the most specific one counts."""

    rule_id: int
    tenant: str = Field(description="Whose rows; `*`: those of every tenant without a rule of its own.")
    class_: str = Field(alias="class")
    table_name: str = Field(description="Empty: every table of the class.")
    event_type: str = Field(description="Empty: every type.")
    keep_days: int
    set_by: str
    set_at: datetime


class Rules(BaseModel):
    """Rules by class."""

    items: list[Rule]


class HoldRequest(BaseModel):
    """What must not be removed, and why. What is left out does not narrow it."""

    model_config = ConfigDict(extra="forbid")

    reason: Note = Field(min_length=1, description="Why, such as the file number of a dispute.")
    tenant: Text | None = Field(
        None, max_length=256, description="Whose rows; your own when left out. `*`, an operator's: everyone's."
    )
    class_: RetentionClass | None = Field(None, alias="class", description="Rows of this class only.")
    event_type: Text = Field("", description="Events of this type only.")
    subject_id: UUID | None = Field(None, description="Rows that tell of this subject only.")
    from_: Instant | None = Field(None, alias="from", description="Rows from this moment on (UTC).")
    to: Instant | None = Field(None, description="Rows before this moment (UTC).")


class Hold(BaseModel):
    """A legal hold."""

    hold_id: int
    tenant: str
    class_: str = Field(alias="class", description="Empty: every class.")
    event_type: str
    subject_id: str | None
    from_at: datetime | None
    to_at: datetime | None = Field(description="Not included.")
    reason: str
    placed_by: str
    placed_at: datetime
    released_by: str | None
    released_at: datetime | None = Field(description="Null: it holds.")


class Holds(BaseModel):
    """Holds, oldest first; released ones too."""

    items: list[Hold]


class RetentionRun(BaseModel):
    """A run of retention that removed something."""

    run_id: str
    started_at: datetime
    finished_at: datetime
    run_by: str
    document: dict[str, Any] = Field(description="The signed receipt; `lah retention verify` checks it.")


class RetentionRuns(BaseModel):
    """Runs, newest first."""

    items: list[RetentionRun]
