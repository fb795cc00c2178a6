"""The app: routes, access, errors and the document, put together around the services handed in."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cached_property
from typing import Any

from fastapi import Depends, FastAPI
from starlette.types import ASGIApp

from api import (
    audit,
    backfills,
    configuration,
    consents,
    deliveries,
    events,
    evidence,
    ingest,
    keys,
    lineage,
    monitoring,
    prices,
    privacy,
    quality,
    reference,
    reports,
    retention,
    runs,
    signals,
    stream,
    subjects,
    tables,
    timeseries,
)
from api.access import authorise, check_declared
from api.deadline import Deadline
from api.gate import Gate
from api.headers import SecurityHeaders
from api.kept import KeptAnswers
from api.live_hub import LiveHub
from api.openapi import TITLE, build_document, query_parameters
from api.parameters import refuse_unknown_parameters
from api.problems import add_handlers
from api.services import Services
from api.stopping import told_to_stop

__all__ = ["create_app"]


class _Api(FastAPI):
    @cached_property
    def document(self) -> dict[str, Any]:
        return build_document(self)

    def openapi(self) -> dict[str, Any]:
        return self.document

    def build_middleware_stack(self) -> ASGIApp:
        timed = Deadline(super().build_middleware_stack(), self.state.services.settings.request_seconds)
        return SecurityHeaders(timed)  # outermost: an answer about a bug has them too


def create_app(services: Services, *, owns_services: bool = False) -> FastAPI:
    """The REST API on these services; `owns_services`: they are closed when the server stops.

    Raises ValueError when a route has no declared permission.
    """

    gate = Gate(services)
    live = LiveHub(services, gate)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        with told_to_stop(live.stop):
            yield
        if owns_services:
            services.close()

    app = _Api(
        title=TITLE,
        openapi_url=None,  # served by reference.py, as routes that access.py knows
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
        dependencies=[Depends(authorise), Depends(refuse_unknown_parameters)],
        telemetry={
            "tracing": False,
            "metrics": False,
            "logs": False,
            "operation_spans": False,
            "auto_configure": False,
        },
    )
    app.state.services = services
    app.state.gate = gate
    app.state.live = live
    app.state.submissions = 0
    for part in (
        ingest,
        events,
        tables,
        prices,
        timeseries,
        lineage,
        stream,
        signals,
        reports,
        evidence,
        quality,
        configuration,
        deliveries,
        backfills,
        runs,
        keys,
        privacy,
        retention,
        audit,
        consents,
        subjects,
        monitoring,
        reference,
    ):
        part.add_routes(app)
    add_handlers(app)
    app.add_middleware(KeptAnswers, gate=gate, services=services, paths=[tables.METRICS, timeseries.QUERY])
    check_declared(app)
    app.state.query_parameters = query_parameters(app.openapi())
    return app
