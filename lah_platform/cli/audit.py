"""Commands on the audit log: read it, verify it, export it, sign and anchor its head."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from lah_platform.errors import ConfigurationError
from lah_platform.settings import settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from lah_platform.compliance.audit_heads import SignedHead
    from lah_platform.stores.postgres import Connection

__all__ = ["audit"]

audit = typer.Typer(help="The audit log. Example: lah audit verify --anchors heads.jsonl", no_args_is_help=True)

_console = Console(stderr=True, highlight=False)
_From = Annotated[str | None, typer.Option("--from", help="First UTC day, such as 2026-11-01.")]
_To = Annotated[str | None, typer.Option("--to", help="Last UTC day, included.")]


@audit.command("list")
def _list(
    from_: _From = None,
    to: _To = None,
    tenant: Annotated[str, typer.Option(help="Of this tenant only.")] = "*",
    kind: Annotated[str | None, typer.Option(help="Of this kind only, such as key, role, price or erasure.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="The newest so many.")] = 50,
    json_: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """The newest entries, oldest of them first: who did what to what. Times are UTC.

    Example: lah audit list --kind key --from 2026-11-01
    """
    from lah_platform.compliance.audit_kinds import KINDS
    from lah_platform.stores.audit import list_entries

    if kind is not None and kind not in KINDS:
        raise ConfigurationError(f"No kind is called {kind!r}", f"Use one of {', '.join(KINDS)}")
    start, end = _period(from_, to)
    with _connected() as connection:
        entries = list_entries(connection, start=start, end=end, tenant=tenant, kind=kind, limit=limit)
    for entry in reversed(entries):
        if json_:
            print(json.dumps(entry, default=str, ensure_ascii=False))
        else:
            print(
                f"{entry['position']:>8} {entry['at']:%Y-%m-%d %H:%M:%S} {entry['actor']:<20} {entry['action']:<12}"
                f" {entry['object_type']} {entry['object_id']} ({entry['tenant']})"
            )


@audit.command("verify")
def _verify(
    from_: _From = None,
    to: _To = None,
    anchors: Annotated[
        list[Path] | None, typer.Option(help="Signed heads kept outside, as JSON Lines (repeat for more).")
    ] = None,
    file: Annotated[
        Path | None, typer.Option(help="An export instead of the database; its manifest beside it.")
    ] = None,
    public_key: Annotated[
        list[str] | None, typer.Option(help="A key that may sign, base64; the hub's own where it is here.")
    ] = None,
) -> None:
    """Find any changed, removed, inserted or reordered entry and say where; status 1 when there is one.

    Example: lah audit verify --anchors /mnt/worm/heads.jsonl
    Example: lah audit verify --file november.jsonl --public-key 3q2+7w...
    """
    from lah_platform.stores.audit_export import verify_file
    from lah_platform.stores.audit_verify import verify_log

    start, end = _period(from_, to)
    if file is not None and (start or end):
        raise ConfigurationError("A file is verified as a whole", "Leave --from and --to out")
    heads = [(f"{path}", head) for path in anchors or () for head in _heads(path)]
    keys = frozenset(public_key) if public_key else _own_key()
    with _counting() as on_rows:
        if file is not None:
            found = verify_file(file, anchors=heads, keys=keys, on_rows=on_rows)
        else:
            with _connected() as connection:
                found = verify_log(connection, start=start, end=end, anchors=heads, keys=keys, on_rows=on_rows)
    for breach in found.breaches:
        print(breach)
    told = f"{found.rows} entries up to position {found.last.position}, {found.heads} signed heads"
    told += f", {found.anchors} from outside" if anchors else ""
    told += f"; keys {', '.join(sorted(found.keys))}" if found.keys else ""
    told += "" if keys else ", which nobody said may sign (--public-key)"
    if not found.is_whole:
        print(f"BROKEN in {len(found.breaches)} places: {told}")
        raise typer.Exit(1)
    print(f"whole: {told}")
    if not anchors and file is None:
        typer.echo("Only heads from outside (--anchors) show that not all of it was written anew.", err=True)


@audit.command("export")
def _export(
    out: Annotated[Path, typer.Argument(help="The file to write; its manifest is written beside it.")],
    from_: _From = None,
    to: _To = None,
    format_: Annotated[str, typer.Option("--format", help="jsonl or csv.")] = "jsonl",
    tenant: Annotated[str, typer.Option(help="This tenant's entries whole, everybody else's as hashes.")] = "*",
) -> None:
    """Write a period to a file that `lah audit verify --file` checks without a database.

    Example: lah audit export november.jsonl --from 2026-11-01 --to 2026-11-30
    """
    from lah_platform.stores.audit_export import export_log, manifest_path
    from lah_platform.stores.signing_key import hub_signer

    if format_ not in ("jsonl", "csv"):
        raise ConfigurationError(f"No format is called {format_!r}", "Use jsonl or csv")
    start, end = _period(from_, to)
    with _connected() as connection:
        made = export_log(
            connection,
            out,
            start=start,
            end=end,
            kind="csv" if format_ == "csv" else "jsonl",
            signer=hub_signer(settings()),
            now=datetime.now(UTC),
            tenant=tenant,
        )
    sealed = made.rows - made.whole_rows
    print(f"{made.rows} entries in {out}" + (f", {sealed} of them sealed" if sealed else ""))
    print(manifest_path(out))


@audit.command("sign")
def _sign() -> None:
    """Sign the head now, if it has moved, and send the anchors what they lack; the hub does it every hour.

    Example: lah audit sign
    """
    from lah_platform.stores.audit_anchors import anchor_heads, anchor_of
    from lah_platform.stores.audit_heads import sign_new_head
    from lah_platform.stores.signing_key import hub_signer

    chosen, now = settings(), datetime.now(UTC)
    with _connected() as connection:
        head = sign_new_head(connection, hub_signer(chosen), now)
        print(f"signed position {head.position} by key {head.signature.key_id}" if head else "The head has not moved")
        for name, count in anchor_heads(connection, map(anchor_of, chosen.audit_anchors), now).items():
            print(f"{name}: {count} heads sent")


@audit.command("key")
def _key() -> None:
    """The public key that this hub signs with, base64: give it to whoever verifies, by another way than the export.

    Example: lah audit key
    """
    from lah_platform.stores.signing_key import hub_signer

    print(hub_signer(settings()).public_key)


def _connected() -> "Connection":
    from lah_platform.stack.endpoints import database_url
    from lah_platform.stores.postgres import connect

    return connect(database_url(settings()))


def _heads(path: Path) -> "Iterator[SignedHead]":
    from lah_platform.compliance.audit_heads import read_heads

    try:
        with path.open(encoding="utf-8") as lines:
            yield from read_heads(lines, str(path))
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be read ({error.strerror})", "Name a file that an anchor wrote"
        ) from error


def _own_key() -> frozenset[str] | None:
    """The hub's key, where this is the hub; an auditor's machine has none, and none is made there."""
    from lah_platform.stores.signing_key import hub_signer

    chosen = settings()
    if chosen.signing_key is None and not (chosen.home / "signing.key").exists():
        return None
    return frozenset({hub_signer(chosen).public_key})


def _period(from_: str | None, to: str | None) -> tuple[datetime | None, datetime | None]:
    start, end = _day(from_, "--from"), _day(to, "--to")
    if start and end and start > end:
        raise ConfigurationError("--from is after --to", "Name the earlier day first")
    return start, end + timedelta(days=1) if end else None


def _day(text: str | None, option: str) -> datetime | None:
    if text is None:
        return None
    try:
        return datetime.combine(date.fromisoformat(text), datetime.min.time(), UTC)
    except ValueError:
        raise ConfigurationError(f"{option} is not a day: {text!r}", "Write it as 2026-11-01") from None


@contextmanager
def _counting() -> "Iterator[Callable[[int], object]]":
    columns = (SpinnerColumn(), TextColumn("  {task.completed:,.0f} entries"), TimeElapsedColumn())
    with Progress(*columns, console=_console, transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("verify", total=None)
        yield lambda rows: bar.update(task, completed=rows)
