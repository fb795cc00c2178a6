"""What anomaly detection remembers between runs, in PostgreSQL; and which of it late data has made stale."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from lah_platform.anomalies.memory import SeriesMemory
from lah_platform.anomalies.resume import Key
from lah_platform.stores.frames import copy_rows
from lah_platform.stores.postgres import Connection
from lah_platform.stores.queries import queries

__all__ = ["Revisions", "forget_outdated_memories", "read_memories", "read_revisions", "write_memories"]

Revisions = Mapping[Key, tuple[int, int]]
"""Of each series and metric the sum of its days' revisions, and how many days there are."""

_Q = queries("signals")
_TYPES = {
    "window_name": "text",
    "through": "timestamptz",
    "series_id": "int8",
    "metric": "text",
    "since": "timestamptz",
    "version": "text",
    "revisions": "int8",
    "days": "int8",
    "memory": "bytea",
}


def read_revisions(connection: Connection, metrics: Sequence[str], since: datetime, until: datetime) -> Revisions:
    """Of every series with rows in [since, until) UTC, whole days. Read it before the points it is to vouch for."""
    asked = {"metrics": list(metrics), "since": since, "until": until}
    rows = connection.execute(_Q["judged_revisions"], asked)
    return {(series_id, metric): (revisions, days) for series_id, metric, revisions, days in rows}


def read_memories(
    connection: Connection,
    series_ids: Sequence[int],
    *,
    window: str,
    since: datetime,
    through: datetime,
    version: str,
    revisions: Revisions,
) -> dict[Key, SeriesMemory]:
    """Memories of [since, through) UTC of those of the series that have all of theirs, made by `version` from rows that
    have not changed: whose `revisions` are the ones they were made from."""
    asked = {"window": window, "since": since, "through": through, "version": version, "series_ids": list(series_ids)}
    rows = connection.cursor(binary=True).execute(_Q["anomaly_memories"], asked)
    found = {
        (series_id, metric): kept
        for series_id, metric, made_of, days, kept in rows
        if revisions.get((series_id, metric)) == (made_of, days)
    }
    wanted = set(series_ids)
    stale = {key[0] for key in revisions if key[0] in wanted and key not in found}
    return {key: SeriesMemory.from_bytes(kept) for key, kept in found.items() if key[0] not in stale}


def write_memories(
    connection: Connection,
    memories: Mapping[Key, SeriesMemory],
    *,
    window: str,
    since: datetime,
    through: datetime,
    version: str,
    revisions: Revisions,
) -> None:
    """Keep what is remembered of [since, through) UTC, in place of what was of the same series up to then."""
    rows = [
        (window, through, *key, since, version, *revisions[key], memory.to_bytes())
        for key, memory in memories.items()
        if key in revisions
    ]
    with connection.transaction():
        asked = {"window": window, "through": through, "series_ids": sorted({key[0] for key in memories})}
        connection.execute(_Q["lock"], {"table": "anomaly_memories"})
        connection.execute(_Q["forget_anomaly_memories"], asked)
        copy_rows(connection, "anomaly_memories", list(_TYPES), list(_TYPES.values()), rows)


def forget_outdated_memories(connection: Connection, *, window: str) -> None:
    """Delete memories older than those that a run of the newest day and a repetition of it go on from."""
    connection.execute(_Q["outdated_anomaly_memories"], {"window": window})
