"""Submitting events, one or many: what is good goes through the door, what is not is told to the caller and kept.

Belongs here: HTTP's side of it. What is valid is the events room's to say, the REST dialect is `ingress/rest.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Final

import msgspec
from fastapi import Depends, FastAPI, Header, Response, status

from api.access import Caller
from api.bodies import Submission
from api.examples import BATCH, EVENTS
from api.models import BatchAnswer, EventAnswer, ItemAnswer
from api.openapi import EVENT_SCHEMA, json_body
from api.problems import Problem
from api.services import Services, services_of
from lah_platform.events.envelope import DEFAULT_TENANT
from lah_platform.events.rejection import Rejection
from lah_platform.ingress.refused import refused_record, sent_event_id, sent_tenant
from lah_platform.ingress.rest import RestItem, rest_item
from lah_platform.stores.keys import EVERY_TENANT

__all__ = ["add_routes"]

_MAX_KEY_CHARS: Final = 255
_ITEMS = msgspec.json.Decoder(list[msgspec.Raw])

IdempotencyKey = Annotated[
    str | None,
    Header(
        max_length=_MAX_KEY_CHARS,
        description="Makes a retry safe where an event has no `event_id`: ids are derived from this key and the "
        "event's place in the batch. Without it such an id is new at every try.",
    ),
]


@dataclass(frozen=True)
class _Item:
    """One item with what REST made of it and the message that stands for it."""

    sent: bytes
    read: RestItem | Rejection
    record: bytes


def submit_event(
    caller: Caller,
    services: Annotated[Services, Depends(services_of)],
    body: Submission,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> EventAnswer:
    """Submit one event, in the flat or the nested spelling.

    202 when the broker has acknowledged it, 200 when it is committed. An event that cannot be stored is kept as a dead
    letter and answered with 422, naming field and reason.
    """
    (answer,) = _submit(services, caller.tenant, [body], idempotency_key, response)
    if answer.status == "rejected" or answer.event_id is None:
        fault = {name: str(value) for name, value in answer.model_dump(exclude_none=True).items() if name != "status"}
        raise Problem("invalid-event", f"{answer.field}: {answer.reason}", field=answer.field, errors=[fault])
    return EventAnswer(status=answer.status, event_id=answer.event_id, retry_safe=bool(answer.retry_safe))


def submit_batch(
    caller: Caller,
    services: Annotated[Services, Depends(services_of)],
    body: Submission,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> BatchAnswer:
    """Submit a JSON array of events; each is answered on its own, in order, and a bad one does not stop the others.

    202 when the broker has acknowledged them, 200 when they are committed.
    """
    try:
        items = [bytes(item) for item in _ITEMS.decode(body)]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Problem("malformed-body", f"The body is not a JSON array: {error}") from error
    if not items:
        raise Problem("invalid-parameter", "The array is empty", field="body", advice="Send at least one event")
    if len(items) > services.max_batch_items:
        raise Problem("too-large", f"A batch may have at most {services.max_batch_items} events, this has {len(items)}")
    answers = _submit(services, caller.tenant, items, idempotency_key, response)
    rejected = sum(answer.status == "rejected" for answer in answers)
    return BatchAnswer(accepted=len(answers) - rejected, rejected=rejected, items=answers)


def add_routes(app: FastAPI) -> None:
    """The two submitting routes."""
    accepted = "Acknowledged by the broker; landing stores it in a moment."
    app.add_api_route(
        "/api/v1/events",
        submit_event,
        methods=["POST"],
        tags=["events"],
        response_model=EventAnswer,
        responses={202: {"model": EventAnswer, "description": accepted}},
        openapi_extra=json_body("One event.", EVENT_SCHEMA, EVENTS),
    )
    app.add_api_route(
        "/api/v1/events/batch",
        submit_batch,
        methods=["POST"],
        tags=["events"],
        response_model=BatchAnswer,
        response_model_exclude_none=True,
        responses={202: {"model": BatchAnswer, "description": accepted}},
        openapi_extra=json_body("An array of events.", {"type": "array", "minItems": 1, "items": EVENT_SCHEMA}, BATCH),
    )


def _submit(
    services: Services, tenant: str, items: Sequence[bytes], idempotency_key: str | None, response: Response
) -> list[ItemAnswer]:
    read = [_read(services, tenant, item, index, idempotency_key) for index, item in enumerate(items)]
    # The first event's id as the key: load spreads over the partitions, and a retry goes where it went before
    first = next((str(item.read.event_id) for item in read if isinstance(item.read, RestItem)), "")
    outcomes = services.door.submit([item.record for item in read], first.encode())
    if "queued" in outcomes:
        response.status_code = status.HTTP_202_ACCEPTED
    return [_answer(item, outcome) for item, outcome in zip(read, outcomes, strict=True)]


def _read(services: Services, tenant: str, item: bytes, index: int, idempotency_key: str | None) -> _Item:
    now = services.clock()
    if tenant == EVERY_TENANT:  # an operator speaks for the tenant that the event names, as on Kafka
        tenant = sent_tenant(item) or DEFAULT_TENANT
    read = rest_item(item, tenant=tenant, now=now, index=index, idempotency_key=idempotency_key)
    if isinstance(read, RestItem):
        return _Item(item, read, read.raw)
    return _Item(item, read, refused_record(item, read, tenant=tenant, now=now))


def _answer(item: _Item, outcome: str) -> ItemAnswer:
    read = item.read
    if isinstance(read, Rejection):
        return ItemAnswer(
            status="rejected",
            event_id=sent_event_id(item.sent),
            code=read.code,
            field=read.field,
            reason=read.reason,
        )
    match outcome:
        case "queued" | "stored" | "duplicate":
            return ItemAnswer(status=outcome, event_id=str(read.event_id), retry_safe=read.is_retry_safe)
        case _:
            return ItemAnswer(
                status="rejected",
                event_id=str(read.event_id),
                code="database_rejected",
                field="$",
                reason="the database refuses its content; the dead letter says why",
            )
