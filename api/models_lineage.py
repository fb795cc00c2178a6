"""Answers about where a number comes from.

The conventions are those of `api/models.py`.
"""

from datetime import date, datetime

from pydantic import BaseModel, Field

from api.models import Exact

__all__ = ["NumberLineage"]


class Number(BaseModel):
    """The number as it stands."""

    bucket_start: datetime
    bucket_end: datetime
    tenant: str
    series_id: int
    metric: str
    count: int
    sum: Exact | None
    avg: float
    revision: int = Field(description="How often the bucket was changed.")
    computed_at: datetime
    is_final: bool


class ShorterWindow(BaseModel):
    """The rows of a shorter window that went into it."""

    window: str
    rows: int
    values: int = Field(description="Values counted in them: as many as in the number.")
    newest_revision: int | None
    computed_at: datetime | None


class EventSource(BaseModel):
    """Events of one partition of the log that carry the metric."""

    topic: str
    partition: int
    first_offset: int
    last_offset: int
    events: int
    first_received_at: datetime
    last_received_at: datetime


class ArchiveFile(BaseModel):
    """A file of the archive that holds one of the bucket's days."""

    day: date
    path: str = Field(description="Relative to the archive's folder.")
    sha256: str
    row_count: int
    verified_at: datetime
    dropped_at: datetime | None = Field(description="When the day left PostgreSQL; null: it is there still.")


class NumberLineage(BaseModel):
    """What a number was made from."""

    window: str
    number: Number
    made_from: list[ShorterWindow] = Field(description="From the window it is merged from down to the minute.")
    events: list[EventSource] = Field(description="The events in PostgreSQL.")
    archive_files: list[ArchiveFile]
    waiting_values: int = Field(description="Values of the bucket that landed and wait to be merged.")
    is_explained: bool | None = Field(
        description="Whether its events add up to its count; null while values wait or events are in the archive only."
    )
