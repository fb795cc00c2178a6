"""Asking for a table to be recomputed from its events; a sensor takes the request from the database and runs it."""

from datetime import timedelta
from typing import Annotated, Any, Final
from uuid import UUID, uuid4

from fastapi import Depends, FastAPI, Path, Query, Response, status

from api.access import Caller
from api.bodies import Body, read_json
from api.credentials import Principal
from api.examples import BACKFILL, BACKFILL_ID, REPORT, REPORT_REQUEST_ID
from api.lists import read_page
from api.models import Page
from api.models_operations import Backfill, BackfillRequest, ReportRequest
from api.openapi import json_body
from api.parameters import BackfillFilter
from api.problems import Problem
from api.services import Services, services_of
from lah_platform.errors import ConfigurationError
from lah_platform.stores.backfills import BACKFILL_TABLES, cancel_backfill, check_metric, request_backfill
from lah_platform.stores.serving import row

__all__ = ["add_routes"]

_PATH: Final = "/api/v1/backfills"
_REPORT_PATH: Final = "/api/v1/reports/requests"
_REPORT: Final = "compliance_report"
_ReportRequestId = Annotated[UUID, Path(description="The request's id.", examples=[REPORT_REQUEST_ID])]
_RequestId = Annotated[UUID, Path(description="The request's id.", examples=[BACKFILL_ID])]


def create_backfill(
    caller: Caller, services: Annotated[Services, Depends(services_of)], body: Body, response: Response
) -> dict[str, Any]:
    """Recompute a table from the first to the last day, both included, for every tenant; operators only.

    Answers at once with the request; `Location` says where to ask how far it is.
    """
    asked = read_json(BackfillRequest, body)
    _check_metrics(asked)
    made = _make(caller, services, asked)
    response.headers["Location"] = f"{_PATH}/{made['request_id']}"
    return made


def create_report(
    caller: Caller, services: Annotated[Services, Depends(services_of)], body: Body, response: Response
) -> dict[str, Any]:
    """Make the compliance report over the days from the first to the last, both included; operators only.

    Answers at once with the request; `Location` says where to ask how far it is. The report is in `GET /api/v1/reports`
    when it has succeeded.
    """
    days = read_json(ReportRequest, body)
    asked = BackfillRequest.model_validate({"table": _REPORT, "from": days.from_, "to": days.to})
    made = _make(caller, services, asked)
    response.headers["Location"] = f"{_REPORT_PATH}/{made['request_id']}"
    return made


def list_backfills(
    caller: Caller, services: Annotated[Services, Depends(services_of)], asked: Annotated[BackfillFilter, Query()]
) -> dict[str, Any]:
    """Requested recomputations, the latest first; operators only."""
    page = read_page(services, "backfills", caller, asked, state=asked.state, table=asked.table)
    return {"items": page.rows, "next_cursor": page.next_cursor}


def get_backfill(
    caller: Caller,  # noqa: ARG001 - who may ask is settled, and what is asked belongs to no tenant
    services: Annotated[Services, Depends(services_of)],
    request_id: _RequestId,
) -> dict[str, Any]:
    """How far a requested recomputation is; operators only."""
    return _found(services, request_id, None)


def get_report_request(
    caller: Caller,  # noqa: ARG001 - as above
    services: Annotated[Services, Depends(services_of)],
    report_request_id: _ReportRequestId,
) -> dict[str, Any]:
    """How far a requested report is; operators only."""
    return _found(services, report_request_id, _REPORT)


def cancel(
    caller: Caller, services: Annotated[Services, Depends(services_of)], request_id: _RequestId
) -> dict[str, Any]:
    """Stop a requested recomputation, or have it never begin; operators only. Saying it again changes nothing.

    What was computed stays. Its run is told within seconds: until it has stopped the state is `cancelling`, then
    `cancelled`. 409 when it had ended before.
    """
    return _cancelled(caller, services, request_id, None)


def cancel_report(
    caller: Caller, services: Annotated[Services, Depends(services_of)], report_request_id: _ReportRequestId
) -> dict[str, Any]:
    """Stop a report that is being made, or have it never begin; operators only. As for recomputations."""
    return _cancelled(caller, services, report_request_id, _REPORT)


def _make(caller: Principal, services: Services, asked: BackfillRequest) -> dict[str, Any]:
    _check_days(asked, services)
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
    return _found(services, request_id, None)


def _found(services: Services, request_id: UUID, table: str | None) -> dict[str, Any]:
    with services.pool.connection() as connection:
        found = row(connection, "backfill", request_id=request_id, table=table)
    if found is None:
        raise Problem("not-found", f"There is no request {request_id}", field="request_id")
    return found


def _cancelled(caller: Principal, services: Services, request_id: UUID, table: str | None) -> dict[str, Any]:
    try:
        with services.pool.connection() as connection:
            cancel_backfill(connection, request_id, actor=caller.actor, table=table)
    except ValueError as error:
        raise Problem("conflict", f"It cannot be cancelled: {error}", field="request_id") from error
    except LookupError:
        pass  # which the next line says
    return _found(services, request_id, table)


def add_routes(app: FastAPI) -> None:
    """Asking for backfills and reports, asking after them, and cancelling them."""
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
    app.add_api_route(_PATH, list_backfills, methods=["GET"], tags=["operations"], response_model=Page[Backfill])
    app.add_api_route(
        "/api/v1/reports",
        create_report,
        methods=["POST"],
        tags=["evidence"],
        response_model=Backfill,
        status_code=status.HTTP_202_ACCEPTED,
        openapi_extra=json_body("Which days.", ReportRequest.model_json_schema(), REPORT),
    )
    for path, tag, read, stop in (
        (f"{_PATH}/{{request_id}}", "operations", get_backfill, cancel),
        (f"{_REPORT_PATH}/{{report_request_id}}", "evidence", get_report_request, cancel_report),
    ):
        app.add_api_route(path, read, methods=["GET"], tags=[tag], response_model=Backfill)
        app.add_api_route(
            path,
            stop,
            methods=["DELETE"],
            tags=[tag],
            response_model=Backfill,
            status_code=status.HTTP_202_ACCEPTED,
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
