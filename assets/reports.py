"""The compliance reports: every framework over the run's days, kept as revisions, with files beside them."""

import time
from datetime import UTC, datetime

import dagster as dg

from assets.partitions import DAILY, days_of
from assets.resources import Hub
from assets.tables import table_spec
from lah_platform.settings import settings
from lah_platform.stores.report_files import make_reports

__all__ = ["compliance_report"]

_SPEC = table_spec(
    "reports",
    "Evidence of SOC 2, GDPR, HIPAA, the EU AI Act and ISO/IEC 42001 over a period, as HTML, PDF, JSON and CSV,"
    " each number with its query.",
    group="reports",
    deps=["events", "dead_letters", "ledger", "rollup_1d", "cost_daily", "anomalies", "incidents"],
    key="compliance_report",
    partitions_def=DAILY,
)


@dg.multi_asset(name="compute_compliance_report", specs=[_SPEC], backfill_policy=dg.BackfillPolicy.single_run())
def compliance_report(context: dg.AssetExecutionContext, hub: Hub) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """One report of each framework over all days of the run, for all tenants together."""
    first, last = days_of(context)
    started = time.monotonic()
    with hub.connection() as connection:
        made = make_reports(
            connection,
            settings().model_copy(update={"home": hub.folder}),
            start=first,
            end=last,
            actor=f"dagster:{context.run.run_id}",
            now=datetime.now(UTC),
        )
    rows = [
        dg.TableRecord(
            {
                "framework": each.run.entry.name,
                "revision": each.run.entry.revision,
                "new": each.is_new,
                **{name: int(count) for name, count in each.run.content["summary"].items()},
            }
        )
        for each in made
    ]
    return dg.MaterializeResult(
        metadata={
            "reports": dg.MetadataValue.table(rows),
            "folder": dg.MetadataValue.path(hub.folder / "reports"),
            "dagster/row_count": len(made),
            "watermark": f"{last}",
            "seconds": round(time.monotonic() - started, 3),
        }
    )
