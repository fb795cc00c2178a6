"""What becomes of prompts and completions, and one event in the clear for those who may read personal data."""

from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import Depends, FastAPI, Path, Query

from api.access import Caller
from api.bodies import Body, read_json
from api.examples import CONTENT_POLICY, EVENT_ID
from api.models_privacy import ClearEvents, ContentPolicies, ContentPolicy, ContentPolicyRequest
from api.openapi import json_body
from api.problems import Problem
from api.retention import tenant_asked
from api.services import Services, services_of
from lah_platform.errors import ConfigurationError
from lah_platform.stores.content_policies import policies, set_policy
from lah_platform.stores.reveal import reveal_event

__all__ = ["add_routes"]

_POLICIES: Final = "/api/v1/privacy/content-policies"
_CLEAR: Final = "/api/v1/events/{event_id}/personal"
_Services = Annotated[Services, Depends(services_of)]


def list_policies(caller: Caller, services: _Services) -> dict[str, Any]:
    """What was chosen for your tenant; an operator sees all. Without a choice contents are kept, encrypted."""
    with services.pool.connection() as connection:
        return {"items": [row._asdict() for row in policies(connection, caller.tenant)]}


def choose_policy(caller: Caller, services: _Services, body: Body) -> dict[str, Any]:
    """Choose what becomes of prompts and completions that land from now on; what landed before stays as it is."""
    asked = read_json(ContentPolicyRequest, body)
    tenant = tenant_asked(caller, asked.tenant)
    with services.pool.connection() as connection:
        try:
            return set_policy(connection, tenant, asked.policy, actor=caller.actor)._asdict()
        except ConfigurationError as error:
            raise Problem("invalid-parameter", error.message, field="policy", advice=error.advice) from error


def read_personal(
    caller: Caller,
    services: _Services,
    event_id: Annotated[UUID, Path(description="The event's id.", examples=[EVENT_ID])],
    purpose: Annotated[
        str | None,
        Query(
            min_length=1,
            max_length=200,
            pattern=r"^[^\u0000]*$",
            description="What for: persons who have not agreed to it stay closed. Left out: not by consent.",
        ),
    ] = None,
) -> dict[str, Any]:
    """One event's tags and payload as they were sent, persons named; each reading is in the audit log.

    Fields of an erased person read `(erased)`, for a purpose those of a person without consent `(no consent)`.
    """
    with services.pool.connection() as connection:
        found = reveal_event(connection, services.keys, caller.tenant, event_id, actor=caller.actor,
                             purpose=purpose, now=services.clock())  # fmt: skip
    if not found:
        raise Problem("not-found", f"There is no event {event_id}", field="event_id", advice="Is its day archived?")
    return {"items": [event._asdict() for event in found]}


def add_routes(app: FastAPI) -> None:
    """Policies of contents, and the reading of personal data."""
    app.add_api_route(_POLICIES, list_policies, methods=["GET"], tags=["rights"], response_model=ContentPolicies)
    app.add_api_route(
        _POLICIES,
        choose_policy,
        methods=["POST"],
        tags=["rights"],
        response_model=ContentPolicy,
        openapi_extra=json_body("Whose, and what.", ContentPolicyRequest.model_json_schema(), CONTENT_POLICY),
    )
    app.add_api_route(_CLEAR, read_personal, methods=["GET"], tags=["rights"], response_model=ClearEvents)
