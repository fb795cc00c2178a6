"""What answers look like on the wire.

Conventions, everywhere: times are RFC 3339 in UTC with `Z`; money and exact sums are decimal strings, never floats;
ids are UUIDs; an absent dimension is an empty string; lists come as `items` with `next_cursor`.
"""

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Generic, Literal, TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, WithJsonSchema

__all__ = [
    "BatchAnswer",
    "CostRow",
    "EventAnswer",
    "EventRow",
    "EventWithConflicts",
    "ItemAnswer",
    "MetricPage",
    "MetricRow",
    "Page",
    "Price",
    "RangePage",
    "SeriesDimensions",
    "Usd",
    "Watermarks",
]


def _plain(value: Decimal) -> str:
    return f"{value:f}"  # str() would write small amounts as 1E-12


def _shortest(value: Decimal) -> str:
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


_DECIMAL_SCHEMA = WithJsonSchema({"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]+)?$"}, mode="serialization")
Usd = Annotated[Decimal, PlainSerializer(_plain, return_type=str), _DECIMAL_SCHEMA]
Exact = Annotated[Decimal, PlainSerializer(_shortest, return_type=str), _DECIMAL_SCHEMA]

T = TypeVar("T")


class Page(BaseModel, Generic[T]):
    """Rows and the way to the next ones."""

    items: list[T]
    next_cursor: str | None = Field(description="Pass it as `cursor` for the next page; null: this was the last.")


class RangePage(Page[T], Generic[T]):
    """A page of a range of time, with the range that was used."""

    model_config = ConfigDict(populate_by_name=True)

    from_: datetime = Field(alias="from", description="Start of the range, included.")
    to: datetime = Field(description="End of the range, excluded.")


_RETRY_SAFE = "Whether sending it again is safe; false where the id was assigned without an `Idempotency-Key`."


class ItemAnswer(BaseModel):
    """What became of one submitted event."""

    status: Literal["queued", "stored", "duplicate", "rejected"] = Field(
        description="`queued`: acknowledged by the broker; `stored`, `duplicate`: committed; `rejected`: kept as a "
        "dead letter, not as an event."
    )
    event_id: str | None = Field(
        None, description="The event's id, assigned where it was missing; absent if unreadable."
    )
    retry_safe: bool | None = Field(None, description=_RETRY_SAFE)
    code: str | None = Field(None, description="Why it was rejected, as a code.")
    field: str | None = Field(None, description="The field that is at fault; `$` is the whole event.")
    reason: str | None = Field(None, description="Why it was rejected, in words.")


class EventAnswer(BaseModel):
    """What became of the submitted event."""

    status: Literal["queued", "stored", "duplicate"]
    event_id: str = Field(description="The event's id, assigned where it was missing.")
    retry_safe: bool = Field(description=_RETRY_SAFE)


class BatchAnswer(BaseModel):
    """What became of each event of a batch, in the order of the batch."""

    accepted: int = Field(description="How many were queued, stored, or known already.")
    rejected: int
    items: list[ItemAnswer]


class EventPayload(BaseModel):
    """The payload as it was sent."""

    payload_type: str
    data: dict[str, Any]


class EventRow(BaseModel):
    """One stored event, in the flat spelling."""

    event_id: UUID
    timestamp: datetime
    tenant: str
    source_module: str
    event_type: str
    subtype: str
    severity: str
    environment: str
    schema_version: str
    correlation_id: UUID | None
    parent_event_id: UUID | None
    tags: dict[str, str]
    payload: EventPayload
    received_at: datetime


class EventWithConflicts(EventRow):
    """One stored event, and where else its id was used."""

    same_id_at: list[datetime] = Field(
        description="Other timestamps under which the same id is stored: a producer's mistake, kept visible."
    )


class SeriesDimensions(BaseModel):
    """What a series is about; null only where the series was erased."""

    event_type: str | None
    subtype: str | None
    model: str | None
    environment: str | None
    service: str | None
    region: str | None
    team: str | None


class Measures(BaseModel):
    """The measures asked for that mean something for the metric's kind; stddev is null below two values."""

    count: int | None = None
    sum: Exact | None = Field(None, description="Exact for counts, tokens and money; else to 15 digits.")
    avg: float | None = None
    min: float | None = None
    max: float | None = None
    stddev: float | None = None
    p50: float | None = Field(None, description="Nearest rank, at most 1.09 % off.")
    p95: float | None = None
    p99: float | None = None


class MetricRow(SeriesDimensions):
    """One bucket of one series."""

    bucket_start: datetime
    bucket_end: datetime
    tenant: str
    series_id: int
    source_module: str = Field(description="Which producer sent the events.")
    provider: str
    tags: dict[str, str] = Field(description="Those of the tags that tell series apart here.")
    metric: str
    measures: Measures
    revision: int = Field(description="How often the bucket was changed.")
    computed_at: datetime
    is_final: bool = Field(description="Whether the watermark has passed the bucket's end.")
    is_live: bool = Field(description="Whether it holds what no tick has merged yet.")
    is_suspect: bool = Field(description="Whether it, or what it was made of, failed a check: see /api/v1/suspects.")


class MetricPage(RangePage[MetricRow]):
    """Buckets of one metric at one window."""

    window: str
    metric: str
    unit: str
    kind: str = Field(description="counter, gauge, histogram or summary.")


class Watermark(BaseModel):
    """How far one tenant is at one window."""

    tenant: str
    window: str
    final_before: datetime | None = Field(description="Buckets that end at or before it are final; null: none yet.")
    newest_bucket: datetime | None = Field(description="Start of the newest bucket that is written; null: none yet.")
    pending_partials: int = Field(description="Partials that no tick has merged yet.")
    oldest_pending_minute: datetime | None = Field(description="The earliest minute of those; null: none waits.")


class Watermarks(BaseModel):
    """How far everything is."""

    items: list[Watermark]


class Price(BaseModel):
    """What a model's tokens cost from one moment to another, in USD a million tokens."""

    model: str
    provider: str
    valid_from: datetime = Field(description="From this moment on.")
    valid_to: datetime | None = Field(description="Up to this moment; null: until another price follows.")
    input_usd_per_mtok: Usd
    cache_read_usd_per_mtok: Usd | None = Field(description="Null: as input.")
    cache_write_usd_per_mtok: Usd | None = Field(description="Null: as input.")
    output_usd_per_mtok: Usd
    source: str = Field(description="Where the price comes from.")


class CostRow(BaseModel):
    """One day's cost of one combination of dimensions."""

    day: date
    tenant: str
    model: str
    environment: str
    service: str
    team: str
    requests: int
    input_tokens: int
    input_fresh_tokens: int
    input_cache_read_tokens: int
    input_cache_write_tokens: int
    input_unknown_tokens: int
    output_tokens: int
    reported_usd: Usd = Field(description="What producers said.")
    priced_usd: Usd | None = Field(description="The same requests at the price book's prices of their time.")
    unpriced_requests: int
    other_usd: Usd = Field(description="`api_cost` and `resource_consumption`.")
    computed_at: datetime
