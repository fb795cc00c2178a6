"""What Dagster ran: read from its tables, with a link to where its UI shows more."""

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Depends, FastAPI, Query
from pydantic import BaseModel, Field

from api.access import Caller
from api.lists import read_page
from api.models import Page
from api.parameters import Paging, Text
from api.problems import Problem
from api.services import Services, services_of
from lah_platform.stores.serving import keeps_runs

__all__ = ["add_routes"]

_Status = Literal[
    "queued", "not_started", "managed", "starting", "started", "success", "failure", "canceling", "canceled"
]


class RunFilter(Paging):
    """Which runs."""

    status: _Status | None = Field(None, description="How it stands, in Dagster's words.")
    job: Text | None = Field(None, description="Name of the job.", examples=["cost_daily"])


class Run(BaseModel):
    """One run of Dagster's."""

    run_id: str
    job: str
    status: _Status
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    assets: list[str] = Field(description="What it was started to materialize; empty where a job makes nothing.")
    first_partition: str | None = Field(description="The first day it is for; null: it is for none.")
    last_partition: str | None
    requested_by: str | None = Field(description="Who asked for it; null: a schedule, a sensor, or the UI.")
    request_id: str | None = Field(description="The request at `/api/v1/backfills` it does; null: none.")
    url: str = Field(description="Where Dagster's UI shows it.")


def list_runs(
    caller: Caller, services: Annotated[Services, Depends(services_of)], asked: Annotated[RunFilter, Query()]
) -> dict[str, Any]:
    """Dagster's runs, the latest first: what ran, when, for which assets and days, and how it ended; operators only."""
    with services.pool.connection() as connection:
        if not keeps_runs(connection):
            raise Problem(
                "unavailable",
                "Dagster does not keep its runs in this database",
                advice="Point Dagster's storage at it, schema dagster (deploy/dagster.yaml)",
                headers={"Retry-After": "60"},
            )
    page = read_page(services, "runs", caller, asked, status=asked.status, job=asked.job)
    at = services.settings.dagster_address
    items = [{**row, "url": f"{at}/runs/{row['run_id']}"} for row in page.rows]
    return {"items": items, "next_cursor": page.next_cursor}


def add_routes(app: FastAPI) -> None:
    """The one route."""
    app.add_api_route("/api/v1/runs", list_runs, methods=["GET"], tags=["operations"], response_model=Page[Run])
