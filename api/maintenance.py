"""Maintenance windows: times in which no anomaly is told, entered, seen and taken back.

A tenant's people enter them for that tenant's series; an operator for anyone's, or for everyone's ("*").
"""

from datetime import timedelta
from typing import Annotated, Any, Final

from fastapi import Depends, FastAPI, Path, Query, Response, status

from api.access import Caller
from api.bodies import Body, read_json
from api.examples import MAINTENANCE, MAINTENANCE_ID
from api.models_maintenance import Maintenance, MaintenanceRequest, Maintenances
from api.openapi import json_body
from api.parameters import Instant
from api.problems import Problem
from api.services import Services, services_of
from lah_platform.errors import ConfigurationError
from lah_platform.stores.anomaly_feedback import add_maintenance, maintenance_listed, remove_maintenance

__all__ = ["add_routes"]

_PATH: Final = "/api/v1/anomalies/maintenance"
_LOOKBACK: Final = timedelta(days=7)
_MOST: Final = 1000


def list_maintenance(
    caller: Caller,
    services: Annotated[Services, Depends(services_of)],
    since: Annotated[
        Instant | None,
        Query(description="Windows that end after it; a week ago when left out.", examples=["2026-01-01T00:00:00Z"]),
    ] = None,
) -> dict[str, Any]:
    """Maintenance windows of your series, and those of everyone's, the next first; at most 1,000."""
    after = since or services.clock() - _LOOKBACK
    with services.pool.connection() as connection:
        return {"items": maintenance_listed(connection, after, tenant=caller.tenant, limit=_MOST)}


def enter_maintenance(
    caller: Caller, services: Annotated[Services, Depends(services_of)], body: Body, response: Response
) -> dict[str, Any]:
    """Enter a time in which no anomaly begins. Days that are computed already change when they are computed again."""
    asked = read_json(MaintenanceRequest, body)
    tenant = asked.tenant or caller.tenant
    if tenant != caller.tenant and not caller.is_operator:
        raise Problem(
            "not-permitted",
            "A tenant's key enters maintenance of that tenant's series only",
            field="tenant",
            advice="Leave the tenant out, or use the operator's key",
        )
    with services.pool.connection() as connection:
        try:
            made = add_maintenance(
                connection,
                asked.from_,
                asked.to,
                tenant=tenant,
                model=asked.model,
                reason=asked.reason,
                actor=caller.actor,
            )
        except ConfigurationError as error:
            field = "tenant" if "tenant" in error.message else "to"
            raise Problem("invalid-parameter", error.message, field=field, advice=error.advice) from error
    response.headers["Location"] = f"{_PATH}/{made['maintenance_id']}"
    return made


def take_maintenance_back(
    caller: Caller,
    services: Annotated[Services, Depends(services_of)],
    maintenance_id: Annotated[int, Path(description="Its number.", ge=1, lt=2**63, examples=[MAINTENANCE_ID])],
) -> Response:
    """Take a maintenance window back. Days that are computed already change when they are computed again."""
    with services.pool.connection() as connection:
        if not remove_maintenance(connection, maintenance_id, tenant=caller.tenant, actor=caller.actor):
            raise Problem(
                "not-found",
                f"There is no maintenance {maintenance_id}",
                field="maintenance_id",
                advice=f"GET {_PATH} lists them",
            )
    return Response(status_code=status.HTTP_204_NO_CONTENT)


def add_routes(app: FastAPI) -> None:
    """When not to look for anomalies."""
    app.add_api_route(_PATH, list_maintenance, methods=["GET"], tags=["signals"], response_model=Maintenances)
    app.add_api_route(
        _PATH,
        enter_maintenance,
        methods=["POST"],
        tags=["signals"],
        response_model=Maintenance,
        status_code=status.HTTP_201_CREATED,
        openapi_extra=json_body("When, and of which series.", MaintenanceRequest.model_json_schema(), MAINTENANCE),
    )
    app.add_api_route(
        f"{_PATH}/{{maintenance_id}}",
        take_maintenance_back,
        methods=["DELETE"],
        tags=["signals"],
        status_code=status.HTTP_204_NO_CONTENT,
    )
