"""Reading reports: which there are, each as JSON, page, PDF or table, and whether its documents are as signed."""

from typing import Annotated, Any, Final, Literal
from uuid import UUID

from fastapi import Depends, FastAPI, Header, Path, Query, Response

from api.access import Caller
from api.credentials import Principal
from api.examples import REPORT_ID
from api.formats import quality
from api.headers import REPORT_POLICY
from api.lists import read_page
from api.models import Page
from api.models_operations import ReportContent, ReportRow, ReportVerification
from api.parameters import ReportFilter
from api.problems import Problem
from api.services import Services, services_of
from lah_platform.compliance.detached import MEDIA_TYPES, verify
from lah_platform.stores.report_runs import ReportRun, get_report
from lah_platform.stores.signing_key import hub_signer

__all__ = ["add_routes"]

_PATH: Final = "/api/v1/reports"
_OFFERED: Final = ("json", "html", "pdf", "csv")  # in the order of preference where Accept has none
_ReportId = Annotated[UUID, Path(description="The report's id.", examples=[REPORT_ID])]


def list_reports(
    caller: Caller, services: Annotated[Services, Depends(services_of)], asked: Annotated[ReportFilter, Query()]
) -> dict[str, Any]:
    """Reports, newest first, without their content."""
    page = read_page(services, "reports", caller, asked, name=asked.name)
    return {"items": page.rows, "next_cursor": page.next_cursor}


def read_report(
    caller: Caller,
    services: Annotated[Services, Depends(services_of)],
    report_id: _ReportId,
    accept: Annotated[str, Header(include_in_schema=False)] = "application/json",
) -> Response:
    """One report: JSON, or the page, the PDF or the table when `Accept` prefers those, as they were published."""
    run = _found(caller, services, report_id)
    offered = [name for name in _OFFERED if name in run.documents or name == "json"]
    best = max(offered, key=lambda name: quality(accept, MEDIA_TYPES[name]))
    if best == "json":
        body = ReportContent.model_validate({**run.entry.__dict__, "content": run.content}).model_dump_json()
        return Response(body, media_type="application/json", headers={"Vary": "Accept"})
    return _document(run, best)


def read_document(
    caller: Caller,
    services: Annotated[Services, Depends(services_of)],
    report_id: _ReportId,
    format_: Annotated[
        Literal["html", "pdf", "json", "csv", "signature"],
        Path(alias="format", description="Which document; signature: the detached, signed record.", examples=["json"]),
    ],
) -> Response:
    """One document of a report, byte for byte as it was published and signed."""
    run = _found(caller, services, report_id)
    if format_ not in run.documents:
        raise Problem("not-found", f"This report has no {format_}: it is older than those", field="format")
    return _document(run, format_)


def verify_report(
    caller: Caller, services: Annotated[Services, Depends(services_of)], report_id: _ReportId
) -> dict[str, Any]:
    """Whether the stored documents are those that the detached record names, and whether this hub signed it."""
    run = _found(caller, services, report_id)
    record = run.documents.get("signature")
    if record is None:
        raise Problem("not-found", "This report was not signed: it is older than signatures", field="report_id")
    key = hub_signer(services.settings).public_key
    verdicts = [
        {"document": name, "checked": verdict.checked, "holds": verdict.holds}
        for name, body in run.documents.items()
        if name != "signature"
        for verdict in verify(body, record, public_key=key)
    ]
    return {
        "report_id": report_id,
        "tenant": run.entry.tenant,
        "holds": all(each["holds"] for each in verdicts),
        "verdicts": verdicts,
    }


def _found(caller: Principal, services: Services, report_id: UUID) -> ReportRun:
    with services.pool.connection() as connection:
        run = get_report(connection, report_id, tenant=caller.tenant)
    if run is None:
        raise Problem("not-found", f"There is no report {report_id}", field="report_id", advice="List them first")
    return run


def _document(run: ReportRun, name: str) -> Response:
    entry = run.entry
    file = f"{entry.name}-{entry.period_from}-r{entry.revision}.{'signature.json' if name == 'signature' else name}"
    headers = {"Vary": "Accept", "Content-Disposition": f'inline; filename="{file}"'}
    if name == "html":
        headers["Content-Security-Policy"] = REPORT_POLICY
    return Response(run.documents[name], media_type=MEDIA_TYPES[name], headers=headers)


def add_routes(app: FastAPI) -> None:
    """Reports, their documents, and checking those."""
    binary = {"schema": {"type": "string", "format": "binary"}}
    text = {"schema": {"type": "string"}}
    other = {"text/html": text, "application/pdf": binary, "text/csv": text}
    app.add_api_route(_PATH, list_reports, methods=["GET"], tags=["evidence"], response_model=Page[ReportRow])
    app.add_api_route(
        f"{_PATH}/{{report_id}}",
        read_report,
        methods=["GET"],
        tags=["evidence"],
        response_model=ReportContent,
        responses={200: {"content": other}},
    )
    app.add_api_route(
        f"{_PATH}/{{report_id}}/documents/{{format}}",
        read_document,
        methods=["GET"],
        tags=["evidence"],
        response_class=Response,
        responses={200: {"content": {**other, "application/json": {"schema": {"type": "object"}}}}},
    )
    app.add_api_route(
        f"{_PATH}/{{report_id}}/verification",
        verify_report,
        methods=["GET"],
        tags=["evidence"],
        response_model=ReportVerification,
    )
