"""The standing check that no day of a table is left failed, with recovery text for an operator."""

from datetime import UTC, datetime

import dagster as dg
from dagster._core.storage.partition_status_cache import AssetPartitionStatus

from assets.partitions import DAILY

__all__ = ["CHECK_NAME", "FAILED_DAY_CHECKS", "failed_days", "verdict_of"]

CHECK_NAME = "no_failed_days"
_LOOK_BACK_DAYS = 60
# the windows fail together: one stands for all
_TABLES = ("rollup_1m", "cost_daily", "anomalies", "correlations", "incidents")


def failed_days(instance: dg.DagsterInstance, table: str) -> list[str]:
    """UTC days of the last 60 whose latest run for `table` failed."""
    keys = DAILY.get_partition_keys(current_time=datetime.now(UTC))[-_LOOK_BACK_DAYS:]
    found = instance.get_status_by_partition(dg.AssetKey(table), keys, DAILY) or {}
    return sorted(day for day, status in found.items() if status == AssetPartitionStatus.FAILED)


def verdict_of(table: str, days: list[str]) -> dict[str, str | int]:
    """Metadata of the verdict: how many, which, and the command that repairs them."""
    if not days:
        return {"failed_days": 0}
    return {
        "failed_days": len(days),
        "days": ", ".join(days),
        "what_to_do": "Read the failed run, repair its cause, then "
        f"`lah backfill {table} --from {days[0]} --to {days[-1]}`",
    }


def _check(table: str) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=table,
        name=CHECK_NAME,
        description="No day of the last 60 is left failed; the metadata says how to repair.",
    )
    def check(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        days = failed_days(context.instance, table)
        return dg.AssetCheckResult(
            passed=not days, metadata=verdict_of(table, days), severity=dg.AssetCheckSeverity.WARN
        )

    return check


FAILED_DAY_CHECKS = {table: _check(table) for table in _TABLES}
