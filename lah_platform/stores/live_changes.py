"""The live stream's rows: given their positions, read in that order, forgotten after an hour.

A writer's transaction may commit long after a later one, so an id that it took itself would be passed over by a reader
who saw the later one first. Positions are therefore given to what has been committed, by one at a time, who lets the
next begin when his are committed: whoever has read a position has seen every earlier one.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from psycopg import sql
from psycopg.rows import dict_row

from lah_platform.rollups.windows import window
from lah_platform.stores.postgres import Connection
from lah_platform.stores.queries import queries
from lah_platform.stores.serving import Row

__all__ = ["KEPT", "Change", "Ends", "Place", "changes_after", "ends", "give_positions", "rows_of", "settle"]

KEPT: Final = timedelta(hours=1)
_Q = queries("live")
_OBJECTS: Final = {
    "anomaly": [("anomalies", "anomaly_id")],
    "alert": [("incidents", "incident_id"), ("checks", "alert_id")],
}

Place = tuple[int, int]
"""A position, and how many of its rows or objects have been told."""


@dataclass(frozen=True)
class Change:
    """One row or object that changed. `key` is of a rollup (bucket_start, series_id, metric), else None."""

    place: Place
    kind: str
    change: str
    tenant: str
    window: str | None
    key: tuple[datetime, int, str] | None
    object_id: UUID | None
    period: tuple[datetime, datetime] | None
    metrics: list[str] | None
    noted_at: datetime


@dataclass(frozen=True)
class Ends:
    """The oldest position that is kept, and the place behind the newest; (0, (0, 0)) when nothing ever changed."""

    oldest: int
    newest: Place


def give_positions(connection: Connection) -> bool:
    """Whether something was given its position; not when nothing waits, or another does it at this moment."""
    if connection.execute(_Q["is_waiting"]).fetchone() != (True,):
        return False
    with connection.transaction():
        if connection.execute(_Q["take_turn"]).fetchone() != (True,):
            return False
        return connection.execute(_Q["give_positions"]).rowcount > 0


def settle(connection: Connection) -> None:
    """Give positions to all that waits, and forget what is older than KEPT."""
    while give_positions(connection):
        pass
    connection.execute(_Q["forget"], {"kept": KEPT})


def ends(connection: Connection) -> Ends:
    """Where the stream begins and ends now."""
    row = connection.execute(_Q["ends"]).fetchone()
    return Ends(0, (0, 0)) if row is None else Ends(row[0], (row[1], row[2]))


def changes_after(connection: Connection, after: Place, *, tenant: str, limit: int) -> tuple[list[Change], Place]:
    """What changed behind `after` for a tenant ('*': for all), at most `limit`, and the place that this reaches to."""
    newest = ends(connection).newest
    asked = {"position": after[0], "ordinal": after[1], "head": newest[0], "tenant": tenant, "limit": limit}
    found = [_change(row) for row in connection.execute(_Q["changes_after"], asked)]
    return found, found[-1].place if len(found) == limit else max(after, newest)


def rows_of(connection: Connection, changes: Iterable[Change]) -> dict[Place, Row]:
    """What the lists show of each, as it is now; those that are not there any more are missing."""
    found: dict[Place, Row] = {}
    by_key: dict[str, dict[Any, list[Place]]] = {}
    for each in changes:
        if each.kind == "rollup" and each.key is not None and each.window is not None:
            by_key.setdefault(each.window, {}).setdefault(each.key, []).append(each.place)
        elif each.kind in _OBJECTS:
            by_key.setdefault(each.kind, {}).setdefault(each.object_id, []).append(each.place)
    for name, places in by_key.items():
        for key, row in _read(connection, name, list(places)):
            found |= dict.fromkeys(places[key], row)
    return found


def _read(connection: Connection, name: str, keys: Sequence[Any]) -> list[tuple[Any, Row]]:
    with connection.cursor(row_factory=dict_row) as cursor:
        if name in _OBJECTS:
            return [
                (row[id_of], row)
                for query, id_of in _OBJECTS[name]
                for row in cursor.execute(_Q[query], {"ids": keys}).fetchall()
            ]
        starts, series_ids, metrics = zip(*keys, strict=True)
        statement = sql.SQL(_Q["rollups"].decode()).format(view=sql.Identifier(window(name).view))
        asked = {"starts": list(starts), "series_ids": list(series_ids), "metrics": list(metrics)}
        return [
            ((row["bucket_start"], row["series_id"], row["metric"]), row) for row in cursor.execute(statement, asked)
        ]


def _change(row: tuple[Any, ...]) -> Change:
    position, ordinal, kind, change, tenant, window_name, *key, object_id, from_, to, metrics, noted_at = row
    return Change(
        place=(position, ordinal),
        kind=kind,
        change=change,
        tenant=tenant,
        window=window_name,
        key=None if key[0] is None else (key[0], key[1], key[2]),
        object_id=object_id,
        period=None if from_ is None else (from_, to),
        metrics=metrics,
        noted_at=noted_at,
    )
