"""How far each tenant's day can be believed: its checks weighed together (docs/quality.md)."""

import time
from datetime import UTC, datetime, timedelta

import dagster as dg

from assets.partitions import DAILY, days_of
from assets.resources import Hub
from assets.tables import table_spec
from lah_platform.stores.checks import refresh_scores

__all__ = ["quality_scores"]

_SPEC = table_spec(
    "quality_scores",
    "A score of 0 to 100 a tenant and day: the weighted share of its checks that passed.",
    group="quality",
    deps=["events", "ledger", "rollup_1d", "cost_daily"],
    partitions_def=DAILY,
)


@dg.multi_asset(name="score_quality", specs=[_SPEC], backfill_policy=dg.BackfillPolicy.single_run())
def quality_scores(context: dg.AssetExecutionContext, hub: Hub) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """Score the run's days from the latest verdicts that cover them; every verdict that is written does so too."""
    first, last = days_of(context)
    started = time.monotonic()
    with hub.connection() as connection:
        rows = refresh_scores(connection, first, last + timedelta(days=1), computed_at=datetime.now(UTC))
    return dg.MaterializeResult(
        metadata={"dagster/row_count": rows, "watermark": f"{last}", "seconds": round(time.monotonic() - started, 3)}
    )
