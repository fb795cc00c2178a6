"""The code location `hub`: everything but the dbt marts. Tests and deployments differ by `resource_overrides`."""

from collections.abc import Mapping
from typing import Any

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from assets import (
    archive,
    audit,
    checks,
    costs,
    deliveries,
    failed_days,
    jobs,
    landing,
    quality_scores,
    report_periods,
    reports,
    rollups,
    signals,
)
from assets.resources import hub_resource
from sensors.backfill_requests import backfill_sensor
from sensors.due_deliveries import due_deliveries
from sensors.failed_partitions import failed_partitions
from sensors.landing_progress import landing_progress
from sensors.late_data import late_data_sensor

__all__ = ["build_defs", "defs"]


def build_defs(*, resource_overrides: Mapping[str, Any] | None = None) -> dg.Definitions:
    """All definitions; nothing is opened until an asset or sensor runs."""
    requestable = [job for job in jobs.JOBS if isinstance(job, UnresolvedAssetJobDefinition)]
    daily = next(job for job in requestable if job.name == "daily")
    return dg.Definitions(
        assets=[
            *landing.LANDING,
            archive.events_archive,
            rollups.rollups,
            costs.cost_daily,
            signals.anomalies,
            signals.forecasts,
            signals.correlations,
            signals.incidents,
            reports.compliance_report,
            audit.AUDIT_LOG,
            audit.audit_heads,
            *report_periods.PERIOD_REPORTS,
            deliveries.deliveries,
            quality_scores.quality_scores,
        ],
        asset_checks=[*checks.CHECKS, *failed_days.FAILED_DAY_CHECKS.values(), deliveries.deliveries_arrive],
        jobs=jobs.JOBS,
        schedules=jobs.SCHEDULES,
        sensors=[
            landing_progress,
            backfill_sensor("backfill_requests", requestable),
            late_data_sensor(daily),
            failed_partitions,
            due_deliveries,
        ],
        executor=dg.in_process_executor,  # a process a step would import the heavy libraries once per step
        resources={"hub": hub_resource()} | dict(resource_overrides or {}),
    )


defs = build_defs()
