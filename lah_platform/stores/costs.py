"""Costs in PostgreSQL: the price book in `prices`, and days of `cost_daily` recomputed from events.

What a request costs is decided in `lah_platform.costs`.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict
from datetime import UTC, date, datetime, time, timedelta

import polars as pl

from lah_platform.costs.daily import daily_costs
from lah_platform.costs.price_book import PriceBook, PriceRow
from lah_platform.costs.pricing import priced
from lah_platform.costs.requests import COST_EVENTS_SCHEMA, cost_rows
from lah_platform.stores.frames import copy_frame
from lah_platform.stores.postgres import Connection
from lah_platform.stores.queries import queries
from lah_platform.stores.staging import SCHEMA, Judge, staging

__all__ = ["compute_cost_daily", "ensure_price_book", "load_price_book", "read_price_book"]

_Q = queries("costs")
_ROWS_A_CHUNK = 50_000  # Python holds so many events at once; the day's frame is several times as compact


def load_price_book(connection: Connection, rows: Iterable[PriceRow], *, actor: str = "lah") -> int:
    """Add the prices to table `prices`, replacing those of the same model and start; returns how many were given.

    Prices that are not given stay. The table itself notes in the audit log what changes it, as done by `actor`.
    Raises PriceBookError, and changes nothing, when two prices of a model would then overlap.
    """
    given = [asdict(row) for row in rows]
    with connection.transaction():
        connection.execute(_Q["lock"])
        connection.execute(_Q["acting"], {"actor": actor})
        connection.execute(_Q["upsert_prices"], {"rows": json.dumps(given, default=str)})
        read_price_book(connection)
    return len(given)


def ensure_price_book(connection: Connection) -> int:
    """Load the shipped prices into a hub that has none yet; returns how many rows.

    A hub that has prices keeps exactly its own.
    """
    with connection.transaction():
        connection.execute(_Q["lock"])
        if connection.execute("select exists (select from prices)").fetchone() == (True,):
            return 0
        return load_price_book(connection, PriceBook.shipped().rows)


def read_price_book(connection: Connection) -> PriceBook:
    """The book in table `prices`. Raises PriceBookError when prices of a model overlap."""
    cursor = connection.execute(_Q["prices"])
    names = [column.name for column in cursor.description or ()]
    return PriceBook(PriceRow(**dict(zip(names, row, strict=True))) for row in cursor)


def compute_cost_daily(
    connection: Connection,
    day_from: date,
    day_to: date,
    *,
    computed_at: datetime | None = None,
    judge: Judge | None = None,
) -> int:
    """Recompute the UTC days `day_from` to `day_to` (both included) of cost_daily; returns how many rows they have now.

    Readers see all of the days as they were or all as they are now, and what they see passed the blocking checks of
    `judge`. Memory grows with the largest day, not with the number of days. `computed_at` (default: the transaction's
    own time) marks the rows. Raises ValueError when the days are in the wrong order, CostOverflowError when sums do not
    fit, RowsRefused when a blocking check fails.
    """
    if day_from > day_to:
        raise ValueError(f"the first day {day_from} is after the last day {day_to}")
    written = 0
    with staging(connection, "cost_daily") as stage:
        with connection.transaction():
            connection.execute(_Q["lock"])
            (now,) = connection.execute("select transaction_timestamp()").fetchone() or (None,)
            book = read_price_book(connection)
            for number in range((day_to - day_from).days + 1):
                rows = cost_rows(_events(connection, day_from + timedelta(days=number)))
                table = daily_costs(priced(rows, book)).with_columns(computed_at=pl.lit(computed_at or now))
                written += copy_frame(connection, "cost_daily", table, table.columns, schema=SCHEMA)
        replaced = {"day_from": day_from, "day_to": day_to}
        stage.publish(lambda: connection.execute(_Q["delete_days"], replaced), judge)
    return written


def _events(connection: Connection, day: date) -> pl.DataFrame:
    """The day's events of COST_EVENTS_SCHEMA, fetched in chunks; inside a transaction."""
    start = datetime.combine(day, time.min, UTC)
    names = list(COST_EVENTS_SCHEMA)
    chunks = [pl.DataFrame(schema=COST_EVENTS_SCHEMA)]
    with connection.cursor("lah_cost_events", scrollable=False) as cursor:
        cursor.execute(_Q["cost_events"], {"start": start, "end": start + timedelta(days=1)}, binary=True)
        returned = [column.name for column in cursor.description or ()]
        if returned != names:
            raise ValueError(f"the query returns {returned}, the frame wants {names}")
        while rows := cursor.fetchmany(_ROWS_A_CHUNK):
            columns = dict(zip(names, zip(*rows, strict=True), strict=True))
            chunks.append(pl.DataFrame(columns, schema=COST_EVENTS_SCHEMA))
    return pl.concat(chunks)
