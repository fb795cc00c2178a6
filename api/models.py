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
    "Anomaly",
    "BatchAnswer",
    "Correlation",
    "CostRow",
    "EventAnswer",
    "EventRow",
    "EventWithConflicts",
    "Forecast",
    "ForecastModel",
    "ForecastOutlook",
    "Incident",
    "IncidentDetail",
    "ItemAnswer",
    "MetricPage",
    "MetricRow",
    "Page",
    "RangePage",
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


class Forecast(SeriesDimensions):
    """One forecast value with its prediction interval."""

    tenant: str
    series_id: int
    metric: str
    window: str
    method: str
    target_start: datetime
    trained_through: datetime
    value: float
    lower: float
    upper: float
    level: float = Field(description="Share of outcomes that `lower` and `upper` should hold.")
    lower_80: float | None = Field(description="With `upper_80`: should hold 80 % of outcomes.")
    upper_80: float | None
    backtest_wape: float | None = Field(description="Weighted absolute percentage error of the backtest.")
    computed_at: datetime


class ForecastModel(SeriesDimensions):
    """What one forecast was made of, its backtest, and how it came out. Errors are shares: 0.1 is 10 %."""

    tenant: str
    series_id: int
    metric: str
    window: str
    method: str
    trained_through: datetime
    horizon: int
    weights: dict[str, float] = Field(description="What each member counts in the weighted median.")
    origins: int
    backtest_mape: float | None
    backtest_smape: float | None
    backtest_wape: float | None
    backtest_mase: float | None
    naive_wape: float | None = Field(description="WAPE of the better seasonal naive method in the backtest.")
    forecastability: float | None = Field(description="1 less the spectral entropy: 0 is noise.")
    is_forecastable: bool | None = Field(description="Whether the backtest's MAPE is 12 % or less.")
    verdict: str
    computed_at: datetime
    judged_buckets: int = Field(description="How many of the forecast buckets have come about.")
    mape: float | None
    smape: float | None
    wape: float | None
    mase: float | None
    coverage_80: float | None
    coverage_95: float | None
    judged_at: datetime | None


class ForecastTotal(BaseModel):
    """A sum over all buckets: the mean, the median, and what should hold 80 and 95 % of outcomes."""

    mean: float
    median: float
    lower_80: float
    upper_80: float
    lower: float
    upper: float


class ReachedBy(BaseModel):
    """The chance that the limit is reached by the end of a bucket."""

    target_start: datetime
    probability: float


class SeriesSummed(BaseModel):
    """How many series of a tenant are in a sum."""

    tenant: str
    series: int


class ForecastOutlook(BaseModel):
    """What forecasts sum up to, and when a limit is reached."""

    metric: str
    window: str
    from_: datetime = Field(alias="from")
    to: datetime
    summed: list[SeriesSummed]
    trained_through: datetime = Field(description="The earliest of their origins.")
    forecast_until: datetime = Field(description="How far the forecasts reach; before `to` where that is later.")
    already: float = Field(description="What there was before the first forecast bucket.")
    limit: float
    probability: float = Field(description="That the limit is reached before `to` and `forecast_until`.")
    earliest: datetime | None = Field(description="The bucket by which one path in ten has reached it.")
    likely: datetime | None = Field(description="The bucket by which half of all paths have reached it.")
    total: ForecastTotal
    reached_by: list[ReachedBy]


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
