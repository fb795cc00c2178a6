"""Questions and answers about maintenance windows.

The conventions are those of `api/models.py`.
"""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from api.parameters import Instant, Note, Text

__all__ = ["Maintenance", "MaintenanceRequest", "Maintenances"]


class MaintenanceRequest(BaseModel):
    """When nothing is to be told, and of which series."""

    model_config = ConfigDict(extra="forbid")

    from_: Instant = Field(alias="from", description="First moment (UTC).")
    to: Instant = Field(description="End (UTC), not included.")
    tenant: Text | None = Field(
        None, max_length=256, description="Whose series; your own when left out. `*`, an operator's: everyone's."
    )
    model: Text | None = Field(None, description="Series of this model only.")
    reason: Note = Field("", description="What is done.")


class Maintenance(BaseModel):
    """A time in which no anomaly begins."""

    maintenance_id: int
    tenant: str = Field(description="Whose series; `*`: everyone's.")
    model: str | None = Field(description="Series of this model only; null: all.")
    starts_at: datetime
    ends_at: datetime = Field(description="Not included.")
    reason: str
    created_by: str
    created_at: datetime


class Maintenances(BaseModel):
    """Maintenance windows, the next first."""

    items: list[Maintenance]
