"""What may stand behind the question mark: filters, times and pages, validated and documented in one place.

Belongs here: types of query parameters. Does not: reading anything with them.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, Final, Literal

from fastapi import Request
from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, WithJsonSchema

from api.problems import Problem
from lah_platform.events.envelope import EventType, Severity
from lah_platform.rollups.metrics import MEASURES, METRICS, metric
from lah_platform.rollups.windows import WINDOWS, window

__all__ = [
    "BackfillFilter",
    "CheckFilter",
    "CostFilter",
    "Day",
    "DeadLetterFilter",
    "EventFilter",
    "LineageOf",
    "METRIC_NAMES",
    "MetricFilter",
    "Note",
    "Paging",
    "PriceFilter",
    "ReportFilter",
    "Text",
    "TimeRange",
    "WINDOW_NAMES",
    "Within",
    "listed",
    "refuse_unknown_parameters",
    "within",
]

WINDOW_NAMES: Final = [*(each.name for each in WINDOWS), "1mo"]
METRIC_NAMES: Final = [each.name for each in METRICS]
_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_MAX_TEXT_CHARS = 512
_MAX_TAGS = 8


def _instant(value: Any) -> datetime:
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str) or not _RFC_3339.fullmatch(value):
        hint = " (in an address, + is written %2B)" if isinstance(value, str) and " " in value else ""
        raise ValueError(f"is not a time like 2026-01-31T09:00:00Z{hint}")
    try:
        return datetime.fromisoformat(value.upper()).astimezone(UTC)
    except OverflowError as error:
        raise ValueError("is outside the calendar") from error


def _day(value: Any) -> date:
    if isinstance(value, date):
        return value
    if not isinstance(value, str) or not _DAY.fullmatch(value):
        raise ValueError("is not a day like 2026-01-31")
    return date.fromisoformat(value)


def _storable(value: str) -> str:
    if "\0" in value:
        raise ValueError("holds a NUL character")
    return value


def _measures(value: str) -> str:
    for name in value.split(","):
        if name not in MEASURES:
            raise ValueError(f"no measure is called {name!r}: use some of {', '.join(MEASURES)}")
    return value


def listed(names: Iterable[str]) -> dict[str, Any]:
    """What a schema says of some of the names, comma-separated."""
    some = "|".join(names)
    return {"pattern": f"^({some})(,({some}))*$"}


def _tag(value: str) -> str:
    if ":" not in value:
        raise ValueError(f"{value!r} does not read name:value")
    return _storable(value)


Instant = Annotated[datetime, BeforeValidator(_instant), WithJsonSchema({"type": "string", "format": "date-time"})]
Day = Annotated[date, BeforeValidator(_day), WithJsonSchema({"type": "string", "format": "date"})]
Text = Annotated[
    str, Field(max_length=_MAX_TEXT_CHARS, json_schema_extra={"pattern": r"^[^\u0000]*$"}), AfterValidator(_storable)
]
Note = Annotated[str, Field(max_length=1000, json_schema_extra={"pattern": r"^[^\u0000]*$"}), AfterValidator(_storable)]
Tag = Annotated[
    str,
    Field(max_length=_MAX_TEXT_CHARS, json_schema_extra={"pattern": r"^[^\u0000]*:[^\u0000]*$"}),
    AfterValidator(_tag),
]
WindowName = Annotated[
    str,
    AfterValidator(lambda name: window(name).name),
    Field(json_schema_extra={"enum": WINDOW_NAMES}),
]
MetricName = Annotated[
    str,
    AfterValidator(lambda name: metric(name).name),
    Field(json_schema_extra={"enum": METRIC_NAMES}),
]

_FROM = "Start, included: RFC 3339 with an offset."
_TO = "End, excluded: RFC 3339 with an offset."


class Paging(BaseModel):
    """Answers come in pages, each naming the next."""

    limit: int = Field(100, ge=1, le=1000, description="Rows in a page.", examples=[50])
    cursor: str | None = Field(None, max_length=2048, description="`next_cursor` of the page before.")


class TimeRange(Paging):
    """A half-open range of time, [from, to)."""

    from_: Instant | None = Field(None, alias="from", description=_FROM, examples=["2026-01-01T00:00:00Z"])
    to: Instant | None = Field(None, description=_TO, examples=["2026-02-01T00:00:00Z"])


class TagFilter(BaseModel):
    """Filters by tags."""

    tag: list[Tag] = Field([], max_length=_MAX_TAGS, description="`name:value`; several must all match.")

    @property
    def tags_json(self) -> str | None:
        """The tags as a JSON object for containment."""
        return json.dumps(dict(tag.split(":", 1) for tag in self.tag)) if self.tag else None


class EventFilter(TimeRange, TagFilter):
    """Which events."""

    type: EventType | None = Field(None, description="`event_type`.", examples=["telemetry"])
    subtype: Text | None = Field(None, description="Such as `latency` or `token_cost`.", examples=["token_usage"])
    model: Text | None = Field(None, description="`model_id` of the payload.", examples=["gpt-4o"])
    severity: Severity | None = Field(None, description="This severity or a higher one.", examples=["info"])
    correlation_id: str | None = Field(
        None, pattern=r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$", description="Events of one operation."
    )


class Dimensions(BaseModel):
    """Filters by dimension. An empty value (`team=`) means rows without that dimension."""

    model: Text | None = Field(None, description="Model id.", examples=["gpt-4o"])
    environment: Text | None = Field(None, description="Such as `production`.", examples=["production"])
    service: Text | None = Field(None, description="Tag `service`.")
    team: Text | None = Field(None, description="Tag `team`.")


class MetricFilter(TimeRange, Dimensions, TagFilter):
    """Which rollup rows. Only tags that LAH_SERIES_TAGS names tell series apart."""

    window: WindowName = Field(description="Size of bucket; `1M` (or `1mo`) is the month.", examples=["1h"])
    metric: MetricName = Field(description="What is measured.", examples=["latency_ms"])
    live: bool = Field(False, description="Minutes as they stand, unmerged partials included.")
    type: EventType | None = Field(None, description="`event_type`.", examples=["telemetry"])
    subtype: Text | None = Field(None, description="Subtype of the events.")
    region: Text | None = Field(None, description="Tag `region`.")
    source_module: Text | None = Field(None, description="Which producer sent the events.")
    provider: Text | None = Field(None, description="Who serves the model: of the payload, else tag `provider`.")
    measures: Annotated[str, AfterValidator(_measures)] = Field(
        ",".join(MEASURES),
        description="Comma-separated.",
        examples=["count,avg,p95"],
        json_schema_extra=listed(MEASURES),
    )


class LineageOf(BaseModel):
    """Which number."""

    window: WindowName = Field(description="Size of bucket; `1M` (or `1mo`) is the month.", examples=["1h"])
    metric: MetricName = Field(description="What is measured.", examples=["latency_ms"])
    series_id: int = Field(ge=1, lt=2**63, description="The row's `series_id`.", examples=["15"])
    bucket_start: Annotated[
        datetime,
        BeforeValidator(_instant),
        WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2026-01-31T08:00:00Z"]}),
    ] = Field(description="Any time in the bucket.")


class CostFilter(Paging, Dimensions):
    """Which days and dimensions."""

    from_: Day | None = Field(None, alias="from", description="First day, included (UTC).", examples=["2026-01-01"])
    to: Day | None = Field(None, description="Last day, included (UTC).", examples=["2026-01-31"])


class PriceFilter(Paging):
    """Which prices."""

    on: Day | None = Field(
        None, description="In force on this day (UTC); without it all of all times.", examples=["2026-01-31"]
    )
    provider: Text | None = Field(None, description="Who sells it.", examples=["openai"])
    model: Text | None = Field(None, description="Model id.", examples=["gpt-4o"])


class ReportFilter(Paging):
    """Which reports."""

    name: Text | None = Field(None, description="Name of the framework.", examples=["soc2"])


class BackfillFilter(Paging):
    """Which recomputations."""

    table: Text | None = Field(None, description="What is recomputed.", examples=["cost_daily"])
    state: Literal["requested", "started", "cancelling", "succeeded", "failed", "cancelled"] | None = Field(
        None, description="How it stands."
    )


class CheckFilter(Paging):
    """Which checks."""

    asset: Text | None = Field(None, description="Asset that is checked.", examples=["events"])


class DeadLetterFilter(Paging):
    """Which dead letters."""

    code: Text | None = Field(None, description="Code of the rejection.", examples=["invalid_field"])


@dataclass(frozen=True)
class Within:
    """A resolved range of time, UTC, half-open."""

    from_: datetime
    to: datetime


def within(asked: TimeRange, now: datetime, lookback: timedelta, ahead: timedelta = timedelta(0)) -> Within:
    """The range asked for; what is missing is filled in so that it ends at `now` + `ahead` and spans `lookback`.

    Raises Problem when it ends before it begins.
    """
    to = asked.to or max(now + ahead, asked.from_ or now)
    try:
        from_ = asked.from_ or (to - lookback if asked.to else now - lookback)
    except OverflowError as error:
        raise Problem("invalid-parameter", "to is outside the calendar", field="to") from error
    if from_ > to:
        raise Problem("invalid-parameter", "`from` is later than `to`", field="from")
    return Within(from_, to)


async def refuse_unknown_parameters(request: Request) -> None:
    """A misspelt filter would otherwise answer with everything: a parameter that is not documented is refused."""
    route = request.scope["route"]
    known: frozenset[str] = request.app.state.query_parameters.get((request.method, route.path), frozenset())
    for name in request.query_params:
        if name not in known:
            allowed = f"This address takes {', '.join(sorted(known))}" if known else "This address takes no parameters"
            raise Problem("invalid-parameter", f"There is no parameter {name!r}", field=name, advice=allowed)
