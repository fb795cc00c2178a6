"""What a plan asks for: reports of a period, made once, and their documents handed to the deliveries."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from lah_platform.compliance.schedules import Plan, ReportSchedule
from lah_platform.settings import Settings
from lah_platform.stores.deliveries import ask_delivery
from lah_platform.stores.facts_reports import FACTS, TooLate, keep_facts
from lah_platform.stores.postgres import Connection
from lah_platform.stores.report_files import make_reports, write_files
from lah_platform.stores.report_runs import ReportRun
from lah_platform.stores.signing_key import hub_signer

__all__ = ["Planned", "make_planned"]

_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Planned:
    """One schedule's reports of one period, how many deliveries were asked for now, and what was left out and why."""

    schedule: str
    runs: Sequence[ReportRun]
    deliveries_asked: int
    left_out: Sequence[str]


def make_planned(
    connection: Connection,
    settings: Settings,
    plan: Plan,
    name: str,
    *,
    roles: Mapping[str, frozenset[str]],
    start: date,
    end: date,
    actor: str,
    now: datetime,
) -> Planned:
    """Make what the schedule `name` says of the UTC days [start, end), and have it delivered; `now` is UTC.

    What was made before comes as it is stored. What is configured now is left out of a period that is long past. Raises
    ConfigurationError for what cannot be made.
    """
    schedule, left_out, runs = plan.schedules[name], [], []
    if frameworks := [report for report in schedule.reports if report not in FACTS]:
        made = make_reports(
            connection, settings, frameworks, tenant=schedule.tenant, start=start, end=end - _DAY, actor=actor, now=now
        )
        runs += [each.run for each in made]
    for report in (report for report in schedule.reports if report in FACTS):
        try:
            run = keep_facts(
                connection,
                settings,
                report,
                roles=roles,
                plan=plan,
                tenant=schedule.tenant,
                start=start,
                end=end,
                signer=hub_signer(settings),
                actor=actor,
                now=now,
            )
        except TooLate as error:
            left_out.append(error.message)
            continue
        write_files(settings.home, run)
        runs.append(run)
    asked = sum(_ask(connection, plan, schedule, run, now) for run in runs)
    return Planned(name, runs, asked, left_out)


def _ask(connection: Connection, plan: Plan, schedule: ReportSchedule, run: ReportRun, now: datetime) -> int:
    documents = [each for each in schedule.documents if each in run.documents]
    return sum(
        ask_delivery(connection, run.entry.report_id, documents, target=each, kind=plan.targets[each].kind, now=now)
        for each in schedule.deliver
    )
