"""Asking for a table to be recomputed from its events; a sensor takes the request from the database and runs it."""

from datetime import timedelta
from typing import Annotated, Any
from uuid import UUID, uuid4

from fastapi import Depends, FastAPI, Path, Response, status

from api.access import Caller
from api.bodies import Body, read_json
from api.examples import BACKFILL, BACKFILL_ID
from api.models_operations import Backfill, BackfillRequest
from api.openapi import json_body
from api.problems import Problem
from api.services import Services, services_of
from lah_platform.errors import ConfigurationError
from lah_platform.stores.backfills import BACKFILL_TABLES, check_metric, request_backfill
from lah_platform.stores.serving import row

__all__ = ["add_routes"]

_PATH = "/api/v1/backfills"


def create_backfill(
    caller: Caller, services: Annotated[Services, Depends(services_of)], body: Body, response: Response
) -> dict[str, Any]:
    """Recompute a table from the first to the last day, both included, for every tenant; operators only.

    Answers at once with the request; `Location` says where to ask how far it is.
    """
    asked = read_json(BackfillRequest, body)
    _check_days(asked, services)
    _check_metrics(asked)
    request_id = uuid4()
    with services.pool.connection() as connection:
        try:
            request_backfill(
                connection,
                request_id,
                table=asked.table,
                start=asked.from_,
                end=asked.to,
                actor=caller.actor,
                metrics=asked.metrics or (),
            )
        except ConfigurationError as error:
            raise Problem("invalid-parameter", f"{error}", field="from") from error
        made = row(connection, "backfill", request_id=request_id)
    if made is None:
        raise AssertionError("a request that was just made is not there")
    response.headers["Location"] = f"{_PATH}/{request_id}"
    return made


def get_backfill(
    caller: Caller,  # noqa: ARG001 - who may ask is settled, and what is asked belongs to no tenant
    services: Annotated[Services, Depends(services_of)],
    request_id: Annotated[UUID, Path(description="The request's id.", examples=[BACKFILL_ID])],
) -> dict[str, Any]:
    """How far a requested recomputation is; operators only."""
    with services.pool.connection() as connection:
        found = row(connection, "backfill", request_id=request_id)
    if found is None:
        raise Problem("not-found", f"There is no backfill {request_id}", field="request_id")
    return found


def add_routes(app: FastAPI) -> None:
    """Asking for a backfill, and asking after it."""
    schema = BackfillRequest.model_json_schema()
    app.add_api_route(
        _PATH,
        create_backfill,
        methods=["POST"],
        tags=["operations"],
        response_model=Backfill,
        status_code=status.HTTP_202_ACCEPTED,
        openapi_extra=json_body("What to recompute.", schema, BACKFILL),
    )
    app.add_api_route(
        f"{_PATH}/{{request_id}}", get_backfill, methods=["GET"], tags=["operations"], response_model=Backfill
    )


def _check_metrics(asked: BackfillRequest) -> None:
    """Raises Problem for metrics that are unknown, or of a table that has none."""
    if asked.metrics and BACKFILL_TABLES[asked.table] != "rollups":
        raise Problem("invalid-parameter", f"{asked.table} is not computed metric by metric", field="metrics")
    for name in asked.metrics or ():
        try:
            check_metric(name)
        except ConfigurationError as error:
            raise Problem("invalid-parameter", f"{error}", field="metrics") from error


def _check_days(asked: BackfillRequest, services: Services) -> None:
    """Raises Problem for days whose events are not there: recomputing those would empty the table."""
    today = services.clock().date()
    oldest = today - timedelta(days=services.settings.retention_days)
    if asked.to < asked.from_:
        raise Problem("invalid-parameter", "`from` is later than `to`", field="from")
    if asked.to > today:
        raise Problem("invalid-parameter", f"{asked.to} has not begun; today is {today} (UTC)", field="to")
    if asked.table == "events_archive" and asked.to == today:
        raise Problem("invalid-parameter", f"{asked.to} has not ended; today is {today} (UTC)", field="to")
    if asked.from_ < oldest:
        raise Problem("invalid-parameter", f"Events before {oldest} are no longer kept to recompute from", field="from")
