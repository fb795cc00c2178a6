"""Commands on what is kept how long, and what must not go."""

import json
from datetime import UTC, datetime
from functools import partial
from getpass import getuser
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lah_platform.errors import ConfigurationError
from lah_platform.settings import settings

if TYPE_CHECKING:
    from lah_platform.stores.postgres import Connection

__all__ = ["holds", "read_document", "retention"]

retention = typer.Typer(
    help="What is kept how long. Example: lah retention set --tenant acme --class personal --days 90",
    no_args_is_help=True,
)
holds = typer.Typer(
    help="What must not go. Example: lah holds place --tenant acme --reason 'case 7'", no_args_is_help=True
)
_Tenant = Annotated[str, typer.Option(help="Whose rows; '*': everyone's.")]
_MOMENTS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]


@retention.command("list")
def _list(tenant: _Tenant = "*") -> None:
    """The rules there are, and LAH_RETENTION_DAYS, which ends every event.

    Example: lah retention list
    """
    from lah_platform.stores.retention_rules import rules

    print(
        f"events                         every tenant's      {settings().retention_days:>6} days (LAH_RETENTION_DAYS)"
    )
    with _connected() as connection:
        for each in rules(connection, tenant):
            what = " ".join(filter(None, [each["class"], each["table_name"], each["event_type"]]))
            print(f"{what:<30} {each['tenant']:<19} {each['keep_days']:>6} days  rule {each['rule_id']}")


@retention.command("set")
def _set(
    tenant: _Tenant,
    class_: Annotated[
        str,
        typer.Option("--class", help="events, personal, dead_letters, rollups, signals, costs, checks or reports."),
    ],
    days: Annotated[int, typer.Option(min=1, help="Whole UTC days that are kept.")],
    table: Annotated[str, typer.Option(help="This table of the class only.")] = "",
    event_type: Annotated[str, typer.Option(help="Events of this type only.")] = "",
) -> None:
    """Set a rule; the nightly run removes what is past it.

    Example: lah retention set --tenant acme --class personal --event-type telemetry --days 90
    """
    from lah_platform.privacy.retention import Rule
    from lah_platform.stores.retention_rules import set_rule

    rule = Rule(tenant, class_, days, table, event_type)  # type: ignore[arg-type]  # set_rule says which there are
    with _connected() as connection:
        made = set_rule(connection, rule, most_days=settings().retention_days, actor=_actor())
    print(f"Rule {made['rule_id']}: {class_} of {tenant} are kept {days} days")


@retention.command("remove")
def _remove(rule_id: Annotated[int, typer.Argument(help="Its number.")]) -> None:
    """Take a rule back; what it removed stays removed.

    Example: lah retention remove 3
    """
    from lah_platform.stores.retention_rules import remove_rule

    with _connected() as connection:
        if not remove_rule(connection, rule_id, actor=_actor()):
            raise ConfigurationError(f"There is no rule {rule_id}", "`lah retention list` shows them")
    print(f"Rule {rule_id} is gone")


@retention.command("run")
def _run(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count what would go, and remove nothing.")] = False,
    receipt: Annotated[Path | None, typer.Option(help="Write the signed receipt to this file.")] = None,
) -> None:
    """Remove what is past its rule and under no hold, now; what stays is proved by the receipt.

    Example: lah retention run --dry-run
    """
    from lah_platform.stores.cold_events import cold_rows
    from lah_platform.stores.retention_rules import due_now
    from lah_platform.stores.retention_run import run_retention
    from lah_platform.stores.rollups import recompute_day
    from lah_platform.stores.signing_key import hub_signer

    chosen, now = settings(), datetime.now(UTC)
    with _connected() as connection:
        cold = partial(cold_rows, archive_dir=chosen.archive_dir)
        done = run_retention(
            connection,
            due_now(connection, now.date(), most_days=chosen.retention_days),
            now=now,
            actor=_actor(),
            signer=lambda: hub_signer(chosen),
            archive_dir=chosen.archive_dir,
            recompute=partial(recompute_day, connection, now=now, cold_rows=cold),
            dry_run=dry_run,
        )
    for drop in done.drops:
        held = f", {drop.rows_held} held" if drop.rows_held else ""
        print(
            f"{drop.day} {drop.store:<10} {drop.class_} {drop.table}: {drop.rows_dropped} of {drop.rows_before}{held}"
        )
    for what, why in done.not_done.items():
        typer.echo(f"{what}: {why}", err=True)
    gone = sum(drop.rows_dropped for drop in done.drops)
    print(f"{gone} rows {'would go' if dry_run else 'went'}")
    if receipt is not None and done.document is not None:
        receipt.write_text(json.dumps(done.document, indent=2) + "\n", encoding="utf-8")
        print(f"Receipt: {receipt}")
    if done.not_done:
        raise typer.Exit(1)


@retention.command("verify")
def _verify(receipt: Annotated[Path, typer.Argument(help="A receipt that `lah retention run` wrote.")]) -> None:
    """Whether a receipt is this hub's, unaltered, and adds up.

    Example: lah retention verify receipt.json
    """
    from lah_platform.stores.retention_receipts import check_run
    from lah_platform.stores.signing_key import hub_signer

    if problem := check_run(read_document(receipt), keys=[hub_signer(settings()).public_key]):
        raise ConfigurationError(f"{receipt} is not to be believed: {problem}", "Ask for the receipt again")
    print("The receipt is this hub's, unaltered, and adds up")


@holds.command("place")
def _place(
    tenant: _Tenant,
    reason: Annotated[str, typer.Option(help="Why, such as the file number of a dispute.")],
    class_: Annotated[str, typer.Option("--class", help="Rows of this class only, as in `lah retention set`.")] = "",
    event_type: Annotated[str, typer.Option(help="Events of this type only.")] = "",
    subject_id: Annotated[str | None, typer.Option(help="Rows that tell of this subject only.")] = None,
    from_: Annotated[datetime | None, typer.Option("--from", formats=_MOMENTS, help="From when (UTC).")] = None,
    to: Annotated[datetime | None, typer.Option(formats=_MOMENTS, help="Until when (UTC).")] = None,
) -> None:
    """Hold rows against retention and erasure until the hold is released.

    Example: lah holds place --tenant acme --reason 'case 7' --from 2026-01-01 --to 2026-04-01
    """
    from uuid import UUID

    from lah_platform.stores.retention_rules import place_hold

    with _connected() as connection:
        hold = place_hold(
            connection,
            tenant,
            reason,
            actor=_actor(),
            class_=class_,
            event_type=event_type,
            subject_id=None if subject_id is None else UUID(subject_id),
            from_at=None if from_ is None else from_.replace(tzinfo=UTC),
            to_at=None if to is None else to.replace(tzinfo=UTC),
        )
    print(f"Hold {hold['hold_id']} holds")


@holds.command("list")
def _holds(tenant: _Tenant = "*") -> None:
    """Every hold, released ones too. Times are UTC.

    Example: lah holds list
    """
    from lah_platform.stores.retention_rules import holds as listed

    with _connected() as connection:
        for each in listed(connection, tenant):
            state = f"released {each['released_at']:%Y-%m-%d}" if each["released_at"] else "holds"
            what = " ".join(filter(None, [each["class"], each["event_type"], each["subject_id"]])) or "everything"
            print(f"{each['hold_id']:>5} {each['tenant']:<20} {what} ({state}): {each['reason']}")


@holds.command("release")
def _release(hold_id: Annotated[int, typer.Argument(help="Its number.")]) -> None:
    """Release a hold.

    Example: lah holds release 3
    """
    from lah_platform.stores.retention_rules import release_hold

    with _connected() as connection:
        if not release_hold(connection, hold_id, actor=_actor()):
            raise ConfigurationError(f"No hold {hold_id} holds", "`lah holds list` shows them")
    print(f"Hold {hold_id} is released")


def read_document(path: Path) -> Any:
    """The JSON in a file. Raises ConfigurationError when there is none."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path} holds no receipt: {error}", "Name the file that was written") from error


def _connected() -> "Connection":
    from lah_platform.stack.endpoints import database_url
    from lah_platform.stores.postgres import connect

    return connect(database_url(settings()))


def _actor() -> str:
    return f"cli:{getuser()}"
