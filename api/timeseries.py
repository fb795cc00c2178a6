"""Asking time series: one query of one metric over any range, answered from the coarsest rollups that are exact."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

from fastapi import Depends, FastAPI, Response, status
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from api.access import Caller
from api.bodies import Body
from api.examples import TIMESERIES
from api.formats import (
    JSON,
    Accepted,
    Known,
    as_headers,
    documented,
    headers_of,
    is_known,
    json_in,
    rows_in,
    tag_of,
)
from api.models_timeseries import TimeseriesAnswer, TimeseriesQuery
from api.openapi import json_body, server_version
from api.problems import Problem
from api.services import Services, services_of
from lah_platform.stores.timeseries import Behind, snapshot
from lah_platform.timeseries.pages import Page, page
from lah_platform.timeseries.query import Query, make_query
from lah_platform.timeseries.refusal import QueryError

__all__ = ["QUERY", "add_routes"]

QUERY: Final = "/api/v1/timeseries/query"

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def query_timeseries(
    caller: Caller,
    services: Annotated[Services, Depends(services_of)],
    body: Body,
    kind: Accepted,
    if_none_match: Known = None,
) -> Response:
    """Any aggregation of one metric over any range of whole minutes, by buckets of any size and by dimensions.

    Answered from rollups: of all values of a bucket and group, never from averages of averages; counts, sums of
    counters, minima and maxima exact, percentiles within 1.09 %. `read` says which stored windows were read. What no
    tick has merged yet is not in it. JSON, NDJSON, CSV, Parquet or an Arrow stream by `Accept`; those other than JSON
    carry the rows only, the rest is in headers `Lah-*`. `If-None-Match` with an earlier `ETag` answers 304 while
    nothing has changed.
    """
    try:
        query = _query(_read(body))
        with services.pool.connection() as connection, snapshot(connection, query, caller.tenant) as seen:
            tag = tag_of(kind, server_version(), caller.tenant, query, seen.behind)
            headers = headers_of(tag, is_closed=seen.behind.is_final)
            if is_known(if_none_match, tag):
                return Response(status_code=status.HTTP_304_NOT_MODIFIED, headers=headers)
            whole = seen.answer()
        answered = page(whole, query)
    except QueryError as error:
        raise Problem(
            "invalid-parameter", f"{error.field}: {error.reason}", field=error.field, advice=error.advice
        ) from error
    around = _around(query, seen.behind, answered)
    if kind is JSON:
        return json_in(answered.rows, around, headers)
    said = as_headers(around)
    return rows_in(kind, answered.rows, headers | said, metadata=said)


def _query(asked: TimeseriesQuery) -> Query:
    return make_query(
        metric=asked.metric,
        from_=asked.from_,
        to=asked.to,
        fields=asked.fields,
        window=asked.window,
        filters=[(each.dimension, each.operator, each.value) for each in asked.filters],
        group_by=asked.group_by,
        fill="none" if asked.fill is None else asked.fill,
        order=asked.order,
        limit=asked.limit,
        offset=asked.offset,
        cursor=asked.cursor,
    )


def _around(query: Query, behind: Behind, answered: Page) -> dict[str, Any]:
    return {
        "next_cursor": answered.next_cursor,
        "metric": query.metric.name,
        "kind": query.metric.kind,
        "fields": [{"name": field.name, "unit": field.unit} for field in query.fields],
        "window": query.bucket.name or None,
        "from": _at(query.from_us),
        "to": _at(query.to_us),
        "read": [
            {"window": each.window.name, "from": _at(each.from_us), "to": _at(each.to_us)} for each in behind.segments
        ],
        "stored_rows": behind.rows,
        "revision": behind.revision,
        "computed_at": behind.computed_at,
        "is_final": behind.is_final,
        "is_suspect": behind.is_suspect,
    }


def _at(us: int) -> datetime:
    return _EPOCH + timedelta(microseconds=us)


def _read(body: bytes) -> TimeseriesQuery:
    try:
        return TimeseriesQuery.model_validate_json(body)
    except ValidationError as error:
        faults = error.errors(include_url=False)
        if faults[0]["type"] == "json_invalid":
            raise Problem("malformed-body", f"The body is not JSON: {faults[0]['msg']}") from error
        raise RequestValidationError([{**fault, "loc": ("body", *fault["loc"])} for fault in faults]) from error


def add_routes(app: FastAPI) -> None:
    """The one route."""
    schema = TimeseriesQuery.model_json_schema(ref_template="#/components/schemas/{model}")
    app.add_api_route(
        QUERY,
        query_timeseries,
        methods=["POST"],
        tags=["tables"],
        response_model=TimeseriesAnswer,
        responses=documented(),
        openapi_extra=json_body("What to ask.", schema, TIMESERIES),
    )
