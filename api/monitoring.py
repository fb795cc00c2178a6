"""Whether the hub lives, whether it can answer, and its numbers for Prometheus."""

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Response, status
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector
from psycopg import OperationalError
from psycopg_pool import PoolTimeout

from api.access import Caller
from api.models_operations import Health, Readiness
from api.services import Services, services_of
from lah_platform.stores.migrations import status as migration_status
from lah_platform.stores.postgres import Connection
from lah_platform.stores.serving import row, rows

__all__ = ["add_routes"]

_PATIENCE_S = 2.0  # a probe that waits longer counts as failed anyway


def health() -> dict[str, str]:
    """The process lives. Says nothing about the database: a restart would not bring that back."""
    return {"status": "alive"}


def ready(services: Annotated[Services, Depends(services_of)], response: Response) -> dict[str, Any]:
    """Whether requests can be answered now: the database answers, its schema is this version's, the broker answers."""
    reasons = [*_database_faults(services)]
    if services.broker_fault is not None and (fault := services.broker_fault()) is not None:
        reasons.append(fault)
    if reasons:
        response.status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    return {"ready": not reasons, "reasons": reasons}


def prometheus(caller: Caller, services: Annotated[Services, Depends(services_of)]) -> Response:
    """The hub's numbers in Prometheus's text format, of the key's tenant; an operator's key gets every tenant's."""
    with services.pool.connection() as connection:
        registry = CollectorRegistry()
        registry.register(_Numbers(connection, caller.tenant, services.clock()))
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


def add_routes(app: FastAPI) -> None:
    """Health, readiness and Prometheus."""
    app.add_api_route("/health", health, methods=["GET"], tags=["operations"], response_model=Health)
    app.add_api_route(
        "/ready",
        ready,
        methods=["GET"],
        tags=["operations"],
        response_model=Readiness,
        responses={503: {"model": Readiness, "description": "Not now, for the reasons given."}},
    )
    app.add_api_route(
        "/metrics/prometheus",
        prometheus,
        methods=["GET"],
        tags=["operations"],
        response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    )


def _database_faults(services: Services) -> Iterator[str]:
    try:
        with services.pool.connection(timeout=_PATIENCE_S) as connection:
            missing = [each for each in migration_status(connection) if each.applied_at is None]
    except (PoolTimeout, OperationalError):
        yield "the database does not answer"
    else:
        for each in missing:
            yield f"migration {each.version:04d}_{each.name} is not applied: run `lah migrate`"


class _Numbers(Collector):
    """Read when scraped; a number that is not known yet is left out, not zero."""

    def __init__(self, connection: Connection, tenant: str, now: datetime) -> None:
        self._connection = connection
        self._tenant = tenant
        self._now = now

    def collect(self) -> Iterator[Metric]:
        yield from self._landing()
        yield from self._rollups()

    def _landing(self) -> Iterator[Metric]:
        booked = CounterMetricFamily("lah_records", "Records landed, by outcome", labels=["topic", "tenant", "outcome"])
        dead = GaugeMetricFamily("lah_records_dead_lettered", "Dead letters in the ledger", labels=["topic", "tenant"])
        for entry in rows(self._connection, "ledger_totals", tenant=self._tenant):
            labels = [entry["topic"], entry["tenant"]]
            for outcome in ("received", "stored", "duplicate"):
                booked.add_metric([*labels, outcome], entry[outcome])
            dead.add_metric(labels, entry["dead_lettered"])  # goes down when one is replayed: no counter
        yield booked
        yield dead
        waiting = GaugeMetricFamily("lah_dead_letters", "Dead letters not replayed", labels=["tenant", "code"])
        for entry in rows(self._connection, "dead_letter_totals", tenant=self._tenant):
            waiting.add_metric([entry["tenant"], entry["code"]], entry["dead_letters"])
        yield waiting
        lag = GaugeMetricFamily(
            "lah_landing_lag_seconds", "Since landing last stood at the log's end", labels=["topic", "partition"]
        )
        for entry in rows(self._connection, "landing_progress"):
            if entry["caught_up_at"] is not None:
                lag.add_metric([entry["topic"], str(entry["partition"])], self._age_s(entry["caught_up_at"]))
        yield lag

    def _rollups(self) -> Iterator[Metric]:
        pending = GaugeMetricFamily("lah_rollup_partials_pending", "Partial rollups to merge", labels=["tenant"])
        for entry in rows(self._connection, "pending_partials", tenant=self._tenant):
            pending.add_metric([entry["tenant"]], entry["partials"])
        yield pending
        marks = row(self._connection, "watermarks") or {}
        ages = {
            "lah_rollup_watermark_age_seconds": ("Age of the instant before which windows are final", "final_before"),
            "lah_rollup_tick_age_seconds": ("Since the last rollup tick", "ticked_at"),
        }
        for name, (text, column) in ages.items():
            if marks.get(column) is not None:
                yield GaugeMetricFamily(name, text, value=self._age_s(marks[column]))

    def _age_s(self, at: datetime) -> float:
        return (self._now - at).total_seconds()
