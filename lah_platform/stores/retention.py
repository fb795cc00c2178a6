"""What is made ahead and what is dropped when it is old."""

from datetime import date, datetime, timedelta

from lah_platform.stores.audit import record
from lah_platform.stores.postgres import Connection
from lah_platform.stores.queries import queries

__all__ = ["drop_old_events", "make_partitions_ahead", "prune_dagster_events", "set_compression"]

_Q = queries("retention")
_DAYS_AHEAD = 7
_ACTOR = "maintenance"


def make_partitions_ahead(connection: Connection, today: date) -> int:
    """Make the event partitions of the coming week; TimescaleDB makes its chunks itself. Returns days covered."""
    for ahead in range(_DAYS_AHEAD + 1):
        connection.execute(_Q["ensure_partition"], {"day": today + timedelta(days=ahead)})
    return _DAYS_AHEAD


def drop_old_events(connection: Connection, before: date) -> list[str]:
    """Drop whole days of events before the UTC day `before`, with a line in the audit log; returns what was dropped.

    Takes an ACCESS EXCLUSIVE lock on each dropped day only for the moment of its drop.
    """
    with connection.transaction():
        dropped = [name for (name,) in connection.execute(_Q["drop_partitions"], {"before": before})]
        if dropped:
            record(connection, _ACTOR, "retention", "table", "events", "*", {"before": f"{before}", "dropped": dropped})
    return dropped


def prune_dagster_events(connection: Connection, before: datetime) -> int:
    """Delete Dagster's runless events older than `before` except the newest of each asset; returns how many rows.

    Runs keep theirs: deleting a run in Dagster deletes its events. Nothing when Dagster stores elsewhere.
    """
    if connection.execute("select to_regclass('dagster.event_logs')").fetchone() == (None,):
        return 0
    return connection.execute(_Q["prune_dagster_events"], {"before": before.replace(tzinfo=None)}).rowcount


def set_compression(connection: Connection, after: timedelta) -> bool:
    """Compress event chunks older than `after` where events are a hypertable; False on native partitions.

    Does nothing when that age is set already: changing the settings waits for, and holds up, whoever uses events.
    """
    if connection.execute(_Q["is_hypertable"]).fetchone() != (True,):
        return False
    if connection.execute(_Q["compression_age"]).fetchone() != (after,):
        with connection.transaction():
            connection.execute(_Q["drop_compression_policy"])
            connection.execute(_Q["set_compression"])
            connection.execute(_Q["compression_policy"], {"after": after})
    return True
