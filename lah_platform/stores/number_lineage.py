"""What one served number was made from: its rows of every shorter window, its events and their offsets, as of now."""

from datetime import datetime
from typing import Any

from psycopg import sql
from psycopg.rows import dict_row

from lah_platform.rollups.metrics import Metric
from lah_platform.rollups.windows import Window
from lah_platform.stores.postgres import Connection
from lah_platform.stores.queries import queries

__all__ = ["number_lineage"]

_Q = queries("number_lineage")


def number_lineage(
    connection: Connection, *, tenant: str, window: Window, metric: Metric, series_id: int, start: datetime
) -> dict[str, Any] | None:
    """The number of `window`'s bucket that starts at `start` (UTC) and what it rests on, in one snapshot.

    None when `tenant` ('*': any) has no such row. `is_explained`: whether its count is that of its events; null where
    events have left PostgreSQL for the archive or values still wait to be merged.
    ValueError when no bucket starts then.
    """
    named: dict[str, Any] = {"tenant": tenant, "series_id": series_id, "metric": metric.name, "window": window.name}
    named |= {"start": start, "end": window.end(start)}

    def rows(name: str, **parts: sql.Composable) -> list[dict[str, Any]]:
        return cursor.execute(sql.SQL(_Q[name].decode()).format(**parts), named).fetchall()

    with connection.transaction(), connection.cursor(row_factory=dict_row) as cursor:
        cursor.execute("set transaction isolation level repeatable read, read only")
        found = rows("number", view=sql.Identifier(window.view))
        if not found:
            return None
        made_from = []
        source = window.source
        while source is not None:
            (between,) = rows("rows_between", table=sql.Identifier(source.table))
            made_from.append({"window": source.name, **between})
            source = source.source
        events = rows("events_between", carries=_carries(metric))
        (waiting,) = rows("waiting_between")
        archived = rows("archived_between")
    is_whole = not waiting["values"] and all(file["dropped_at"] is None for file in archived)
    return {
        "number": found[0],
        "made_from": made_from,
        "events": events,
        "archive_files": archived,
        "waiting_values": waiting["values"],
        "is_explained": sum(each["events"] for each in events) == found[0]["count"] if is_whole else None,
    }


def _carries(metric: Metric) -> sql.Composable:
    parts: list[sql.Composable] = []
    if metric.column is not None:
        parts.append(sql.SQL("{} is not null").format(sql.Identifier(metric.column)))
    if metric.subtype is not None:
        parts.append(sql.SQL("subtype = {}").format(sql.Literal(metric.subtype)))
    return sql.SQL(" and ").join(parts) if parts else sql.SQL("true")
