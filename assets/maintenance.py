"""The daily housekeeping job: partitions made ahead, old data and old bookkeeping dropped."""

import time
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from functools import partial

import dagster as dg

from assets.old_runs import prune_runs
from assets.resources import Hub
from lah_platform.settings import EVENT_LOG_DAYS, settings
from lah_platform.stores.cold_events import cold_rows
from lah_platform.stores.dead_letters import expire_bytes
from lah_platform.stores.retention import (
    drop_archived_days,
    make_partitions_ahead,
    prune_dagster_checks,
    prune_dagster_events,
    set_compression,
)
from lah_platform.stores.retention_rules import due_now
from lah_platform.stores.retention_run import run_retention
from lah_platform.stores.retention_setting import note_retention
from lah_platform.stores.rollups import recompute_day
from lah_platform.stores.signing_key import hub_signer

__all__ = ["maintenance"]


@dg.op
def housekeeping(context: dg.OpExecutionContext, hub: Hub) -> None:
    """Make a week of partitions, drop what is past its retention or in the archive, prune Dagster's event log."""
    started = time.monotonic()
    now = datetime.now(UTC)
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
        again = partial(recompute_day, connection, now=now, cold_rows=partial(cold_rows, archive_dir=hub.archive))
        retention = run_retention(
            connection,
            due_now(connection, now.date(), most_days=settings().retention_days),
            now=now,
            actor="maintenance",
            signer=lambda: hub_signer(settings()),
            archive_dir=hub.archive,
            recompute=again,
        )
        letters = expire_bytes(connection, now - timedelta(days=settings().dead_letter_days))
        if hub.archive is not None and hub.hot_days is not None:
            kept = drop_archived_days(connection, hub.archive, now.date() - timedelta(days=hub.hot_days))
        compressed = set_compression(connection, timedelta(days=settings().compress_after_days))
        pruned = prune_dagster_events(connection, now - timedelta(days=EVENT_LOG_DAYS))
        verdicts = prune_dagster_checks(connection, now - timedelta(days=EVENT_LOG_DAYS))
    runs = prune_runs(context.instance, now - timedelta(days=EVENT_LOG_DAYS))
    for day, reason in kept.items():
        context.log.warning("%s stays in PostgreSQL: %s", day, reason)
    for what, reason in retention.not_done.items():
        context.log.warning("retention of %s was not done: %s", what, reason)
    context.add_output_metadata(
        {
            "partitions_ahead": made,
            "rows_past_retention": sum(drop.rows_dropped for drop in retention.drops),
            "rows_under_legal_hold": sum(drop.rows_held for drop in retention.drops),
            "retention_receipt": "none" if retention.document is None else retention.document["receipt"]["run_id"],
            "retention_not_done": len(retention.not_done),
            "dead_letters_expired": letters,
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
