"""Reading events: a filtered page of them, and one by its id."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final
from uuid import UUID

import msgspec
from fastapi import Depends, FastAPI, Path, Query, Response
from pydantic import BaseModel, Field

from api.access import Caller
from api.examples import EVENT_ID
from api.formats import JSON, Accepted, documented
from api.lists import in_format, read_page
from api.models import EventRow, EventWithConflicts, RangePage
from api.parameters import EventFilter, Instant, TimeRange, within
from api.problems import Problem
from api.services import Services, services_of
from lah_platform.stores.serving import Row, rows

__all__ = ["add_routes"]

_LOOKBACK: Final = timedelta(days=1)
_SKEW: Final = timedelta(minutes=5)  # producers' clocks may be so far ahead
SEARCH_WINDOW: Final = timedelta(days=30)
UUID7_MARGIN: Final = timedelta(hours=1)
_MAX_SAME_ID: Final = 10
_UUID7 = 7


class IdRange(BaseModel):
    """Where to look for an id."""

    from_: Instant | None = Field(None, alias="from", description="Start of the search, included.")
    to: Instant | None = Field(None, description="End of the search, excluded.")


def list_events(
    caller: Caller,
    services: Annotated[Services, Depends(services_of)],
    asked: Annotated[EventFilter, Query()],
    kind: Accepted,
    response: Response,
) -> Any:
    """Events, newest first; the last 24 hours unless `from` and `to` say otherwise."""
    span = within(asked, services.clock(), _LOOKBACK, _SKEW)
    page = read_page(
        services,
        "events",
        caller,
        asked,
        from_=span.from_,
        to=span.to,
        type=asked.type,
        subtype=asked.subtype,
        model=asked.model,
        severity=asked.severity,
        correlation_id=asked.correlation_id,
        tags=asked.tags_json,
    )
    items = list(map(_event, page.rows))
    content = {"items": items, "next_cursor": page.next_cursor, "from": span.from_, "to": span.to}
    return _json(content, Vary="Accept") if kind is JSON else in_format(kind, content, EventRow, response)


def get_event(
    caller: Caller,
    services: Annotated[Services, Depends(services_of)],
    event_id: Annotated[UUID, Path(description="The event's id.", examples=[EVENT_ID])],
    asked: Annotated[IdRange, Query()],
) -> Response:
    """One event by its id.

    Events are stored by time, so an id alone is looked for in a bounded range: `from` to `to` when given; else around
    the time that a UUIDv7 carries, one hour either way; else the last 30 days.
    """
    now = services.clock()
    made_at = _time_of(event_id)
    if asked.from_ is None and asked.to is None and made_at is not None:
        asked = IdRange(**{"from": made_at - UUID7_MARGIN, "to": made_at + UUID7_MARGIN})
    span = within(TimeRange(**{"from": asked.from_, "to": asked.to}), now, SEARCH_WINDOW, _SKEW)
    with services.pool.connection() as connection:
        found = rows(
            connection,
            "event",
            tenant=caller.tenant,
            event_id=event_id,
            from_=span.from_,
            to=span.to,
            limit=_MAX_SAME_ID,
        )
    if not found:
        raise Problem(
            "not-found",
            f"No event {event_id} from {span.from_.isoformat()} to {span.to.isoformat()}",
            field="event_id",
            advice="Say with `from` and `to` when it happened",
        )
    newest, *others = found
    return _json(_event(newest) | {"same_id_at": [other["timestamp"] for other in others]})


def add_routes(app: FastAPI) -> None:
    """The two reading routes of events."""
    app.add_api_route(
        "/api/v1/events",
        list_events,
        methods=["GET"],
        tags=["events"],
        response_model=RangePage[EventRow],
        responses=documented(has_tag=False),
    )
    app.add_api_route(
        "/api/v1/events/{event_id}", get_event, methods=["GET"], tags=["events"], response_model=EventWithConflicts
    )


def _time_of(event_id: UUID) -> datetime | None:
    """When a UUIDv7 was made (RFC 9562: 48 bits of milliseconds since 1970), UTC; None for other versions."""
    if event_id.version != _UUID7:
        return None
    made_ms = event_id.int >> 80
    try:
        made_at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=made_ms)
        return made_at if (made_at + UUID7_MARGIN) else None
    except OverflowError:
        return None


def _event(row: Row) -> dict[str, Any]:
    """The row as the flat spelling; tags and payload pass as the bytes they are, so no digit of money is lost."""
    payload = {"payload_type": row.pop("payload_type"), "data": msgspec.Raw(row.pop("payload").encode())}
    return {**row, "tags": msgspec.Raw(row.pop("tags").encode()), "payload": payload}


def _json(content: Mapping[str, Any], **headers: str) -> Response:
    return Response(msgspec.json.encode(content), headers=headers, media_type="application/json")
