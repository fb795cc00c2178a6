"""Reports of whole weeks, months and quarters as partitions: pick one in the UI and materialize it.

Every scheduled report of that length is made; one that was made before comes as it is stored, byte for byte.
"""

import time
from datetime import UTC, date, datetime

import dagster as dg

from assets.partitions import FIRST_DAY
from assets.resources import Hub
from assets.tables import table_spec
from lah_platform.compliance.periods import PERIODS, Period
from lah_platform.settings import settings
from lah_platform.stores.planned_reports import make_planned
from lah_platform.stores.report_plan import load_plan

__all__ = ["PERIOD_PARTITIONS", "PERIOD_REPORTS", "ReportConfig", "asset_of", "partition_of"]

_FORMAT = "%Y-%m-%d"
PERIOD_PARTITIONS: dict[str, dg.TimeWindowPartitionsDefinition] = {
    "day": dg.DailyPartitionsDefinition(start_date=FIRST_DAY, timezone="UTC"),
    **{
        name: dg.TimeWindowPartitionsDefinition(
            start=f"{PERIODS[name].start(date.fromisoformat(FIRST_DAY))}",
            fmt=_FORMAT,
            timezone="UTC",
            cron_schedule=PERIODS[name].cron,
        )
        for name in ("week", "month", "quarter")
    },
}
_NAMES = {"day": "daily", "week": "weekly", "month": "monthly", "quarter": "quarterly"}


class ReportConfig(dg.Config):
    """Which of the schedules of this length; none named: all of them."""

    schedule: str | None = None


def asset_of(period: str) -> str:
    """The asset, and the job, that makes reports of that length."""
    return f"{_NAMES[period]}_reports"


def partition_of(period: Period, today: date) -> str:
    """The partition of the last whole period on `today`: its first day."""
    return f"{period.last_whole(today)[0]:{_FORMAT}}"


def _asset(period: Period) -> dg.AssetsDefinition:
    spec = table_spec(
        "reports",
        f"The scheduled reports of each whole {period.name}; a partition is named by its first day (UTC).",
        group="reports",
        deps=["events", "dead_letters", "ledger", "cost_daily", "anomalies", "incidents"],
        key=asset_of(period.name),
        partitions_def=PERIOD_PARTITIONS[period.name],
    )

    @dg.multi_asset(name=f"make_{asset_of(period.name)}", specs=[spec])
    def reports(context: dg.AssetExecutionContext, config: ReportConfig, hub: Hub) -> dg.MaterializeResult:  # type: ignore[type-arg]
        from api.access import ROLES

        window = context.partition_time_window
        started, now = time.monotonic(), datetime.now(UTC)
        chosen = settings().model_copy(update={"home": hub.folder})
        plan = load_plan(chosen)
        names = [name for name in plan.of_period(period.name) if config.schedule in (None, name)]
        if config.schedule is not None and not names:
            raise dg.Failure(f"No schedule of a {period.name} is called {config.schedule!r}", allow_retries=False)
        made = []
        with hub.connection() as connection:
            for name in names:
                planned = make_planned(
                    connection,
                    chosen,
                    plan,
                    name,
                    roles={role: frozenset(permissions) for role, permissions in ROLES.items()},
                    start=window.start.date(),
                    end=window.end.date(),
                    actor=f"dagster:{context.run.run_id}",
                    now=now,
                )
                for reason in planned.left_out:
                    context.log.warning("%s: %s", name, reason)
                made.append(planned)
        runs = [run for planned in made for run in planned.runs]
        return dg.MaterializeResult(
            metadata={
                "reports": dg.MetadataValue.md("\n".join(f"- {run.entry.name} r{run.entry.revision}" for run in runs)),
                "schedules": ", ".join(names) or "none of this length",
                "deliveries_asked": sum(planned.deliveries_asked for planned in made),
                "left_out": sum(len(planned.left_out) for planned in made),
                "dagster/row_count": len(runs),
                "watermark": f"{window.end.date()}",
                "seconds": round(time.monotonic() - started, 3),
            }
        )

    return reports


PERIOD_REPORTS = [_asset(period) for period in PERIODS.values()]
