"""The standing check of failed days, asked every ten minutes."""

import dagster as dg

from assets.failed_days import CHECK_NAME, FAILED_DAY_CHECKS, failed_days, verdict_of

__all__ = ["failed_partitions"]


@dg.sensor(
    name="failed_partitions",
    minimum_interval_seconds=600,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Looks for days that failed and were not computed since; the check's metadata says how to repair them.",
)
def failed_partitions(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
    """Reports a table only when its verdict changed since the last tick: the cursor holds the failed days."""
    found = {table: failed_days(context.instance, table) for table in FAILED_DAY_CHECKS}
    seen = repr(sorted(found.items()))
    if seen == context.cursor:
        return dg.SkipReason("the same days as before")
    return dg.SensorResult(
        cursor=seen,
        asset_events=[
            dg.AssetCheckEvaluation(
                asset_key=dg.AssetKey(table),
                check_name=CHECK_NAME,
                passed=not days,
                metadata=verdict_of(table, days),
                severity=dg.AssetCheckSeverity.WARN,
            )
            for table, days in found.items()
        ],
    )
