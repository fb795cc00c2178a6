"""Answers about deliveries. The conventions are those of `api/models.py`."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, Field

__all__ = ["Delivery"]


class Delivery(BaseModel):
    """One document of a report on its way to one target."""

    delivery_id: UUID = Field(description="What the receiver tells repeats by: Idempotency-Key, webhook-id.")
    report_id: UUID
    report: str
    document: Literal["html", "pdf", "json", "csv", "signature"]
    tenant: str
    target: str | None = Field(None, description="The target's name; for an operator.")
    kind: Literal["folder", "store", "webhook"]
    state: Literal["waiting", "sending", "delivered", "failed"] = Field(description="failed: given up.")
    attempts: int
    last_error: str | None = Field(None, description="Why the last attempt failed; for an operator.")
    requested_at: datetime
    next_attempt_at: datetime | None
    delivered_at: datetime | None
    sha256: str | None = Field(description="Of the bytes that were delivered.")
