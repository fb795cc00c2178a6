"""What is served, read from PostgreSQL: one function a question, each held to the asker's tenant.

Belongs here: named queries and keyset pages. Does not: who may ask (`api/access.py`) or
what an answer looks like on the wire (`api/models.py`).
"""

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from types import MappingProxyType
from typing import Any, Final, Literal
from uuid import UUID

from psycopg import sql
from psycopg.rows import dict_row

from lah_platform.stores.postgres import Connection
from lah_platform.stores.queries import queries

__all__ = ["LISTINGS", "CursorError", "Listing", "Page", "Row", "keeps_runs", "page", "row", "rows"]

Row = dict[str, Any]

KeyType = Literal["timestamptz", "date", "uuid", "bigint", "text"]

# Where a listing starts: before everything going up, past everything going down. The first column alone decides.
_BEFORE: Mapping[KeyType, str] = {
    "timestamptz": "-infinity",
    "date": "-infinity",
    "uuid": str(UUID(int=0)),
    "bigint": str(-(2**63)),
    "text": "",
}
_PAST: Mapping[KeyType, str] = {**_BEFORE, "timestamptz": "infinity", "date": "infinity", "bigint": str(2**63 - 1)}


def _read_instant(text: str) -> None:
    if datetime.fromisoformat(text).utcoffset() is None:
        raise ValueError("a time without an offset")


def _read_bigint(text: str) -> None:
    if str(int(text)) != text or not -(2**63) <= int(text) < 2**63:
        raise ValueError("not a bigint")


def _read_text(text: str) -> None:
    if not isinstance(text, str) or "\0" in text:
        raise ValueError("not a text that PostgreSQL takes")
    text.encode()  # half of a surrogate pair is no character


_READERS: Mapping[KeyType, Callable[[str], object]] = {
    "timestamptz": _read_instant,
    "date": date.fromisoformat,
    "uuid": UUID,
    "bigint": _read_bigint,
    "text": _read_text,
}


class CursorError(ValueError):
    """The text is no cursor of this listing."""


@dataclass(frozen=True)
class Listing:
    """A query of `room` that is read in pages: its order is the columns `key`, all ascending or all descending."""

    query: str
    key: Mapping[str, KeyType]
    is_descending: bool = False
    room: str = "serving"

    def start(self) -> list[str]:
        """The cursor values before the first page."""
        sentinels = _PAST if self.is_descending else _BEFORE
        return [sentinels[kind] for kind in self.key.values()]

    def cursor(self, last: Row) -> str:
        """An opaque text that stands for the place behind the row `last`."""
        values = [last[column] for column in self.key]
        texts = [value.isoformat() if isinstance(value, date) else str(value) for value in values]
        return base64.urlsafe_b64encode(json.dumps(texts).encode()).decode().rstrip("=")

    def read_cursor(self, text: str) -> list[str]:
        """The values of a cursor that this listing gave out; CursorError for any other text."""
        try:
            values = json.loads(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
            for value, kind in zip(values, self.key.values(), strict=True):
                _READERS[kind](value)
        except (ValueError, TypeError, RecursionError) as error:
            raise CursorError("not a cursor of this listing") from error
        return list(values)


LISTINGS: Final[Mapping[str, Listing]] = MappingProxyType(
    {
        listing.query: listing
        for listing in (
            Listing("events", {"timestamp": "timestamptz", "tenant": "text", "event_id": "uuid"}, is_descending=True),
            Listing("metrics", {"bucket_start": "timestamptz", "series_id": "bigint"}),
            Listing("anomalies", {"started_at": "timestamptz", "anomaly_id": "uuid"}, is_descending=True),
            Listing("incidents", {"started_at": "timestamptz", "incident_id": "uuid"}, is_descending=True),
            Listing("correlations", {"started_at": "timestamptz", "correlation_id": "uuid"}, is_descending=True),
            Listing(
                "forecasts",
                {
                    "target_start": "timestamptz",
                    "series_id": "bigint",
                    "metric": "text",
                    "window": "text",
                    "method": "text",
                    "trained_through": "timestamptz",
                },
            ),
            Listing(
                "forecast_models",
                {
                    "computed_at": "timestamptz",
                    "series_id": "bigint",
                    "metric": "text",
                    "window": "text",
                    "method": "text",
                },
                is_descending=True,
            ),
            Listing(
                "costs",
                {
                    "day": "date",
                    "tenant": "text",
                    "model": "text",
                    "environment": "text",
                    "service": "text",
                    "team": "text",
                },
            ),
            Listing("prices", {"model": "text", "valid_from": "timestamptz"}),
            Listing("backfills", {"requested_at": "timestamptz", "request_id": "uuid"}, is_descending=True),
            Listing("runs", {"id": "bigint"}, is_descending=True, room="runs"),
            Listing("api_keys", {"created_at": "timestamptz", "key_id": "text"}),
            Listing("reports", {"generated_at": "timestamptz", "report_id": "uuid"}, is_descending=True),
            Listing("deliveries", {"requested_at": "timestamptz", "delivery_id": "uuid"}, is_descending=True),
            Listing("checks", {"asset": "text", "check_name": "text"}),
            Listing("audit_entries", {"position": "bigint"}, is_descending=True, room="audit"),
            Listing("audit_signed_heads", {"position": "bigint"}, is_descending=True, room="audit"),
            Listing("check_history", {"check_id": "bigint"}, is_descending=True),
            Listing("quality_scores", {"day": "date", "tenant": "text"}),
            Listing("suspects", {"suspect_id": "bigint"}, is_descending=True),
            Listing("dead_letters", {"dead_letter_id": "bigint"}, is_descending=True),
        )
    }
)


@dataclass(frozen=True)
class Page:
    """At most `limit` rows, and the cursor of the next page; None: these were the last."""

    rows: list[Row]
    next_cursor: str | None


def page(
    connection: Connection,
    name: str,
    /,
    *,
    tenant: str,
    limit: int,
    cursor: str | None = None,
    view: str | None = None,
    **filters: object,
) -> Page:
    """One page of the listing `name` for `tenant` ('*': every tenant). `filters` are the query's parameters.

    `view` is what `metrics` reads, such as metrics_1h. Raises CursorError for a cursor that this listing did not give.
    """
    listing = LISTINGS[name]
    after = listing.start() if cursor is None else listing.read_cursor(cursor)
    parameters = {
        **{key.rstrip("_"): value for key, value in filters.items()},
        **{f"after_{place}": value for place, value in enumerate(after)},
        "tenant": tenant,
        "limit": limit + 1,  # one more than asked tells whether there is a next page
    }
    by_id = filters.get("correlation_id") is not None
    found = _fetch(connection, _statement(name, view, listing.room), parameters, by_id=by_id)
    if len(found) <= limit:
        return Page(found, None)
    return Page(found[:limit], listing.cursor(found[limit - 1]))


def rows(connection: Connection, name: str, /, **parameters: object) -> list[Row]:
    """All rows of the named query."""
    named = {key.rstrip("_"): value for key, value in parameters.items()}
    return _fetch(connection, _statement(name, None), named, by_id="event_id" in named)


def row(connection: Connection, name: str, /, **parameters: object) -> Row | None:
    """The row of the named query, or None."""
    found = rows(connection, name, **parameters)
    return found[0] if found else None


def keeps_runs(connection: Connection) -> bool:
    """Whether Dagster's runs are in this database."""
    return connection.execute(queries("runs")["has_runs"]).fetchone() == (True,)


def _statement(name: str, view: str | None, room: str = "serving") -> sql.Composed | bytes:
    text = queries(room)[name]
    return text if view is None else sql.SQL(text.decode()).format(view=sql.Identifier(view))


def _fetch(
    connection: Connection, statement: sql.Composed | bytes, parameters: Mapping[str, object], *, by_id: bool
) -> list[Row]:
    with connection.transaction(), connection.cursor(row_factory=dict_row) as cursor:
        if by_id:  # the planner cannot know how well the Bloom filters of ids tell, and guesses badly on small days
            cursor.execute("set local enable_seqscan = off")
        return cursor.execute(statement, parameters).fetchall()
