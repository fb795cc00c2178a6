"""The eight windows. Live, the sensor landing_progress merges partials; here whole days are computed again."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial

import dagster as dg
from pydantic import Field

from assets.partitions import DAILY, days_of
from assets.progress import day_reporter
from assets.resources import Hub
from assets.tables import table_spec
from lah_platform.rollups.metrics import METRICS, metric
from lah_platform.rollups.windows import WINDOWS
from lah_platform.stores.cold_events import cold_rows
from lah_platform.stores.rollups import recompute_days

__all__ = ["rollups"]

_SPECS = [
    table_spec(
        window.table,
        f"Count, sum, avg, min, max, stddev, p50, p95 and p99 of every metric and series per {window.name}, mergeable.",
        group="rollups",
        deps=[window.source.table] if window.source else ["events", "rollup_partials"],
        partitions_def=DAILY,
        freshness_policy=dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=24)),
    )
    for window in WINDOWS
]


class Chosen(dg.Config):
    """What of the days is computed again."""

    metrics: list[str] = Field(default=[], description="Only these metrics; none named: all of them.")


@dg.multi_asset(name="compute_rollups", specs=_SPECS, backfill_policy=dg.BackfillPolicy.single_run())
def rollups(context: dg.AssetExecutionContext, config: Chosen, hub: Hub) -> Iterator[dg.MaterializeResult]:  # type: ignore[type-arg]
    """Compute the run's days again from their events and replace exactly these days' rows."""
    first, last = days_of(context)
    started = time.monotonic()
    with hub.connection() as connection:
        reader = partial(cold_rows, archive_dir=hub.archive)
        rows = recompute_days(
            connection,
            first,
            last + timedelta(days=1),
            now=datetime.now(UTC),
            metrics=[metric(name) for name in config.metrics] or METRICS,
            cold_rows=reader,
            on_day=day_reporter(context, connection),
        )
    for window in WINDOWS:
        yield dg.MaterializeResult(
            asset_key=window.table,
            metadata={
                "dagster/row_count": rows[window.name],
                "watermark": dg.MetadataValue.text(f"{last}"),
                "seconds": round(time.monotonic() - started, 3),
            },
        )
