"""Jobs and their schedules (UTC). A job is what one backfill request names; see stores/backfills.py."""

from collections.abc import Callable
from datetime import date, timedelta

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from assets.maintenance import maintenance
from assets.partitions import FIRST_DAY
from assets.report_periods import asset_of, partition_of
from assets.resources import Hub
from lah_platform.compliance.periods import PERIODS
from lah_platform.compliance.schedules import ReportSchedule
from lah_platform.rollups.windows import WINDOWS
from lah_platform.settings import settings
from lah_platform.stores.archive import due_days
from lah_platform.stores.report_plan import load_plan

__all__ = ["JOBS", "SCHEDULES", "maintenance"]

_WINDOWS = [window.table for window in WINDOWS]
_DAILY_TABLES = ["cost_daily", "anomalies", "correlations", "incidents"]
_DAY = timedelta(days=1)


def _job(
    name: str, tables: list[str], description: str, *, watched: list[str] | None = None
) -> UnresolvedAssetJobDefinition:
    assets = dg.AssetSelection.assets(*tables)
    checks = dg.AssetSelection.checks_for_assets(*tables, *(watched or []))
    return dg.define_asset_job(name, selection=assets | checks, description=description)


JOBS: list[UnresolvedAssetJobDefinition | dg.JobDefinition] = [
    _job(
        "daily",
        [*_DAILY_TABLES, "forecasts", "compliance_report", "quality_scores"],
        "Costs, signals and the evidence report of the days, after every check on what they are made from.",
        watched=["events", "ledger", *_WINDOWS],
    ),
    _job("rollups", _WINDOWS, "Recompute whole days of all eight windows, and check them."),
    *[_job(table, [table], f"Recompute {table}, and check it.") for table in _DAILY_TABLES],
    _job("events_archive", ["events_archive"], "Write closed days of events to the archive, and verify them."),
    _job("forecasts", ["forecasts"], "Forecast again from everything up to now."),
    _job("quality_scores", ["quality_scores"], "Scores of the days, from the latest verdicts that cover them."),
    _job("compliance_report", ["compliance_report"], "The evidence report of the days."),
    _job("audit", ["audit_heads"], "Verify the audit log, sign its head, send heads that have not arrived outside."),
    *[_job(asset_of(period), [asset_of(period)], f"The scheduled reports of a {period}.") for period in PERIODS],
    _job("deliveries", ["deliveries"], "One attempt of every delivery that is due."),
    maintenance,
]


def _range(job: str, first: date, last: date, *, at: str = "") -> dg.RunRequest:
    """One run of `job` over the days `first` to `last`, both included; `at` tells later runs of them apart."""
    return dg.RunRequest(
        run_key=f"{job}-{first}-{last}{at}",
        tags={"dagster/asset_partition_range_start": f"{first}", "dagster/asset_partition_range_end": f"{last}"},
    )


def _schedule(
    name: str, job: str, cron: str, description: str, days: Callable[[date], tuple[date, date]]
) -> dg.ScheduleDefinition:
    def run_request(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        return _range(job, *days(context.scheduled_execution_time.date()))

    return dg.ScheduleDefinition(
        name=name,
        job_name=job,
        cron_schedule=cron,
        execution_timezone="UTC",
        execution_fn=run_request,
        description=description,
        default_status=dg.DefaultScheduleStatus.RUNNING,
    )


def _yesterday(today: date) -> tuple[date, date]:
    return today - _DAY, today - _DAY


def _report_schedule(name: str, planned: ReportSchedule) -> dg.ScheduleDefinition:
    period, job = PERIODS[planned.period], asset_of(planned.period)

    def run_request(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        at = context.scheduled_execution_time
        return dg.RunRequest(
            run_key=f"{name}-{at:%Y-%m-%dT%H:%M}",
            partition_key=partition_of(period, at.date()),
            run_config={"ops": {f"make_{job}": {"config": {"schedule": name}}}},
        )

    to = f", to {', '.join(planned.deliver)}" if planned.deliver else ""
    return dg.ScheduleDefinition(
        name=f"report_{name}",
        job_name=job,
        cron_schedule=planned.cron,
        execution_timezone="UTC",
        execution_fn=run_request,
        description=f"{', '.join(planned.reports)} of the last whole {planned.period}{to}.",
        default_status=dg.DefaultScheduleStatus.RUNNING,
    )


@dg.schedule(
    name="archive",
    job_name="events_archive",
    cron_schedule="5 0 * * *",
    execution_timezone="UTC",
    description="Yesterday into the archive, and days that were never archived or have late rows since.",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
def _archive(context: dg.ScheduleEvaluationContext, hub: Hub) -> list[dg.RunRequest] | dg.SkipReason:
    if hub.archive is None:
        return dg.SkipReason("There is no archive: LAH_ARCHIVE_DIR is not set")
    today = context.scheduled_execution_time.date()
    since = max(date.fromisoformat(FIRST_DAY), today - settings().retention_days * _DAY)
    with hub.connection() as connection:
        due = due_days(connection, since, today)
    starts = [day for day in due if day - _DAY not in due]
    ends = [day for day in due if day + _DAY not in due]
    if not due:
        return dg.SkipReason("Every closed day is in the archive")
    return [_range("events_archive", first, last, at=f"-{today}") for first, last in zip(starts, ends, strict=True)]


SCHEDULES = [
    _archive,
    _schedule("daily", "daily", "30 0 * * *", "Costs, signals, forecasts and checks of yesterday.", _yesterday),
    *[_report_schedule(name, each) for name, each in load_plan(settings()).schedules.items()],
    dg.ScheduleDefinition(
        name="audit",
        job_name="audit",
        cron_schedule="17 * * * *",
        execution_timezone="UTC",
        description="The audit log verified and its head signed; all of it just after midnight, else two days.",
        default_status=dg.DefaultScheduleStatus.RUNNING,
    ),
    _schedule("quality_scores", "quality_scores", "30 1 * * *", "Scores of yesterday.", _yesterday),
    dg.ScheduleDefinition(
        name="maintenance",
        job_name="maintenance",
        cron_schedule="10 0 * * *",
        execution_timezone="UTC",
        description="Partitions ahead, retention of events and of Dagster's own event log.",
        default_status=dg.DefaultScheduleStatus.RUNNING,
    ),
]
