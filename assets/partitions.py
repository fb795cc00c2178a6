"""Days: the only partitions. Minutes are never partitions and never runs of their own."""

from datetime import UTC, date, datetime, timedelta

import dagster as dg

__all__ = ["DAILY", "FIRST_DAY", "days_of", "period_of"]

FIRST_DAY = "2025-01-01"  # no event is older than the retention of 400 days reaches from the first release
DAILY = dg.DailyPartitionsDefinition(start_date=FIRST_DAY, timezone="UTC", end_offset=1)  # today is a partition too


def days_of(context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext) -> tuple[date, date]:
    """First and last UTC day of the run's partition range, both included; today in a run without partitions."""
    tags = context.run.tags
    first = tags.get("dagster/asset_partition_range_start") or tags.get("dagster/partition")
    last = tags.get("dagster/asset_partition_range_end") or tags.get("dagster/partition")
    today = datetime.now(UTC).date()
    return (date.fromisoformat(first) if first else today, date.fromisoformat(last) if last else today)


def period_of(context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext) -> tuple[datetime, datetime]:
    """The half-open UTC period [start, end) of the run's days."""
    first, last = days_of(context)
    start = datetime(first.year, first.month, first.day, tzinfo=UTC)
    return start, datetime(last.year, last.month, last.day, tzinfo=UTC) + timedelta(days=1)
