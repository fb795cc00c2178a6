"""The price book: what a million tokens cost, from when to when. It is the hub's, the same for every tenant."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Query, Response, status

from api.access import Caller
from api.formats import Accepted, Known, documented, headers_of, is_known, tag_of
from api.lists import in_format, read_page
from api.models import Page, Price
from api.openapi import server_version
from api.parameters import PriceFilter
from api.services import Services, services_of

__all__ = ["add_routes"]


def list_prices(
    caller: Caller,
    services: Annotated[Services, Depends(services_of)],
    asked: Annotated[PriceFilter, Query()],
    kind: Accepted,
    response: Response,
    if_none_match: Known = None,
) -> Any:
    """Prices by model, earliest first: all that there ever were, or those in force at some time of the day `on` (UTC).

    `priced_usd` of costs comes from them. `If-None-Match` with an earlier `ETag` answers 304 while none has changed.
    """
    day = None if asked.on is None else datetime(asked.on.year, asked.on.month, asked.on.day, tzinfo=UTC)
    page = read_page(
        services,
        "prices",
        caller,
        asked,
        start=day,
        end=None if day is None else day + timedelta(days=1),
        provider=asked.provider,
        model=asked.model,
    )
    tag = tag_of(kind, server_version(), asked, page.rows, page.next_cursor)
    headers = headers_of(tag, is_closed=False)
    if is_known(if_none_match, tag):
        return Response(status_code=status.HTTP_304_NOT_MODIFIED, headers=headers)
    return in_format(kind, {"items": page.rows, "next_cursor": page.next_cursor}, Price, response, headers=headers)


def add_routes(app: FastAPI) -> None:
    """The price book."""
    app.add_api_route(
        "/api/v1/prices",
        list_prices,
        methods=["GET"],
        tags=["tables"],
        response_model=Page[Price],
        responses=documented(),
    )
