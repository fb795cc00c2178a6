"""Priced tokens per day."""

import time

import dagster as dg

from assets.partitions import DAILY, days_of
from assets.resources import Hub
from assets.tables import table_spec
from lah_platform.stores.cold_events import refuse_cold_days
from lah_platform.stores.costs import compute_cost_daily

__all__ = ["cost_daily"]

_SPEC = table_spec(
    "cost_daily",
    "Requests, disjoint token buckets, reported and priced dollars per day, tenant, model, service and team.",
    group="costs",
    deps=["events"],
    partitions_def=DAILY,
)


@dg.multi_asset(name="compute_cost_daily", specs=[_SPEC], backfill_policy=dg.BackfillPolicy.single_run())
def cost_daily(context: dg.AssetExecutionContext, hub: Hub) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """Price the run's days again from their events, by the prices valid at each event."""
    first, last = days_of(context)
    started = time.monotonic()
    with hub.connection() as connection:
        refuse_cold_days(connection, first, last, what="cost_daily")
        rows = compute_cost_daily(connection, first, last)
    return dg.MaterializeResult(
        metadata={"dagster/row_count": rows, "watermark": f"{last}", "seconds": round(time.monotonic() - started, 3)}
    )
