"""Data quality over REST: every verdict of a check, the rows that fail one, scores of days, suspect windows.

A caller sees the counts and rows of its tenant; a verdict about all tenants' rows together has none for it.
"""

from datetime import timedelta
from typing import Annotated, Any, Final

from fastapi import Depends, FastAPI, Path, Query
from psycopg import errors

from api.access import Caller
from api.lists import read_page
from api.models import Page, RangePage
from api.models_quality import (
    FailingRows,
    HistoryFilter,
    PastVerdict,
    QualityScore,
    RowsFilter,
    ScoreFilter,
    Suspect,
    SuspectFilter,
)
from api.parameters import within
from api.problems import Problem
from api.services import Services, services_of
from lah_platform.quality.registry import rule_of
from lah_platform.stores.failing_rows import failing_rows

__all__ = ["add_routes"]

_LOOKBACK: Final = timedelta(days=30)
_LONGEST: Final = timedelta(days=1)  # of events of more than a day nobody repairs rows one by one
_TIMEOUT_MS: Final = 10_000
_TAG: Final = "evidence"


def list_history(
    caller: Caller, services: Annotated[Services, Depends(services_of)], asked: Annotated[HistoryFilter, Query()]
) -> dict[str, Any]:
    """Every verdict of checks, the latest first; of the last 30 days when no range is given."""
    span = within(asked, services.clock(), _LOOKBACK, ahead=timedelta(seconds=1))
    page = read_page(
        services,
        "check_history",
        caller,
        asked,
        from_=span.from_,
        to=span.to,
        asset=asked.asset,
        check_name=asked.check_name,
        passed=asked.passed,
    )
    return {"items": page.rows, "next_cursor": page.next_cursor, "from": span.from_, "to": span.to}


def list_rows(
    caller: Caller,
    services: Annotated[Services, Depends(services_of)],
    asset: Annotated[str, Path(description="Asset that is checked.", examples=["cost_daily"])],
    rule: Annotated[str, Path(description="Name of the check.", examples=["dollars_equal_events"])],
    asked: Annotated[RowsFilter, Query()],
) -> dict[str, Any]:
    """Rows of the caller's tenant that fail a check now, in a period of at most a day."""
    if not timedelta(0) < asked.to - asked.from_ <= _LONGEST:
        raise Problem("invalid-parameter", "A period is at most a day long, and ends after it begins", field="to")
    try:
        advice = rule_of(asset, rule)[1].advice
    except LookupError as error:
        raise Problem("not-found", str(error).capitalize(), field="rule") from error
    with services.pool.connection() as connection:
        try:
            rows = failing_rows(
                connection,
                asset,
                rule,
                asked.from_,
                asked.to,
                limit=asked.limit + 1,
                tenant=caller.tenant,
                timeout_ms=_TIMEOUT_MS,
            )
        except errors.QueryCanceled as error:
            raise Problem("query-timeout", "The rows were not found in time") from error
    return {"items": rows[: asked.limit], "is_complete": len(rows) <= asked.limit, "what_to_do": advice}


def list_scores(
    caller: Caller, services: Annotated[Services, Depends(services_of)], asked: Annotated[ScoreFilter, Query()]
) -> dict[str, Any]:
    """Quality scores of the caller's days, oldest first."""
    page = read_page(services, "quality_scores", caller, asked, from_=asked.from_, to=asked.to)
    return {"items": page.rows, "next_cursor": page.next_cursor}


def list_suspects(
    caller: Caller, services: Annotated[Services, Depends(services_of)], asked: Annotated[SuspectFilter, Query()]
) -> dict[str, Any]:
    """Rollup windows that failed a check and overlap the range, newest first."""
    span = within(asked, services.clock(), _LOOKBACK, ahead=timedelta(seconds=1))
    page = read_page(services, "suspects", caller, asked, from_=span.from_, to=span.to, is_open=asked.is_open)
    return {"items": page.rows, "next_cursor": page.next_cursor, "from": span.from_, "to": span.to}


def add_routes(app: FastAPI) -> None:
    """History, failing rows, scores, suspects."""
    add = app.add_api_route
    add("/api/v1/checks/history", list_history, methods=["GET"], tags=[_TAG], response_model=RangePage[PastVerdict])
    add("/api/v1/checks/{asset}/{rule}/rows", list_rows, methods=["GET"], tags=[_TAG], response_model=FailingRows)
    add("/api/v1/quality-scores", list_scores, methods=["GET"], tags=[_TAG], response_model=Page[QualityScore])
    add("/api/v1/suspects", list_suspects, methods=["GET"], tags=[_TAG], response_model=RangePage[Suspect])
