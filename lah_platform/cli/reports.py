"""Reports: made for a period, listed, shown, and checked against their signature."""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import UUID

import typer
from rich.console import Console
from rich.table import Table

from lah_platform.cli.data import day
from lah_platform.errors import ConfigurationError
from lah_platform.settings import settings

__all__ = ["reports"]

_console = Console(highlight=False)
reports = typer.Typer(
    help="Evidence reports. Example: lah report run soc2 --from 2026-11-01 --to 2026-11-30", no_args_is_help=True
)
Tenant = Annotated[str, typer.Option(help="One tenant, or * for all.")]


@reports.command("frameworks")
def frameworks(json_: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False) -> None:
    """The frameworks there are and their controls; checks every file of LAH_CONTROLS_DIR.

    Example: lah report frameworks
    """
    from lah_platform.stores.control_files import load_frameworks

    every = load_frameworks(settings().controls_dir)
    if json_:
        for framework in every.values():
            print(
                json.dumps(
                    {
                        "id": framework.id,
                        "title": framework.title,
                        "controls": [control.id for control in framework.controls],
                    }
                )
            )
        return
    table = Table("framework", "controls", "title", "standard", box=None, pad_edge=False)
    for framework in every.values():
        table.add_row(framework.id, str(len(framework.controls)), framework.title, framework.standard)
    _console.print(table)


@reports.command("run")
def run(
    names: Annotated[list[str] | None, typer.Argument(help="Frameworks, such as soc2; none: all.")] = None,
    from_: Annotated[str, typer.Option("--from", help="First UTC day.")] = "",
    to: Annotated[str, typer.Option("--to", help="Last UTC day, included.")] = "",
    tenant: Tenant = "*",
    environment: Annotated[str, typer.Option(help="One environment, such as production, or * for all.")] = "*",
) -> None:
    """Make reports of a period; what was made before comes back as it was, unless a published figure differs.

    Example: lah report run soc2 gdpr --from 2026-11-01 --to 2026-11-30 --tenant acme
    """
    from lah_platform.stack.endpoints import database_url
    from lah_platform.stores.postgres import connect
    from lah_platform.stores.report_files import make_reports

    with connect(database_url(settings())) as connection:
        made = make_reports(
            connection,
            settings(),
            names or (),
            tenant=tenant,
            environment=environment,
            start=day(from_, "--from"),
            end=day(to, "--to"),
            actor="lah report",
            now=datetime.now(UTC),
        )
    for each in made:
        summary = each.run.content["summary"]
        counts = f"{summary['pass']} pass, {summary['fail']} fail, {summary['not_evidenced']} not evidenced"
        entry = each.run.entry
        state = "new" if each.is_new else "as it was made"
        print(f"{entry.name} revision {entry.revision} ({state}): {counts}  {entry.report_id}")
        for change in entry.changes if each.is_new else ():
            print(f"  {change['control'] or 'report'}, {change['figure']}: {change['old']} -> {change['new']}")
        for path in each.paths.values():
            print(f"  {path}")


@reports.command("list")
def list_(
    name: Annotated[str | None, typer.Option(help="Only this framework.")] = None,
    tenant: Tenant = "*",
    limit: Annotated[int, typer.Option(min=1)] = 50,
    json_: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Stored revisions, newest first.

    Example: lah report list --name soc2
    """
    from lah_platform.stack.endpoints import database_url
    from lah_platform.stores.postgres import connect
    from lah_platform.stores.report_runs import list_reports

    with connect(database_url(settings())) as connection:
        entries = list_reports(connection, tenant=tenant, name=name, limit=limit)
    if json_:
        for entry in entries:
            print(json.dumps(entry.__dict__, default=str))
        return
    table = Table("report", "framework", "tenant", "from", "before", "revision", "made", box=None, pad_edge=False)
    for entry in entries:
        span = (f"{entry.period_from}", f"{entry.period_to}", f"{entry.revision}")
        made_at = f"{entry.generated_at:%Y-%m-%d %H:%M}"
        table.add_row(f"{entry.report_id}", entry.name, entry.tenant, *span, made_at)
    _console.print(table)


@reports.command("show")
def show(
    report_id: Annotated[str, typer.Argument(help="The revision's id, from `lah report list`.")],
    format_: Annotated[Literal["html", "pdf", "json", "csv", "signature"], typer.Option("--format")] = "json",
    output: Annotated[Path | None, typer.Option(help="A file; unset: standard output.")] = None,
) -> None:
    """One document of a stored revision, byte for byte.

    Example: lah report show 0d1c... --format pdf --output soc2.pdf
    """
    from lah_platform.stack.endpoints import database_url
    from lah_platform.stores.postgres import connect
    from lah_platform.stores.report_runs import get_report

    try:
        wanted = UUID(report_id)
    except ValueError:
        raise ConfigurationError(f"{report_id!r} is no report's id", "`lah report list` shows them") from None
    with connect(database_url(settings())) as connection:
        found = get_report(connection, wanted, tenant="*")
    if found is None or format_ not in found.documents:
        raise ConfigurationError(f"There is no {format_} of a report {report_id}", "`lah report list` shows them")
    if output is None:
        sys.stdout.buffer.write(found.documents[format_])
    else:
        output.write_bytes(found.documents[format_])


@reports.command("verify")
def verify(
    file: Annotated[Path, typer.Argument(help="A report's HTML, PDF, JSON or CSV.")],
    signature: Annotated[Path | None, typer.Option(help="Its detached record; unset: beside the file.")] = None,
    public_key: Annotated[str | None, typer.Option(help="Whose signature it must be; unset: this hub's.")] = None,
    offline: Annotated[bool, typer.Option(help="Do not ask the database for the stored document.")] = False,
) -> None:
    """Whether a document is the one that was signed, by this hub, and the one that is stored; status 1 when not.

    Example: lah report verify .lah/reports/soc2-all-2026-11-01-2026-11-30-r1.pdf
    """
    from lah_platform.compliance.detached import Verdict
    from lah_platform.compliance.detached import digest as digest_of
    from lah_platform.compliance.detached import verify as check
    from lah_platform.stores.signing_key import hub_signer

    record = signature or file.with_name(f"{file.name.rsplit('.', 1)[0]}.signature.json")
    for path in (file, record):
        if not path.is_file():
            raise ConfigurationError(f"There is no file {path}", "Name the document, and its record with --signature")
    body = file.read_bytes()
    verdicts = check(body, record.read_bytes(), public_key=public_key or hub_signer(settings()).public_key)
    if not offline:
        verdicts.append(Verdict("the database holds this very document", _is_stored(digest_of(body))))
    for verdict in verdicts:
        print(f"{'yes' if verdict.holds else 'NO '}  {verdict.checked}")
    if not all(verdict.holds for verdict in verdicts):
        raise typer.Exit(1)


def _is_stored(sha256: str) -> bool:
    from lah_platform.stack.endpoints import database_url
    from lah_platform.stores.postgres import connect
    from lah_platform.stores.report_runs import find_document

    with connect(database_url(settings())) as connection:
        found: Any = find_document(connection, sha256)
    return found is not None
