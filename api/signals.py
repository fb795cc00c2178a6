"""Reading what was found out: anomalies, correlations, incidents, forecasts; and saying that an anomaly was nothing."""

from datetime import timedelta
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import Depends, FastAPI, Path, Query, Response

from api import maintenance, outlooks
from api.access import Caller
from api.examples import ANOMALY_ID, INCIDENT_ID
from api.formats import Accepted, documented
from api.lists import read_range
from api.models import RangePage
from api.models_outlooks import Forecast
from api.models_signals import Anomaly, Correlation, Dismissal, Incident, IncidentDetail
from api.parameters import Note, within
from api.parameters_signals import AnomalyFilter, CorrelationFilter, ForecastFilter, IncidentFilter
from api.problems import Problem
from api.services import Services, services_of
from lah_platform.forecasts.what_if import factor_of
from lah_platform.stores.anomaly_feedback import dismiss
from lah_platform.stores.serving import Row, row

__all__ = ["add_routes"]

_LOOKBACK: Final = timedelta(days=30)
_RECENT: Final = timedelta(days=1)
_HORIZON: Final = timedelta(days=31)
_AMOUNTS: Final = ("value", "lower", "upper", "lower_80", "upper_80")


def list_anomalies(
    caller: Caller,
    services: Annotated[Services, Depends(services_of)],
    asked: Annotated[AnomalyFilter, Query()],
    kind: Accepted,
    response: Response,
) -> Any:
    """Anomalies that started in the range, newest first; the last 30 days by default."""
    span = within(asked, services.clock(), _LOOKBACK)
    return read_range(
        services,
        "anomalies",
        caller,
        asked,
        span,
        kind,
        Anomaly,
        response,
        metric=asked.metric,
        windows=asked.windows,
        model=asked.model,
        anomaly_type=asked.type,
        impact=asked.impacts,
    )


def dismiss_anomaly(
    caller: Caller,
    services: Annotated[Services, Depends(services_of)],
    anomaly_id: Annotated[UUID, Path(description="The anomaly's id.", examples=[ANOMALY_ID])],
    note: Annotated[Note, Query(description="Why it was nothing.", examples=["load test"])] = "",
) -> dict[str, Any]:
    """Say that an anomaly was nothing: the next of its series, metric and type score half, unless far greater.

    Said twice it stays as it was said first.
    """
    with services.pool.connection() as connection:
        try:
            return dismiss(connection, anomaly_id, tenant=caller.tenant, actor=caller.actor, note=note)
        except LookupError as error:
            raise Problem("not-found", f"There is no anomaly {anomaly_id}", field="anomaly_id") from error


def list_correlations(
    caller: Caller,
    services: Annotated[Services, Depends(services_of)],
    asked: Annotated[CorrelationFilter, Query()],
    kind: Accepted,
    response: Response,
) -> Any:
    """Correlations that started in the range, with their members, newest first; the last 30 days by default."""
    span = within(asked, services.clock(), _LOOKBACK)
    return read_range(
        services,
        "correlations",
        caller,
        asked,
        span,
        kind,
        Correlation,
        response,
        correlation_type=asked.type,
        min_strength=asked.min_strength,
        min_confidence=asked.min_confidence,
    )


def list_incidents(
    caller: Caller,
    services: Annotated[Services, Depends(services_of)],
    asked: Annotated[IncidentFilter, Query()],
    kind: Accepted,
    response: Response,
) -> Any:
    """Incidents that started in the range, newest first, in a line each; the last 30 days by default."""
    span = within(asked, services.clock(), _LOOKBACK)
    return read_range(
        services,
        "incidents",
        caller,
        asked,
        span,
        kind,
        Incident,
        response,
        severity=asked.severities,
        is_open=asked.is_open,
    )


def get_incident(
    caller: Caller,
    services: Annotated[Services, Depends(services_of)],
    incident_id: Annotated[UUID, Path(description="The incident's id.", examples=[INCIDENT_ID])],
) -> dict[str, Any]:
    """One incident's story: what, since when, where it started, whom it hurts, what it costs, what to look at next."""
    with services.pool.connection() as connection:
        found = row(connection, "incident", tenant=caller.tenant, incident_id=incident_id)
    if found is None:
        raise Problem("not-found", f"There is no incident {incident_id}", field="incident_id", advice="List them first")
    return found


def list_forecasts(
    caller: Caller,
    services: Annotated[Services, Depends(services_of)],
    asked: Annotated[ForecastFilter, Query()],
    kind: Accepted,
    response: Response,
) -> Any:
    """Forecasts for windows that start in the range, earliest first; by default from yesterday to in a month.

    Of every series and window the latest forecast, unless all are asked for.
    """
    span = within(asked, services.clock(), _RECENT, ahead=_HORIZON)

    def what_if(row: Row) -> Row:
        factor = factor_of(row["metric"], growth=asked.growth, price=asked.price)
        return row | {name: row[name] * factor for name in _AMOUNTS if row[name] is not None}

    return read_range(
        services,
        "forecasts",
        caller,
        asked,
        span,
        kind,
        Forecast,
        response,
        changed=what_if,
        metric=asked.metric,
        windows=asked.windows,
        model=asked.model,
        method=asked.method,
        every_origin=asked.origins == "all",
    )


def add_routes(app: FastAPI) -> None:
    """Anomalies, correlations, incidents and forecasts."""
    app.add_api_route(
        "/api/v1/anomalies",
        list_anomalies,
        methods=["GET"],
        tags=["signals"],
        response_model=RangePage[Anomaly],
        responses=documented(has_tag=False),
    )
    app.add_api_route(
        "/api/v1/anomalies/{anomaly_id}/dismiss",
        dismiss_anomaly,
        methods=["POST"],
        tags=["signals"],
        response_model=Dismissal,
    )
    app.add_api_route(
        "/api/v1/correlations",
        list_correlations,
        methods=["GET"],
        tags=["signals"],
        response_model=RangePage[Correlation],
        responses=documented(has_tag=False),
    )
    app.add_api_route(
        "/api/v1/incidents",
        list_incidents,
        methods=["GET"],
        tags=["signals"],
        response_model=RangePage[Incident],
        responses=documented(has_tag=False),
    )
    app.add_api_route(
        "/api/v1/incidents/{incident_id}",
        get_incident,
        methods=["GET"],
        tags=["signals"],
        response_model=IncidentDetail,
    )
    app.add_api_route(
        "/api/v1/forecasts",
        list_forecasts,
        methods=["GET"],
        tags=["signals"],
        response_model=RangePage[Forecast],
        responses=documented(has_tag=False),
    )
    maintenance.add_routes(app)
    outlooks.add_routes(app)
