"""Old runs that computed whole tables: deleted with their events, which Dagster would keep for ever.

Runs over days stay, because their events say which days are materialized; the marts' runs, one every quarter of an hour
and 100 rows of Dagster's event log each, are most of what it would grow by.
"""

from datetime import datetime

import dagster as dg
from dagster._core.storage.dagster_run import FINISHED_STATUSES

__all__ = ["prune_runs"]

_MOST_AT_ONCE = 2000  # of each kind; the rest goes the next day
_PARTITIONED = ("dagster/partition", "dagster/asset_partition_range_start")
_WHOLE_TABLES: tuple[tuple[str | None, dict[str, str]], ...] = (
    ("marts", {}),
    ("maintenance", {}),
    (None, {"dagster/sensor_name": "marts_automation"}),
)


def prune_runs(instance: dg.DagsterInstance, before: datetime) -> int:
    """Delete finished runs of whole tables made before then (UTC); returns how many.

    A run that holds the newest materialization of an asset stays, however old.
    """
    newest = set()
    for record in instance.get_asset_records(instance.get_asset_keys()):
        entry = record.asset_entry
        newest |= {entry.last_run_id, entry.last_materialization.run_id if entry.last_materialization else None}
    deleted = 0
    for job, tags in _WHOLE_TABLES:
        old = dg.RunsFilter(job_name=job, tags=tags, statuses=list(FINISHED_STATUSES), created_before=before)
        for found in instance.get_run_records(old, limit=_MOST_AT_ONCE, ascending=True):
            run = found.dagster_run
            if run.run_id not in newest and not any(tag in run.tags for tag in _PARTITIONED):
                instance.delete_run(run.run_id)
                deleted += 1
    return deleted
