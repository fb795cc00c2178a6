"""What persons agreed to: recorded, asked for, withdrawn in one call."""

from typing import Annotated, Any, Final

from fastapi import Depends, FastAPI, status

from api.access import Caller
from api.bodies import Body, read_json
from api.examples import CONSENT, PERSON, WITHDRAWAL
from api.models_subjects import Consent, ConsentRequest, Consents, PersonRequest, WithdrawalRequest
from api.openapi import json_body
from api.persons import told_of_persons
from api.problems import Problem
from api.retention import tenant_asked
from api.services import Services, services_of
from lah_platform.errors import ConfigurationError
from lah_platform.stores.consents import collect_consents, consents_of, record_consent, withdraw
from lah_platform.stores.erasure import known_subject

__all__ = ["add_routes"]

_PATH: Final = "/api/v1/consents"
_Services = Annotated[Services, Depends(services_of)]


def enter_consent(caller: Caller, services: _Services, body: Body) -> dict[str, Any]:
    """Record that a person agreed to a purpose. Privacy events that update consent are recorded by themselves."""
    asked = read_json(ConsentRequest, body)
    tenant = tenant_asked(caller, asked.tenant)
    with told_of_persons(services) as (connection, parts):
        subject = known_subject(connection, parts.keys, tenant, asked.asked)
        try:
            return record_consent(
                connection,
                tenant,
                subject.subject_id,
                asked.purpose,
                is_granted=True,
                given_at=asked.given_at or services.clock(),
                source=asked.source,
                actor=caller.actor,
            )
        except ConfigurationError as error:
            field = "source" if "source" in error.message else "purpose"
            raise Problem("invalid-parameter", error.message, field=field, advice=error.advice) from error


def withdraw_consents(caller: Caller, services: _Services, body: Body) -> dict[str, Any]:
    """Withdraw everything a person agreed to, or one purpose; it holds from now on. Returns what was written."""
    asked = read_json(WithdrawalRequest, body)
    tenant = tenant_asked(caller, asked.tenant)
    with told_of_persons(services) as (connection, parts):
        subject = known_subject(connection, parts.keys, tenant, asked.asked)
        try:
            made = withdraw(
                connection,
                tenant,
                subject.subject_id,
                asked.purpose,
                now=services.clock(),
                source="rest",
                actor=caller.actor,
            )
        except ConfigurationError as error:
            raise Problem("invalid-parameter", error.message, field="purpose", advice=error.advice) from error
    return {"items": made}


def list_consents(caller: Caller, services: _Services, body: Body) -> dict[str, Any]:
    """Everything a person agreed to or withdrew, by event or by entry, oldest first."""
    asked = read_json(PersonRequest, body)
    tenant = tenant_asked(caller, asked.tenant)
    with told_of_persons(services) as (connection, parts):
        subject = known_subject(connection, parts.keys, tenant, asked.asked)
        collect_consents(connection, services.clock())
        return {"items": consents_of(connection, tenant, subject.subject_id)}


def add_routes(app: FastAPI) -> None:
    """Consents."""
    app.add_api_route(
        _PATH,
        enter_consent,
        methods=["POST"],
        tags=["rights"],
        response_model=Consent,
        status_code=status.HTTP_201_CREATED,
        openapi_extra=json_body("Who agreed to what.", ConsentRequest.model_json_schema(), CONSENT),
    )
    app.add_api_route(
        f"{_PATH}/query",
        list_consents,
        methods=["POST"],
        tags=["rights"],
        response_model=Consents,
        openapi_extra=json_body("Whose.", PersonRequest.model_json_schema(), PERSON),
    )
    app.add_api_route(
        f"{_PATH}/withdraw",
        withdraw_consents,
        methods=["POST"],
        tags=["rights"],
        response_model=Consents,
        openapi_extra=json_body("Who withdraws what.", WithdrawalRequest.model_json_schema(), WITHDRAWAL),
    )
