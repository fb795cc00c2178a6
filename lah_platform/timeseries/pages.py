"""Order, limit, offset and cursors of an answer.

Rows are sorted by what was asked, then by bucket and group, so that no two are equal and a cursor, the sorting columns
of the last row that was given, stands for one place also when rows were added before it.
"""

import base64
import hashlib
import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import polars as pl

from lah_platform.timeseries.query import Order, Query
from lah_platform.timeseries.refusal import QueryError

__all__ = ["Page", "page"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DIGEST_CHARS = 16


@dataclass(frozen=True)
class Page:
    """Rows of the answer in order, and the cursor of the rest; None: these were the last."""

    rows: pl.DataFrame
    next_cursor: str | None


def page(answer: pl.DataFrame, query: Query) -> Page:
    """The rows that `limit`, `offset` and `cursor` ask for; QueryError for a cursor of another query, or of none."""
    orders = _total_order(query)
    rows = answer.sort(
        [order.column for order in orders], descending=[order.is_descending for order in orders], nulls_last=True
    )
    if query.cursor is not None:
        rows = rows.filter(_after(orders, _read_cursor(query, rows.schema, orders), rows.schema))
    found = rows.slice(query.offset, query.limit)
    if query.offset + query.limit >= rows.height:
        return Page(found, None)
    return Page(found, _cursor(query, found.row(-1, named=True), orders))


def _total_order(query: Query) -> list[Order]:
    asked = {order.column: order for order in query.order}
    for column in ("bucket_start", *query.group_by):
        asked.setdefault(column, Order(column, is_descending=False))
    return list(asked.values())


def _after(orders: list[Order], values: list[Any], schema: pl.Schema) -> pl.Expr:
    """Rows behind the place of `values`, compared column by column; nulls are behind everything."""
    beyond = pl.lit(value=False)
    for order, value in reversed(list(zip(orders, values, strict=True))):
        column = pl.col(order.column)
        literal = pl.lit(value, schema[order.column])
        is_further = column < literal if order.is_descending else column > literal
        further = pl.lit(value=False) if value is None else is_further | column.is_null()
        beyond = further | (column.eq_missing(literal) & beyond)
    return beyond


def _cursor(query: Query, last: dict[str, Any], orders: list[Order]) -> str:
    values = [_as_json(last[order.column]) for order in orders]
    return base64.urlsafe_b64encode(json.dumps([_digest(query), *values]).encode()).decode().rstrip("=")


def _as_json(value: Any) -> Any:
    if isinstance(value, datetime):
        return (value - _EPOCH) // timedelta(microseconds=1)
    return f"{value:f}" if isinstance(value, Decimal) else value


def _read_cursor(query: Query, schema: pl.Schema, orders: list[Order]) -> list[Any]:
    refused = QueryError("cursor", "the cursor is not one of this query", "Start again without `cursor`")
    try:
        text = query.cursor or ""
        digest, *texts = json.loads(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
        if digest != _digest(query):
            raise refused
        return [_as_value(text, schema[order.column]) for text, order in zip(texts, orders, strict=True)]
    except QueryError:
        raise
    except (ValueError, TypeError, ArithmeticError, RecursionError) as error:
        raise refused from error


def _as_value(value: Any, dtype: pl.DataType) -> Any:
    if value is None:
        return None
    if isinstance(dtype, pl.Datetime):
        return _EPOCH + timedelta(microseconds=value)
    if isinstance(dtype, pl.Decimal):
        return Decimal(value)
    wanted = {pl.Int64: int, pl.Float64: (int, float), pl.String: str}[type(dtype)]
    if not isinstance(value, wanted) or isinstance(value, bool):  # type: ignore[arg-type]
        raise TypeError("a cursor holds a value of another type")
    return value


def _digest(query: Query) -> str:
    asked = repr(replace(query, limit=1, offset=0, cursor=None)).encode()
    return hashlib.sha256(asked).hexdigest()[:_DIGEST_CHARS]
