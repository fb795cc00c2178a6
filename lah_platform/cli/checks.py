"""Commands on data quality: run checks, see verdicts, and the rows that fail."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from lah_platform.errors import ConfigurationError
from lah_platform.settings import settings

__all__ = ["checks"]

_DAY = timedelta(days=1)
_From = Annotated[str | None, typer.Option("--from", help="First moment (UTC), such as 2026-11-01; else yesterday.")]
_To = Annotated[str | None, typer.Option("--to", help="End (UTC), not included; else a day later.")]
checks = typer.Typer(help="Data quality: verdicts, and the rows that fail.", no_args_is_help=True)


@checks.command("run")
def _run(
    assets: Annotated[list[str] | None, typer.Argument(help="Assets, or ASSET.RULE; none: all of them.")] = None,
    from_: _From = None,
    to: _To = None,
    exhaustive: Annotated[bool, typer.Option(help="Compare every id, also of days of over a million events.")] = False,
) -> None:
    """Check rows of a period now and keep the verdicts; ends with status 1 when a blocking check fails.

    Example: lah checks run events ledger --from 2026-11-01
    """
    from lah_platform.quality.registry import ASSETS
    from lah_platform.quality.suites import run_suite
    from lah_platform.stack.endpoints import database_url
    from lah_platform.stores.checks import write_verdicts
    from lah_platform.stores.postgres import connect
    from lah_platform.stores.suspects import mark_suspects

    start, end = _period(from_, to)
    url = database_url(settings())
    stopped = False
    for asked in assets or ASSETS:
        asset, _, name = asked.partition(".")
        _known(asset, name)
        verdicts = run_suite(url, asset, start, end, rules=[name] if name else (), is_exhaustive=exhaustive)
        now = datetime.now(UTC)
        with connect(url) as connection, connection.transaction():
            write_verdicts(connection, verdicts, checked_at=now, period_from=start, period_to=end, run_id=None)
            mark_suspects(connection, verdicts, start, end, at=now)
        for each in verdicts:
            _tell(each.passed, each.is_blocking, f"{each.asset}.{each.check_name}", each.failed_rows, each.advice)
            stopped |= each.is_blocking and not each.passed
    raise typer.Exit(1 if stopped else 0)


@checks.command("list")
def _list(
    asset: Annotated[str | None, typer.Argument(help="Only this asset's.")] = None,
    failed: Annotated[bool, typer.Option("--failed", help="Only those that failed.")] = False,
) -> None:
    """The latest verdict of every check, and what to do about those that failed.

    Example: lah checks list --failed
    """
    from lah_platform.stack.endpoints import database_url
    from lah_platform.stores.checks import latest_verdicts
    from lah_platform.stores.postgres import connect

    with connect(database_url(settings())) as connection:
        found = latest_verdicts(connection, asset)
    for stored in found:
        each = stored.verdict
        if not failed or not each.passed:
            _tell(each.passed, each.is_blocking, f"{each.asset}.{each.check_name}", each.failed_rows, each.advice)
    if not found:
        print("Nothing was checked yet: lah checks run")


@checks.command("history")
def _history(
    check: Annotated[str, typer.Argument(help="ASSET.RULE, such as events.clocks_agree.")],
    limit: Annotated[int, typer.Option(help="So many verdicts at most.")] = 30,
) -> None:
    """Verdicts of one check, the latest first.

    Example: lah checks history events.clocks_agree
    """
    from lah_platform.stack.endpoints import database_url
    from lah_platform.stores.postgres import connect
    from lah_platform.stores.serving import page

    asset, _, name = check.partition(".")
    _known(asset, name)
    first, last = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)
    with connect(database_url(settings())) as connection:
        found = page(
            connection,
            "check_history",
            tenant="*",
            limit=limit,
            asset=asset,
            check_name=name,
            passed=None,
            from_=first,
            to=last,
        )
    rows = found.rows
    for row in rows:
        verdict = "passed" if row["passed"] else f"FAILED {row['failed_rows']} of {row['checked_rows']} rows"
        period = f"{row['period_from']:%Y-%m-%d %H:%M} to {row['period_to']:%Y-%m-%d %H:%M}"
        print(f"{row['checked_at']:%Y-%m-%d %H:%M}Z {period} {verdict}")
    if not rows:
        print(f"{check} was not checked yet: lah checks run {check}")


@checks.command("rows")
def _rows(
    check: Annotated[str, typer.Argument(help="ASSET.RULE, such as events.costs_are_not_negative.")],
    from_: _From = None,
    to: _To = None,
    limit: Annotated[int, typer.Option(help="So many rows at most.")] = 1000,
    tenant: Annotated[str, typer.Option(help="Whose rows; *: everyone's.")] = "*",
    staged: Annotated[bool, typer.Option("--staged", help="Of what was computed and refused.")] = False,
) -> None:
    """The rows that fail a check now, one JSON object a line: their keys, and the columns that tell why.

    Example: lah checks rows events.costs_are_not_negative --from 2026-11-01
    """
    from lah_platform.stack.endpoints import database_url
    from lah_platform.stores.failing_rows import failing_rows
    from lah_platform.stores.postgres import connect
    from lah_platform.stores.staging import SCHEMA

    asset, _, name = check.partition(".")
    _known(asset, name)
    start, end = _period(from_, to)
    with connect(database_url(settings())) as connection:
        rows: Sequence[object] = failing_rows(
            connection, asset, name, start, end, limit=limit, tenant=tenant, schema=SCHEMA if staged else "lah"
        )
    for row in rows:
        print(json.dumps(row))


def _known(asset: str, name: str) -> None:
    from lah_platform.quality.registry import ASSETS, rule_of

    try:
        rule_of(asset, name or (ASSETS[asset].rules[0].name if asset in ASSETS else name))
    except LookupError as error:
        raise ConfigurationError(str(error.args[0]).capitalize(), "docs/quality.md lists them") from None


def _tell(passed: bool, is_blocking: bool, name: str, failed_rows: int | None, advice: str) -> None:
    if passed:
        print(f"passed  {name}")
    else:
        print(f"{'FAILED' if is_blocking else 'failed'}  {name}: {failed_rows} rows. {advice}")


def _period(from_: str | None, to: str | None) -> tuple[datetime, datetime]:
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    start = _moment(from_, "--from") if from_ else today - _DAY
    end = _moment(to, "--to") if to else start + _DAY
    if start >= end:
        raise ConfigurationError("The period ends before it begins", "Correct --from and --to")
    return start, end


def _moment(text: str, option: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigurationError(f"{option} is not a time: {text!r}", "Write it as 2026-11-01T22:00") from None
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
