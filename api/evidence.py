"""Reading evidence: reports, the latest verdict of every check, and the records that could not be stored."""

import base64
from typing import Annotated, Any, Final
from uuid import UUID

import msgspec
from fastapi import Depends, FastAPI, Header, Path, Query, Response
from fastapi.responses import HTMLResponse

from api.access import Caller
from api.examples import REPORT_ID
from api.formats import JSON, quality
from api.lists import read_page
from api.models import Page
from api.models_operations import Check, DeadLetter, ReportContent, ReportRow
from api.parameters import CheckFilter, DeadLetterFilter, ReportFilter
from api.problems import Problem
from api.services import Services, services_of
from lah_platform.stores.audit import record
from lah_platform.stores.dead_letters import opened
from lah_platform.stores.serving import Row, row

__all__ = ["REPORT_POLICY", "add_routes"]

# What a check counted is over every tenant's rows
_COUNTS: Final = ("checked_rows", "failed_rows", "observed")
# A report is a page of its own: its own style and pictures, and nothing from elsewhere
REPORT_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'"


def list_reports(
    caller: Caller, services: Annotated[Services, Depends(services_of)], asked: Annotated[ReportFilter, Query()]
) -> dict[str, Any]:
    """Reports, newest first, without their content."""
    page = read_page(services, "reports", caller, asked, name=asked.name)
    return {"items": page.rows, "next_cursor": page.next_cursor}


def get_report(
    caller: Caller,
    services: Annotated[Services, Depends(services_of)],
    report_id: Annotated[UUID, Path(description="The report's id.", examples=[REPORT_ID])],
    accept: Annotated[str, Header(description="`text/html` for the page, else JSON.")] = "application/json",
) -> Response:
    """One report: JSON, or the HTML page when `Accept` prefers `text/html`."""
    with services.pool.connection() as connection:
        found = row(connection, "report", tenant=caller.tenant, report_id=report_id)
    if found is None:
        raise Problem("not-found", f"There is no report {report_id}", field="report_id", advice="List them first")
    html, content = found.pop("html"), found.pop("content")
    if quality(accept, "text/html") > quality(accept, JSON.media_type):
        return HTMLResponse(html, headers={"Vary": "Accept", "Content-Security-Policy": REPORT_POLICY})
    body = msgspec.json.encode({**found, "content": msgspec.Raw(content.encode())})
    return Response(body, media_type="application/json", headers={"Vary": "Accept"})


def list_checks(
    caller: Caller, services: Annotated[Services, Depends(services_of)], asked: Annotated[CheckFilter, Query()]
) -> dict[str, Any]:
    """The latest verdict of every check."""
    page = read_page(services, "checks", caller, asked, asset=asked.asset)
    hidden = () if caller.is_operator else _COUNTS
    verdicts = [{name: value for name, value in verdict.items() if name not in hidden} for verdict in page.rows]
    return {"items": verdicts, "next_cursor": page.next_cursor}


def list_dead_letters(
    caller: Caller, services: Annotated[Services, Depends(services_of)], asked: Annotated[DeadLetterFilter, Query()]
) -> dict[str, Any]:
    """Records that could not be stored, newest first, with the reason and their bytes; the reading is audited."""
    page = read_page(services, "dead_letters", caller, asked, code=asked.code)
    letters: list[Row] = page.rows
    if services.keys is not None and any(letter["raw"] is not None for letter in letters):
        with services.pool.connection() as connection:
            letters = [letter | opened(connection, letter, services.keys) for letter in letters]
            read = {"dead_letters": [letter["dead_letter_id"] for letter in letters]}
            record(connection, caller.actor, "reveal", "dead_letters", "page", caller.tenant, read)
    return {"items": list(map(_dead_letter, letters)), "next_cursor": page.next_cursor}


def add_routes(app: FastAPI) -> None:
    """Reports, checks and dead letters."""
    app.add_api_route(
        "/api/v1/reports", list_reports, methods=["GET"], tags=["evidence"], response_model=Page[ReportRow]
    )
    app.add_api_route(
        "/api/v1/reports/{report_id}",
        get_report,
        methods=["GET"],
        tags=["evidence"],
        response_model=ReportContent,
        responses={200: {"content": {"text/html": {"schema": {"type": "string"}}}}},
    )
    app.add_api_route(
        "/api/v1/checks",
        list_checks,
        methods=["GET"],
        tags=["evidence"],
        response_model=Page[Check],
        response_model_exclude_unset=True,
    )
    app.add_api_route(
        "/api/v1/dead-letters", list_dead_letters, methods=["GET"], tags=["evidence"], response_model=Page[DeadLetter]
    )


def _dead_letter(found: Row) -> Row:
    raw: bytes | None = found.pop("raw")
    found.pop("topic_id")
    text = encoded = None
    if raw is not None:
        try:
            text = raw.decode()
        except UnicodeDecodeError:
            encoded = base64.b64encode(raw).decode()
    return {**found, "raw_text": text, "raw_base64": encoded}
