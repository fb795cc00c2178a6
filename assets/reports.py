"""The compliance report: evidence for the run's days, kept with the sources of its numbers."""

import time
from datetime import UTC, datetime

import dagster as dg

from assets.partitions import DAILY, days_of
from assets.resources import Hub
from assets.tables import table_spec
from lah_platform.stores.report_files import make_report

__all__ = ["compliance_report"]

_NAME = "compliance_evidence"
_SPEC = table_spec(
    "reports",
    "Evidence for SOC 2, GDPR and HIPAA controls over a period, as HTML and JSON, each number with its query.",
    group="reports",
    deps=["events", "dead_letters", "ledger", "cost_daily", "anomalies", "correlations"],
    key="compliance_report",
    partitions_def=DAILY,
)


@dg.multi_asset(name="compute_compliance_report", specs=[_SPEC], backfill_policy=dg.BackfillPolicy.single_run())
def compliance_report(context: dg.AssetExecutionContext, hub: Hub) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """One report over all days of the run, for all tenants together."""
    first, last = days_of(context)
    started = time.monotonic()
    with hub.connection() as connection:
        path = make_report(
            connection,
            hub.folder,
            _NAME,
            tenant="*",
            start=first,
            end=last,
            actor=f"dagster:{context.run.run_id}",
            now=datetime.now(UTC),
        )
    return dg.MaterializeResult(
        metadata={
            "html": dg.MetadataValue.path(path),
            "json": dg.MetadataValue.path(path.with_suffix(".json")),
            "dagster/row_count": 1,
            "watermark": f"{last}",
            "seconds": round(time.monotonic() - started, 3),
        }
    )
