"""What is made ahead, and what leaves PostgreSQL for the archive; what leaves for good is in `retention_run`."""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from pathlib import Path

from psycopg import errors, sql

from lah_platform.errors import ArchiveError
from lah_platform.stores.archive import archived_files, day_lock, is_sum_of, stored_summary
from lah_platform.stores.archive_files import check_file
from lah_platform.stores.audit import record
from lah_platform.stores.postgres import Connection
from lah_platform.stores.queries import queries

__all__ = [
    "drop_archived_day",
    "drop_archived_days",
    "make_partitions_ahead",
    "prune_dagster_checks",
    "prune_dagster_events",
    "set_compression",
]

_Q = queries("retention")
_ARCHIVE = queries("archive")
_DAYS_AHEAD = 7
_PATIENCE = timedelta(seconds=5)  # landing waits behind whoever waits to drop a part of events
_MILLISECOND = timedelta(milliseconds=1)
_ACTOR = "maintenance"


def make_partitions_ahead(connection: Connection, today: date) -> int:
    """Make the event partitions of the coming week; TimescaleDB makes its chunks itself. Returns days covered."""
    for ahead in range(_DAYS_AHEAD + 1):
        connection.execute(_Q["ensure_partition"], {"day": today + timedelta(days=ahead)})
    return _DAYS_AHEAD


def drop_archived_days(connection: Connection, folder: Path, before: date) -> Mapping[date, str]:
    """Drop the UTC days before `before` whose rows are all in verified files; returns why others stayed, by day."""
    stayed = {}
    for (day,) in connection.execute(_ARCHIVE["stored_days"], {"before": before}).fetchall():
        try:
            reason = drop_archived_day(connection, folder, day)
        except (errors.LockNotAvailable, errors.DeadlockDetected):
            reason = "somebody is using events; the next maintenance tries again"
        except ArchiveError as error:
            reason = str(error)
        if reason is not None:
            stayed[day] = reason
    return stayed


def drop_archived_day(
    connection: Connection, folder: Path, day: date, *, patience: timedelta = _PATIENCE
) -> str | None:
    """Drop a UTC day from PostgreSQL if each of its rows is in a verified file; returns why not, or None when it did.

    Writers of the day wait while its rows and the files are compared once more; readers of events wait for the moment
    of the drop only. With a line in the audit log. Raises ArchiveError when a file is missing or was altered,
    LockNotAvailable when somebody holds the day or events for longer than `patience`.
    """
    with day_lock(connection, day):
        files = [file for file in archived_files(connection, day, day) if not file.is_dropped]
        for file in files:
            check_file(folder, file)
        with connection.transaction():
            (table,) = connection.execute(_ARCHIVE["day_table"], {"day": day}).fetchone() or (None,)
            if table is None:
                return "it has no partition or chunk of its own"
            connection.execute(_ARCHIVE["wait_at_most"], {"milliseconds": f"{patience // _MILLISECOND}"})
            connection.execute(sql.SQL(_ARCHIVE["lock_writers"].decode()).format(table=sql.SQL(table)))
            stored = stored_summary(connection, day)
            if not is_sum_of(stored, files):
                return (
                    f"{stored.rows} rows are in PostgreSQL and {sum(file.rows for file in files)} of them in verified "
                    f"files, or others: `lah backfill events_archive --from {day} --to {day}`"
                )
            connection.execute(_ARCHIVE["lock_rollups"])
            connection.execute(_ARCHIVE["drop_day"], {"day": day})
            if files:
                connection.execute(_ARCHIVE["note_drop"], {"day": day})
                details = {"day": f"{day}", "rows": stored.rows, "files": [file.path for file in files]}
                record(connection, _ACTOR, "drop archived day", "table", "events", "*", details)
    return None


def prune_dagster_events(connection: Connection, before: datetime) -> int:
    """Delete Dagster's runless events older than `before` except the newest of each asset; returns how many rows.

    Runs keep theirs: deleting a run in Dagster deletes its events. Nothing when Dagster stores elsewhere.
    """
    if connection.execute("select to_regclass('dagster.event_logs')").fetchone() == (None,):
        return 0
    return connection.execute(_Q["prune_dagster_events"], {"before": before.replace(tzinfo=None)}).rowcount


def prune_dagster_checks(connection: Connection, before: datetime) -> int:
    """Delete what Dagster keeps of checks older than `before`, except the newest of each; returns how many rows.

    Nothing when Dagster stores elsewhere.
    """
    if connection.execute("select to_regclass('dagster.asset_check_executions')").fetchone() == (None,):
        return 0
    return connection.execute(_Q["prune_dagster_checks"], {"before": before.replace(tzinfo=None)}).rowcount


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
