"""Erasing a person: one transaction that destroys key and link, then a signed receipt of what became unreadable.

The transaction begins with the privacy epoch, so that landing transactions under way end before it and later ones know
of it: no event lands under the subject after it. Counting comes afterwards, because nothing is added any more. A crash
in between leaves an erased person without a receipt; asking again makes the receipt.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from lah_platform.compliance.signing import Signer
from lah_platform.errors import LahError
from lah_platform.privacy.erasure import Counted, Expiry, receipt_of
from lah_platform.privacy.mentions import is_distinct
from lah_platform.privacy.receipts import sealed
from lah_platform.privacy.subjects import Person, Subject
from lah_platform.stores.audit import record
from lah_platform.stores.erasure_reach import ColdRows, Letter, cold_reach, letters_naming
from lah_platform.stores.erasure_text import scrub
from lah_platform.stores.keyring import KeyRing
from lah_platform.stores.postgres import Connection
from lah_platform.stores.queries import queries
from lah_platform.stores.subjects import hmac_of, next_epoch, subject_of_person, subjects_by_id

__all__ = ["Held", "UnknownSubject", "erase", "erasures", "known_subject", "person_of"]

_Q = queries("rights")
_log = logging.getLogger("lah.rights")
_INDISTINCT = (
    "The identifier is too short, or too small a number, to be told from other words: free texts of served tables and "
    "dead letters were not searched for it."
)


class Held(LahError):
    """A legal hold covers the subject."""


class UnknownSubject(LahError):
    """No event of this person was ever stored, or that subject_id leads to nobody."""


@dataclass(frozen=True)
class _Reach:
    cold: Sequence[ColdRows]
    letters: Sequence[Letter]


def person_of(connection: Connection, ring: KeyRing, tenant: str, asked: str) -> Person:
    """The person that an identifier or a subject_id of the tenant means; a subject_id must not be erased.

    What is a UUID and no subject's is taken for an identifier.
    """
    try:
        subject_id = UUID(asked)
    except ValueError:
        return Person(tenant, asked)
    known = subjects_by_id(connection, ring, tenant, [subject_id]).get(subject_id)
    return Person(tenant, asked if known is None else known.identifier)


def known_subject(connection: Connection, ring: KeyRing, tenant: str, asked: str) -> Subject:
    """The subject that an identifier or subject_id of the tenant means. Raises UnknownSubject."""
    found = subject_of_person(connection, ring, person_of(connection, ring, tenant, asked))
    if found is None:
        raise UnknownSubject("Nothing is stored of such a person", "Check the identifier and the tenant")
    return found


def erase(
    connection: Connection,
    ring: KeyRing,
    tenant: str,
    asked: str,
    *,
    now: datetime,
    actor: str,
    signer: Signer,
    archive_dir: Path | None,
    broker: Expiry,
) -> dict[str, Any]:
    """Erase the person that `asked` names, by identifier or subject_id; returns the signed receipt.

    Erasing again returns the same receipt. `connection` must be in autocommit mode; `broker`: until when the topic
    keeps what it has now. Raises Held when a legal hold covers the subject, UnknownSubject when there is none,
    ArchiveError when files of the archive cannot be read; nothing is changed then.
    """
    earlier = _earlier(connection, ring, tenant, asked)
    if earlier is None:
        with _noted(connection, tenant, now, actor):
            person = person_of(connection, ring, tenant, asked)
            hmac = hmac_of(connection, ring, person)
            row = connection.execute(_Q["subject_row"], {"tenant": tenant, "hmac": hmac}).fetchone()
            if row is None:
                raise UnknownSubject("Nothing is stored of such a person", "Check the identifier and the tenant")
            reach = _Reach(
                cold_reach(connection, archive_dir, tenant, row[0]),
                list(letters_naming(connection, ring, tenant, person.identifier))
                if is_distinct(person.identifier)
                else [],
            )
            _destroy(connection, person, hmac, reach, now=now, actor=actor)
        connection.execute(b"vacuum subjects")
        earlier = _earlier(connection, ring, tenant, asked) or _of_hmac(connection, tenant, hmac)
        assert earlier is not None
    if earlier["receipt"] is None:
        _finish(connection, tenant, earlier, signer, archive_dir, broker)
        earlier = _of_hmac(connection, tenant, bytes(earlier["identifier_hmac"]))
        assert earlier is not None
    return {name: earlier[name] for name in ("receipt", "public_key", "signature")}


def erasures(connection: Connection, tenant: str, limit: int = 100) -> list[dict[str, Any]]:
    """Erasures of a tenant ('*': all), newest first, each with its receipt as `document`."""
    with connection.cursor(row_factory=dict_row) as cursor:
        found = cursor.execute(_Q["receipts"], {"tenant": tenant, "limit": limit}).fetchall()
    parts = ("receipt", "public_key", "signature")
    return [
        {**{name: each[name] for name in each if name not in parts}, "document": {name: each[name] for name in parts}}
        for each in found
    ]


def _destroy(connection: Connection, person: Person, hmac: bytes, reach: _Reach, *, now: datetime, actor: str) -> None:
    whose = {"tenant": person.tenant, "hmac": hmac, "at": now}
    with connection.transaction():
        next_epoch(connection)
        row = connection.execute(_Q["subject_row"], whose).fetchone()
        if row is None:
            return  # another erasure of this person was first
        subject_id = row[0]
        letters = [letter.dead_letter_id for letter in reach.letters]
        _refuse_held(connection, person.tenant, subject_id, reach, letters)
        connection.execute(_Q["destroy_subject"], whose)
        connection.execute(_Q["add_tombstone"], whose)
        removed = scrub(connection, person.tenant, person.identifier)
        if letters:
            named = [letter.dead_letter_id for letter in reach.letters if letter.names_in_reason]
            asked = {"letters": letters, "named": named, "at": now}
            removed["dead_letters"] = connection.execute(_Q["empty_letters"], asked).rowcount
        notes = [] if is_distinct(person.identifier) else [_INDISTINCT]
        receipt_id = uuid4()
        values = {**whose, "receipt_id": receipt_id, "subject_id": subject_id, "actor": actor}
        connection.execute(_Q["begin_receipt"], {**values, "removed": Jsonb({"rows": removed, "notes": notes})})
        details = {"receipt_id": f"{receipt_id}", "rows_with_text_removed": sum(removed.values())}
        record(connection, actor, "erase", "subject", f"{subject_id}", person.tenant, details)


def _refuse_held(connection: Connection, tenant: str, subject_id: UUID, reach: _Reach, letters: Sequence[int]) -> None:
    spans = [(kind, each.first, each.last) for each in reach.cold for kind in each.event_types]
    asked = {
        "tenant": tenant,
        "subject_id": subject_id,
        "letters": list(letters),
        "cold_types": [kind for kind, _, _ in spans],
        "cold_from": [first for _, first, _ in spans],
        "cold_to": [last for _, _, last in spans],
    }
    held = connection.execute(_Q["holds_on_subject"], asked).fetchall()
    if held:
        said = "; ".join(f"hold {number}: {reason}" for number, reason in held)
        raise Held(f"A legal hold forbids it ({said})", "Release the hold first (`lah holds list`), or leave it be")


def _finish(
    connection: Connection,
    tenant: str,
    erased: dict[str, Any],
    signer: Signer,
    archive_dir: Path | None,
    broker: Expiry,
) -> None:
    whose = {"tenant": tenant, "subject_id": erased["subject_id"], "at": erased["erased_at"]}
    tables = {name: int(rows) for name, rows in connection.execute(_Q["hot_rows"], whose) if rows}
    cold = cold_reach(connection, archive_dir, tenant, erased["subject_id"])
    (until,) = connection.execute(_Q["backups_until"], whose).fetchone() or (None,)
    archiving, replicas = connection.execute(_Q["log_archiving"]).fetchone() or ("unknown", 0)
    receipt = receipt_of(
        receipt_id=erased["receipt_id"],
        tenant=tenant,
        subject_id=erased["subject_id"],
        identifier_hmac=bytes(erased["identifier_hmac"]),
        erased_at=erased["erased_at"],
        erased_by=erased["erased_by"],
        counted=Counted(
            tables,
            [{"path": each.path, "sha256": each.sha256, "rows": each.rows} for each in cold],
            erased["removed"]["rows"],
            erased["removed"]["notes"],
        ),
        backups=Expiry(until, "the last backup of the subjects that may hold the key expires then")
        if until
        else Expiry(None, "no backup of the subjects that may hold the key is unexpired"),
        broker=broker,
        log_archiving=archiving,
        replicas=replicas,
    )
    made = sealed(receipt, signer)
    with connection.transaction():
        connection.execute(
            _Q["finish_receipt"],
            {
                "receipt_id": erased["receipt_id"],
                "receipt": Jsonb(receipt),
                "public_key": made.signature.public_key,
                "signature": made.signature.signature,
            },
        )


def _earlier(connection: Connection, ring: KeyRing, tenant: str, asked: str) -> dict[str, Any] | None:
    """The erasure of whom `asked` names, if there was one."""
    try:
        found = _receipt(connection, tenant, None, UUID(asked))
    except ValueError:
        found = None
    return found or _of_hmac(connection, tenant, hmac_of(connection, ring, Person(tenant, asked)))


def _of_hmac(connection: Connection, tenant: str, hmac: bytes) -> dict[str, Any] | None:
    return _receipt(connection, tenant, hmac, None)


def _receipt(connection: Connection, tenant: str, hmac: bytes | None, subject_id: UUID | None) -> dict[str, Any] | None:
    with connection.cursor(row_factory=dict_row) as cursor:
        asked = {"tenant": tenant, "hmac": hmac, "subject_id": subject_id}
        return cursor.execute(_Q["receipt"], asked).fetchone()


@contextmanager
def _noted(connection: Connection, tenant: str, now: datetime, actor: str) -> Iterator[None]:
    outcome, details = "done", dict[str, str]()
    try:
        yield
    except Held as error:
        outcome, details = "refused", {"reason": error.message}
        raise
    except UnknownSubject:
        outcome = "unknown subject"
        raise
    finally:
        asked = {"request_id": uuid4(), "tenant": tenant, "kind": "erase", "subject_id": None, "actor": actor}
        values = {**asked, "requested_at": now, "outcome": outcome, "details": Jsonb(details)}
        connection.execute(_Q["note_request"], values)
