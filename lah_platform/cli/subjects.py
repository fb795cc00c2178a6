"""Commands on one person's data: handed out, erased, proved; and the backup of who is who."""

import json
from datetime import UTC, datetime, timedelta
from getpass import getuser
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lah_platform.cli.retention import read_document
from lah_platform.errors import ConfigurationError
from lah_platform.settings import settings

if TYPE_CHECKING:
    from uuid import UUID

    from lah_platform.stores.postgres import Connection
    from lah_platform.stores.rights import Rights

__all__ = ["consents", "subjects"]

subjects = typer.Typer(
    help="One person's data. Example: lah subject erase ann@example.org --tenant acme", no_args_is_help=True
)
consents = typer.Typer(
    help="What persons agreed to. Example: lah consents list ann@example.org --tenant acme", no_args_is_help=True
)
_Person = Annotated[str, typer.Argument(help="The person's identifier as producers send it, or a subject_id.")]
_Tenant = Annotated[str, typer.Option(help="Whose data it is.")]


@subjects.command("export")
def _export(
    person: _Person,
    tenant: _Tenant,
    out: Annotated[Path, typer.Option(help="A folder that is not there yet.")],
) -> None:
    """Everything about a person as JSON and CSV with a manifest, decrypted, PostgreSQL and archive.

    Example: lah subject export ann@example.org --tenant acme --out ann
    """
    from lah_platform.stores.subject_export import export_subject

    if out.exists():
        raise ConfigurationError(f"{out} is there already", "Name a folder that is not")
    parts = _rights()
    with _connected() as connection:
        done = export_subject(
            connection,
            parts.keys,
            tenant,
            person,
            out,
            now=datetime.now(UTC),
            actor=_actor(),
            archive_dir=parts.archive_dir,
        )
    for file in done.manifest["files"]:
        print(f"{out / file['name']}: {file['rows']} rows")
    print(f"{out / 'manifest.json'}")


@subjects.command("erase")
def _erase(
    person: _Person,
    tenant: _Tenant,
    receipt: Annotated[Path | None, typer.Option(help="Write the signed receipt to this file; else print it.")] = None,
) -> None:
    """Destroy a person's key and link, for good; prints the signed receipt. Erasing again prints the same.

    Example: lah subject erase ann@example.org --tenant acme --receipt ann.json
    """
    from lah_platform.stores.erasure import erase

    parts, now = _rights(), datetime.now(UTC)
    with _connected() as connection:
        document = erase(
            connection,
            parts.keys,
            tenant,
            person,
            now=now,
            actor=_actor(),
            signer=parts.signer,
            archive_dir=parts.archive_dir,
            broker=parts.broker(now),
        )
    text = json.dumps(document, indent=2, ensure_ascii=False)
    if receipt is None:
        print(text)
    else:
        receipt.write_text(text + "\n", encoding="utf-8")
        print(f"Erased; receipt {document['receipt']['receipt_id']} is in {receipt}")


@subjects.command("verify")
def _verify(
    receipt: Annotated[Path, typer.Argument(help="A receipt that `lah subject erase` wrote.")],
    person: Annotated[str | None, typer.Option(help="The person's identifier, when you know it.")] = None,
) -> None:
    """Whether what a receipt says is true now: signature, no key, no link, tombstone, nothing opens.

    Example: lah subject verify ann.json
    """
    from lah_platform.stores.erasure_verify import verify

    document, parts = read_document(receipt), _rights()
    with _connected() as connection:
        found = verify(
            connection,
            parts.keys,
            document,
            signer=parts.signer,
            archive_dir=parts.archive_dir,
            identifier=person,
        )
    for each in found:
        print(f"{'yes' if each.passed else 'NO ':<4}{each.check}: {each.detail}")
    if not all(each.passed for each in found):
        raise typer.Exit(1)


@subjects.command("backup")
def _backup(
    out: Annotated[Path, typer.Argument(help="A file that is not there yet.")],
    expires_in_days: Annotated[int, typer.Option(min=1, help="How long it may be restored; delete it then.")] = 30,
) -> None:
    """Who is who and their keys, encrypted under the master key, with an end. Erasure receipts name that end.

    Example: lah subject backup subjects.bin --expires-in-days 14
    """
    from lah_platform.stores.subject_backup import backup_subjects

    if out.exists():
        raise ConfigurationError(f"{out} is there already", "Name a file that is not")
    life = timedelta(days=expires_in_days)
    with _connected() as connection:
        made = backup_subjects(connection, _rights().keys, out, life=life, now=datetime.now(UTC), actor=_actor())
    print(f"{made.subjects} subjects in {out}; delete it at {made.expires_at:%Y-%m-%d %H:%M} UTC, it is of no use then")


@subjects.command("restore")
def _restore(file: Annotated[Path, typer.Argument(help="A file that `lah subject backup` wrote.")]) -> None:
    """Bring back subjects that are missing, never one that was erased.

    Example: lah subject restore subjects.bin
    """
    from lah_platform.stores.subject_backup import restore_subjects

    if not file.is_file():
        raise ConfigurationError(f"There is no file {file}", "Name one that `lah subject backup` wrote")
    with _connected() as connection:
        restored = restore_subjects(connection, _rights().keys, file, now=datetime.now(UTC), actor=_actor())
    print(f"{restored} subjects came back")


@consents.command("list")
def _list(person: _Person, tenant: _Tenant) -> None:
    """Everything a person agreed to or withdrew, oldest first. Times are UTC.

    Example: lah consents list ann@example.org --tenant acme
    """
    from lah_platform.stores.consents import collect_consents, consents_of

    with _connected() as connection:
        collect_consents(connection, datetime.now(UTC))
        for each in consents_of(connection, tenant, _subject(connection, tenant, person)):
            said = "agreed" if each["is_granted"] else "withdrew"
            print(f"{each['given_at']:%Y-%m-%d %H:%M} {said:<9} {each['purpose']} ({each['source']})")


@consents.command("record")
def _record(
    person: _Person,
    tenant: _Tenant,
    purpose: Annotated[str, typer.Option(help="What the content may be used for.")],
    source: Annotated[str, typer.Option(help="Where it was said.")] = "cli",
) -> None:
    """Record that a person agreed to a purpose now.

    Example: lah consents record ann@example.org --tenant acme --purpose support --source signup-form
    """
    from lah_platform.stores.consents import record_consent

    with _connected() as connection:
        record_consent(
            connection,
            tenant,
            _subject(connection, tenant, person),
            purpose,
            is_granted=True,
            given_at=datetime.now(UTC),
            source=source,
            actor=_actor(),
        )
    print(f"Recorded: {purpose}")


@consents.command("withdraw")
def _withdraw(
    person: _Person,
    tenant: _Tenant,
    purpose: Annotated[str | None, typer.Option(help="This purpose only; else every one.")] = None,
) -> None:
    """Withdraw what a person agreed to, at once.

    Example: lah consents withdraw ann@example.org --tenant acme
    """
    from lah_platform.stores.consents import withdraw

    with _connected() as connection:
        subject_id = _subject(connection, tenant, person)
        gone = withdraw(connection, tenant, subject_id, purpose, now=datetime.now(UTC), source="cli", actor=_actor())
    print(f"Withdrawn: {', '.join(each['purpose'] for each in gone) or 'nothing stood'}")


def _subject(connection: "Connection", tenant: str, person: str) -> "UUID":
    from lah_platform.stores.erasure import known_subject

    return known_subject(connection, _rights().keys, tenant, person).subject_id


def _rights() -> "Rights":
    from lah_platform.stack.endpoints import running_broker
    from lah_platform.stores.master_keys import hub_key_ring
    from lah_platform.stores.rights import rights_of

    chosen = settings()
    return rights_of(chosen, hub_key_ring(chosen), running_broker(chosen))


def _connected() -> "Connection":
    from lah_platform.stack.endpoints import database_url
    from lah_platform.stores.postgres import connect

    return connect(database_url(settings()))


def _actor() -> str:
    return f"cli:{getuser()}"
