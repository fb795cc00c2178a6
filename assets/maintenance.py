"""The daily housekeeping job: partitions made ahead, old data and old bookkeeping dropped."""

import time
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta

import dagster as dg

from assets.old_runs import prune_runs
from assets.resources import Hub
from lah_platform.settings import settings
from lah_platform.stores.retention import (
    drop_archived_days,
    drop_old_events,
    expire_archive,
    make_partitions_ahead,
    prune_dagster_checks,
    prune_dagster_events,
    set_compression,
)
from lah_platform.stores.retention_setting import note_retention

__all__ = ["EVENT_LOG_DAYS", "maintenance"]

EVENT_LOG_DAYS = 14  # the lineage leaves up to 3,000 rows a day in Dagster's event log, which it never prunes itself


@dg.op
def housekeeping(context: dg.OpExecutionContext, hub: Hub) -> None:
    """Make a week of partitions, drop events past their retention or in the archive, prune Dagster's event log."""
    started = time.monotonic()
    now = datetime.now(UTC)
    oldest = now.date() - timedelta(days=settings().retention_days)
    expired = 0
    kept: Mapping[date, str] = {}
    with hub.connection() as connection:
        note_retention(
            connection,
            retention_days=settings().retention_days,
            hot_days=hub.hot_days,
            has_archive=hub.archive is not None,
            actor="maintenance",
        )
        made = make_partitions_ahead(connection, now.date())
        dropped = drop_old_events(connection, oldest)
        if hub.archive is not None:
            expired = expire_archive(connection, hub.archive, oldest)
            if hub.hot_days is not None:
                kept = drop_archived_days(connection, hub.archive, now.date() - timedelta(days=hub.hot_days))
        compressed = set_compression(connection, timedelta(days=settings().compress_after_days))
        pruned = prune_dagster_events(connection, now - timedelta(days=EVENT_LOG_DAYS))
        verdicts = prune_dagster_checks(connection, now - timedelta(days=EVENT_LOG_DAYS))
    runs = prune_runs(context.instance, now - timedelta(days=EVENT_LOG_DAYS))
    for day, reason in kept.items():
        context.log.warning("%s stays in PostgreSQL: %s", day, reason)
    context.add_output_metadata(
        {
            "partitions_ahead": made,
            "dropped": ", ".join(dropped) or "nothing",
            "archive_files_expired": expired,
            "days_not_yet_dropped": len(kept),
            "compression": "set" if compressed else "not offered by this server",
            "event_log_rows_pruned": pruned,
            "verdicts_pruned": verdicts,
            "runs_pruned": runs,
            "seconds": round(time.monotonic() - started, 3),
        }
    )


@dg.job(executor_def=dg.in_process_executor, description="Partitions ahead, retention of events and event log.")
def maintenance() -> None:
    """See housekeeping."""
    housekeeping()
