"""Questions and answers about personal data. The conventions are those of `api/models.py`."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from api.parameters import Text

__all__ = ["ClearEvent", "ClearEvents", "ContentPolicies", "ContentPolicy", "ContentPolicyRequest"]


class ContentPolicyRequest(BaseModel):
    """What becomes of prompts and completions."""

    model_config = ConfigDict(extra="forbid")

    policy: Literal["keep", "hash", "redact", "drop"] = Field(
        description="keep: encrypted; hash: an HMAC; redact: without what has a form, then encrypted; drop: not stored."
    )
    tenant: Text | None = Field(None, max_length=256, description="Whose; your own when left out.")


class ContentPolicy(BaseModel):
    """What was chosen for a tenant."""

    tenant: str
    policy: str
    set_by: str
    set_at: datetime


class ContentPolicies(BaseModel):
    """Choices by tenant."""

    items: list[ContentPolicy]


class ClearEvent(BaseModel):
    """An event's personal columns in the clear."""

    tenant: str
    ts: datetime
    event_id: UUID
    subject_id: UUID | None
    tags: dict[str, Any]
    payload: dict[str, Any]


class ClearEvents(BaseModel):
    """Usually one; several when an id came under several timestamps."""

    items: list[ClearEvent]
