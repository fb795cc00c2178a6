"""Reading evidence: the latest verdict of every check, and the records that could not be stored."""

import base64
from typing import Annotated, Any, Final

from fastapi import Depends, FastAPI, Query

from api.access import Caller
from api.lists import read_page
from api.models import Page
from api.models_operations import Check, DeadLetter
from api.parameters import CheckFilter, DeadLetterFilter
from api.services import Services, services_of
from lah_platform.stores.audit import record_reading
from lah_platform.stores.dead_letters import opened
from lah_platform.stores.serving import Row

__all__ = ["add_routes"]

# What a check counted is over every tenant's rows
_COUNTS: Final = ("checked_rows", "failed_rows", "observed")


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
            record_reading(
                connection,
                caller.actor,
                tenant=caller.tenant,
                what="dead letters",
                purpose="a page over REST",
                rows=len(letters),
                details={"dead_letter_ids": [letter["dead_letter_id"] for letter in letters]},
            )
    return {"items": list(map(_dead_letter, letters)), "next_cursor": page.next_cursor}


def add_routes(app: FastAPI) -> None:
    """Checks and dead letters."""
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
