"""Reading one page of a listing for a caller; every list route goes through here, and so does its tenant."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from fastapi import Response
from pydantic import BaseModel

from api.credentials import Principal
from api.formats import JSON, NDJSON, Format, as_headers, rows_in
from api.parameters import Paging, Within
from api.problems import Problem
from api.row_frames import frame_of
from api.services import Services
from lah_platform.stores.serving import CursorError, Page, Row, page

__all__ = ["in_format", "read_page", "read_range"]


def read_page(
    services: Services,
    name: str,
    caller: Principal,
    asked: Paging,
    /,
    *,
    view: str | None = None,
    **filters: object,
) -> Page:
    """The page of the listing `name` that was asked for, of the caller's tenant.

    Raises Problem for a cursor that is none.
    """
    with services.pool.connection() as connection:
        try:
            return page(
                connection,
                name,
                tenant=caller.tenant,
                limit=asked.limit,
                cursor=asked.cursor,
                view=view,
                **filters,
            )
        except CursorError as error:
            raise Problem(
                "invalid-parameter",
                "The cursor is not one that this address gave out",
                field="cursor",
                advice="Start again without `cursor`",
            ) from error


def read_range(
    services: Services,
    name: str,
    caller: Principal,
    asked: Paging,
    span: Within,
    kind: Format,
    shown_as: type[BaseModel],
    response: Response,
    /,
    *,
    changed: Callable[[Row], Row] = lambda row: row,
    **filters: object,
) -> Any:
    """What a list route of a time range returns: the page of `name` within `span`, each row as `changed` makes it."""
    found = read_page(services, name, caller, asked, view=None, from_=span.from_, to=span.to, **filters)
    items = [changed(row) for row in found.rows]
    content = {"items": items, "next_cursor": found.next_cursor, "from": span.from_, "to": span.to}
    return in_format(kind, content, shown_as, response)


def in_format(
    kind: Format,
    content: Mapping[str, Any],
    model: type[BaseModel],
    response: Response,
    *,
    unpacked: Sequence[str] = (),
    headers: Mapping[str, str] | None = None,
) -> Any:
    """What a list route returns: `content` for JSON, else its `items` as `model` says, and the rest as headers."""
    headers = {"Vary": "Accept"} | dict(headers or {})
    if kind is JSON:
        response.headers.update(headers)
        return content
    around = {name: value for name, value in content.items() if name != "items"}
    if kind is NDJSON:
        lines = [_line(item, model) + b"\n" for item in content["items"]]
        return Response(b"".join(lines), headers=headers | as_headers(around), media_type=kind.content_type)
    said = as_headers(around)
    return rows_in(kind, frame_of(content["items"], model, unpacked=unpacked), headers | said, metadata=said)


def _line(item: Mapping[str, Any], model: type[BaseModel]) -> bytes:
    if any(isinstance(value, msgspec.Raw) for value in item.values()):
        return msgspec.json.encode(item)
    return model.model_validate(item).model_dump_json(exclude_unset=True, by_alias=True).encode()
