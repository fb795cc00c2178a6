"""Commands below `lah report`: what is scheduled, what was delivered, what was not, and trying again."""

import os
from datetime import UTC, datetime
from getpass import getuser
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from lah_platform.errors import ConfigurationError
from lah_platform.settings import settings

if TYPE_CHECKING:
    from lah_platform.stores.postgres import Connection

__all__ = ["controls", "deliveries", "schedules"]

deliveries = typer.Typer(
    help="Reports on their way to folders, object stores and webhooks. Example: lah report deliveries list --missing",
    no_args_is_help=True,
)


def schedules() -> None:
    """Read the plan of LAH_REPORT_SCHEDULES again: what is made when and where it goes, or what is wrong with it.

    Example: LAH_REPORT_SCHEDULES=plan.yaml lah report schedules
    """
    from lah_platform.stores.report_plan import load_plan

    plan = load_plan(settings())
    for name, each in plan.schedules.items():
        where = f" -> {', '.join(each.deliver)} ({', '.join(each.documents)})" if each.deliver else ""
        whose = "" if each.tenant == "*" else f" of {each.tenant}"
        print(f"{name}: {', '.join(each.reports)}{whose}, every last {each.period}, at '{each.cron}' UTC{where}")
    for name, target in plan.targets.items():
        missing = [variable for variable in target.variables if not os.environ.get(variable)]
        print(f"{name}: {target.kind} {target.place}" + (f"; not set here: {', '.join(missing)}" if missing else ""))


@deliveries.command("list")
def _list(
    missing: Annotated[bool, typer.Option("--missing", help="Only those that have not arrived.")] = False,
    limit: Annotated[int, typer.Option(min=1)] = 50,
) -> None:
    """The newest deliveries: what, where to, how often it was tried and why it failed. Times are UTC.

    Example: lah report deliveries list --missing
    """
    from lah_platform.stores.deliveries import list_deliveries

    with _connected() as connection:
        found = list_deliveries(connection, only_missing=missing, limit=limit)
    for each in found:
        at = each.delivered_at or each.next_attempt_at
        when = f" {'at' if each.delivered_at else 'next'} {at:%Y-%m-%d %H:%M}" if at else ""
        why = f": {each.last_error}" if each.last_error else ""
        print(
            f"{each.delivery_id} {each.state}{when}, {each.attempts} attempts, {each.report} {each.document}"
            f" to {each.kind} {each.target}{why}"
        )
    if not found:
        print("There are none")


@deliveries.command("retry")
def _retry(
    ids: Annotated[list[UUID], typer.Argument(help="Which, as `lah report deliveries list` shows them.")],
) -> None:
    """Have deliveries that wait or were given up tried at once, with all their attempts.

    Example: lah report deliveries retry 7b0fd1a4-4d5c-4c36-8a0a-6f1f6f0f9b22
    """
    from lah_platform.stores.deliveries import deliver_again

    with _connected() as connection:
        for each in ids:
            if not deliver_again(connection, each, actor=_actor(), now=datetime.now(UTC)):
                raise ConfigurationError(
                    f"{each} has arrived, is being sent, or is none", "`lah report deliveries list`"
                )
            print(f"{each} is due now")


@deliveries.command("send")
def _send() -> None:
    """Make one attempt of everything that is due, from here and now; Dagster does so every half minute.

    Example: lah report deliveries send
    """
    from lah_platform.stores.deliveries import deliver_due
    from lah_platform.stores.delivery_targets import make_targets
    from lah_platform.stores.report_plan import load_plan
    from lah_platform.stores.signing_key import hub_signer

    targets = make_targets(load_plan(settings()).targets, hub_signer(settings()), os.environ)
    with _connected() as connection:
        arrived, missed = deliver_due(connection, targets, actor=_actor(), clock=lambda: datetime.now(UTC))
    print(f"{arrived} arrived, {missed} did not")


def _connected() -> "Connection":
    from lah_platform.stack.endpoints import database_url
    from lah_platform.stores.postgres import connect

    return connect(database_url(settings()))


def _actor() -> str:
    return f"cli:{getuser()}"


def controls() -> None:
    """Every control: what the hub evidences, when it passes, what remains the organisation's duty, as Markdown.

    Example: lah report controls
    """
    from lah_platform.compliance.controls_page import controls_markdown
    from lah_platform.stores.control_files import load_frameworks

    print(controls_markdown(load_frameworks(settings().controls_dir).values()), end="")
