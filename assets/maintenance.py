"""The daily housekeeping job: partitions made ahead, old data and old bookkeeping dropped."""

import time
from datetime import UTC, datetime, timedelta

import dagster as dg

from assets.resources import Hub
from lah_platform.settings import settings
from lah_platform.stores.retention import drop_old_events, make_partitions_ahead, prune_dagster_events, set_compression

__all__ = ["EVENT_LOG_DAYS", "maintenance"]

EVENT_LOG_DAYS = 14  # a tick a minute leaves 11,500 rows a day in Dagster's event log, which it never prunes itself


@dg.op
def housekeeping(context: dg.OpExecutionContext, hub: Hub) -> None:
    """Make a week of partitions, drop events past their retention, prune Dagster's event log."""
    started = time.monotonic()
    now = datetime.now(UTC)
    with hub.connection() as connection:
        made = make_partitions_ahead(connection, now.date())
        dropped = drop_old_events(connection, now.date() - timedelta(days=settings().retention_days))
        compressed = set_compression(connection, timedelta(days=settings().compress_after_days))
        pruned = prune_dagster_events(connection, now - timedelta(days=EVENT_LOG_DAYS))
    context.add_output_metadata(
        {
            "partitions_ahead": made,
            "dropped": ", ".join(dropped) or "nothing",
            "compression": "set" if compressed else "not offered by this server",
            "event_log_rows_pruned": pruned,
            "seconds": round(time.monotonic() - started, 3),
        }
    )


@dg.job(executor_def=dg.in_process_executor, description="Partitions ahead, retention of events and event log.")
def maintenance() -> None:
    """See housekeeping."""
    housekeeping()
