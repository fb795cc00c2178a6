"""Priced tokens per day."""

import time
from collections.abc import Iterator

import dagster as dg

from assets.judging import check_results, check_specs, staged_judge
from assets.partitions import DAILY, days_of, period_of
from assets.resources import Hub
from assets.tables import table_spec
from lah_platform.stores.cold_events import refuse_cold_days
from lah_platform.stores.costs import compute_cost_daily
from lah_platform.stores.staging import RowsRefused

__all__ = ["cost_daily"]

_SPEC = table_spec(
    "cost_daily",
    "Requests, disjoint token buckets, reported and priced dollars per day, tenant, model, service and team.",
    group="costs",
    deps=["events"],
    partitions_def=DAILY,
)


@dg.multi_asset(
    name="compute_cost_daily",
    specs=[_SPEC],
    check_specs=check_specs("cost_daily", "cost_daily"),
    backfill_policy=dg.BackfillPolicy.single_run(),
)
def cost_daily(context: dg.AssetExecutionContext, hub: Hub) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:  # type: ignore[type-arg]
    """Price the run's days again from their events, by the prices valid at each event, and serve them once they passed
    their blocking checks; else the days stay as they were and the run fails."""
    first, last = days_of(context)
    start, end = period_of(context)
    started = time.monotonic()
    with hub.connection() as connection:
        refuse_cold_days(connection, first, last, what="cost_daily")
        judge, verdicts = staged_judge(connection, hub, "cost_daily", start, end, context.run.run_id)
        try:
            rows = compute_cost_daily(connection, first, last, judge=judge)
        except RowsRefused:
            yield from check_results(verdicts, "cost_daily")
            raise
    yield dg.MaterializeResult(
        metadata={"dagster/row_count": rows, "watermark": f"{last}", "seconds": round(time.monotonic() - started, 3)}
    )
    yield from check_results(verdicts, "cost_daily")
