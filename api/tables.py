"""Reading the tables made from events: rollups per window, and costs per day."""

from datetime import timedelta
from typing import Annotated, Any, Final

from fastapi import Depends, FastAPI, Query, Response, status

from api.access import Caller
from api.formats import Accepted, Known, documented, headers_of, is_known, tag_of
from api.lists import in_format, read_page
from api.models import CostRow, MetricPage, MetricRow, Page, Watermarks
from api.openapi import server_version
from api.parameters import CostFilter, MetricFilter, within
from api.problems import Problem
from api.services import Services, services_of
from lah_platform.rollups.metrics import MEASURES, Metric, metric
from lah_platform.rollups.windows import window
from lah_platform.stores.serving import rows

__all__ = ["METRICS", "add_routes"]

METRICS: Final = "/api/v1/metrics"

# By default so far back that a chart of the window has about a hundred points, or as many as there are
_LOOKBACK: Final = {
    "1m": timedelta(hours=2),
    "5m": timedelta(hours=12),
    "15m": timedelta(days=1),
    "1h": timedelta(days=7),
    "6h": timedelta(days=30),
    "1d": timedelta(days=90),
    "1w": timedelta(days=365),
    "1M": timedelta(days=730),
}
# What an answer's row changes with: all else is the same for the same series and bucket
_MADE_OF: Final = ("bucket_start", "series_id", "revision", "computed_at", "is_final", "is_live", "is_suspect")
_COST_DAYS: Final = timedelta(days=30)


def list_metrics(
    caller: Caller,
    services: Annotated[Services, Depends(services_of)],
    asked: Annotated[MetricFilter, Query()],
    kind: Accepted,
    response: Response,
    if_none_match: Known = None,
) -> Any:
    """Rollup rows of one metric at one window, oldest first: one row per bucket and series.

    A bucket belongs to the range when it starts in it. Without `from` the range is two hours of minutes up to two
    years of months. Percentiles and averages of different series must not be averaged: ask `/api/v1/timeseries/query`.
    With `live` minutes also hold what no tick has merged yet, in one snapshot: what the rollup will say.
    `If-None-Match` with an earlier `ETag` answers 304 while no row has changed; say `to`, for else the range moves on.
    """
    size = window(asked.window)
    if asked.live and size.name != "1m":
        raise Problem("invalid-parameter", "Only minutes are served live: ask with window=1m", field="live")
    span = within(asked, services.clock(), _LOOKBACK[size.name])
    page = read_page(
        services,
        "metrics",
        caller,
        asked,
        view=f"{size.view}_live" if asked.live else size.view,
        from_=span.from_ if asked.from_ else size.floor(span.from_),
        to=span.to,
        metric=asked.metric,
        type=asked.type,
        subtype=asked.subtype,
        model=asked.model,
        environment=asked.environment,
        service=asked.service,
        region=asked.region,
        team=asked.team,
        source_module=asked.source_module,
        provider=asked.provider,
        tags=asked.tags_json,
    )
    what = metric(asked.metric)
    measures = _measures(asked, what)
    made_of = [[row[name] for name in _MADE_OF] for row in page.rows]
    tag = tag_of(kind, server_version(), caller.tenant, asked, span, made_of, page.next_cursor)
    is_closed = asked.to is not None and bool(page.rows) and all(row["is_final"] for row in page.rows)
    headers = headers_of(tag, is_closed=is_closed)
    if is_known(if_none_match, tag):
        return Response(status_code=status.HTTP_304_NOT_MODIFIED, headers=headers)
    content = {
        "items": [
            {
                **{name: value for name, value in row.items() if name not in MEASURES},
                "measures": {name: row[name] for name in measures},
            }
            for row in page.rows
        ],
        "next_cursor": page.next_cursor,
        "from": span.from_,
        "to": span.to,
        "window": size.name,
        "metric": asked.metric,
        "unit": what.unit,
        "kind": what.kind,
    }
    return in_format(kind, content, MetricRow, response, unpacked=["measures"], headers=headers)


def _measures(asked: MetricFilter, what: Metric) -> list[str]:
    measures = asked.measures.split(",")
    if "measures" not in asked.model_fields_set:
        return [name for name in measures if name in what.measures]
    for name in measures:
        if name not in what.measures:
            use = ", ".join(each for each in MEASURES if each in what.measures)
            reason = f"`{name}` means nothing for {what.name}, which is a {what.kind}: use some of {use}"
            raise Problem("invalid-parameter", reason, field="measures")
    return measures


def list_costs(
    caller: Caller,
    services: Annotated[Services, Depends(services_of)],
    asked: Annotated[CostFilter, Query()],
    kind: Accepted,
    response: Response,
) -> Any:
    """Costs per day, oldest first, from the first to the last day, both included; the last 30 days by default."""
    to = asked.to or max(services.clock().date(), asked.from_ or services.clock().date())
    try:
        from_ = asked.from_ or to - _COST_DAYS
    except OverflowError as error:
        raise Problem("invalid-parameter", "to is outside the calendar", field="to") from error
    if from_ > to:
        raise Problem("invalid-parameter", "`from` is later than `to`", field="from")
    page = read_page(
        services,
        "costs",
        caller,
        asked,
        from_=from_,
        to=to,
        model=asked.model,
        environment=asked.environment,
        service=asked.service,
        team=asked.team,
    )
    return in_format(kind, {"items": page.rows, "next_cursor": page.next_cursor}, CostRow, response)


def list_watermarks(caller: Caller, services: Annotated[Services, Depends(services_of)]) -> dict[str, Any]:
    """How far each window is: before when its buckets are final, its newest bucket, and what waits to be merged."""
    with services.pool.connection() as connection:
        return {"items": rows(connection, "watermarks_by_window", tenant=caller.tenant)}


def add_routes(app: FastAPI) -> None:
    """Rollups, how far they are, and costs."""
    app.add_api_route(
        "/api/v1/watermarks", list_watermarks, methods=["GET"], tags=["tables"], response_model=Watermarks
    )
    app.add_api_route(
        METRICS,
        list_metrics,
        methods=["GET"],
        tags=["tables"],
        response_model=MetricPage,
        response_model_exclude_unset=True,
        responses=documented(),
    )
    app.add_api_route(
        "/api/v1/costs",
        list_costs,
        methods=["GET"],
        tags=["tables"],
        response_model=Page[CostRow],
        responses=documented(has_tag=False),
    )
