"""Persons: who stands behind a subject_id, and the keys of their fields. The one place where the two are linked.

Belongs here: the table `subjects`, found and added. Does not: what is done with an event (`privacy/seal.py`), rights.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from lah_platform.privacy.cipher import new_key, open_bytes, place, seal_bytes
from lah_platform.privacy.identifiers import identifier_hmac
from lah_platform.privacy.subjects import Person, Subject
from lah_platform.stores.keyring import KeyRing
from lah_platform.stores.postgres import Connection
from lah_platform.stores.queries import queries

__all__ = ["KnownSubject", "epoch", "hmac_of", "next_epoch", "resolve_subjects", "subject_of_person", "subjects_by_id"]

_Q = queries("privacy")


@dataclass(frozen=True)
class KnownSubject:
    """A subject that was not erased, with its identifier in the clear; whoever asks for it is audited by the caller."""

    subject_id: UUID
    key: bytes
    identifier: str
    identifier_hmac: bytes
    created_at: datetime


def hmac_of(connection: Connection, ring: KeyRing, person: Person) -> bytes:
    """What the tables keep in place of the person's identifier."""
    return identifier_hmac(ring.current(connection, person.tenant, "index").key, person.identifier)


def epoch(connection: Connection) -> int:
    """The number that erasures raise, held to the end of the transaction, which must be under way."""
    connection.execute(_Q["hold_epoch"])
    (number,) = connection.execute(_Q["epoch"]).fetchone() or (0,)
    return int(number)


def next_epoch(connection: Connection) -> int:
    """Begin an erasure inside a transaction: it waits for landing transactions under way, new ones wait for it."""
    (number,) = connection.execute(_Q["next_epoch"]).fetchone() or (0,)
    return int(number)


def resolve_subjects(
    connection: Connection, ring: KeyRing, persons: Collection[Person]
) -> dict[Person, Subject | None]:
    """Each person's subject, added when new; None: was erased. Inside a transaction that holds the epoch."""
    asked = sorted(persons)
    hmacs = [hmac_of(connection, ring, person) for person in asked]
    found = _find(connection, ring, asked, hmacs)
    new = [at for at, person in enumerate(asked) if person not in found]
    if new:
        found |= _add(connection, ring, [asked[at] for at in new], [hmacs[at] for at in new])
        others = [at for at in new if asked[at] not in found]  # another process was first
        found |= _find(connection, ring, [asked[at] for at in others], [hmacs[at] for at in others])
    return found


def subject_of_person(connection: Connection, ring: KeyRing, person: Person) -> Subject | None:
    """The subject of a person who has one; None: never seen, or erased. Adds nothing."""
    return _find(connection, ring, [person], [hmac_of(connection, ring, person)]).get(person)


def subjects_by_id(
    connection: Connection, ring: KeyRing, tenant: str, subject_ids: Iterable[UUID]
) -> dict[UUID, KnownSubject]:
    """The subjects of these ids that are the tenant's and were not erased."""
    rows = connection.execute(_Q["subjects_by_id"], {"tenant": tenant, "subject_ids": list(subject_ids)})
    known = {}
    for subject_id, wrapped_key, key_id, sealed, hmac, created_at in rows.fetchall():
        key = open_bytes(ring.by_id(connection, key_id), bytes(wrapped_key), _bound(tenant, subject_id, "key"))
        identifier = open_bytes(key, bytes(sealed), _bound(tenant, subject_id, "identifier")).decode()
        known[subject_id] = KnownSubject(subject_id, key, identifier, bytes(hmac), created_at)
    return known


def _find(
    connection: Connection, ring: KeyRing, persons: list[Person], hmacs: list[bytes]
) -> dict[Person, Subject | None]:
    if not persons:
        return {}
    asked = {"tenants": [person.tenant for person in persons], "hmacs": hmacs}
    found: dict[Person, Subject | None] = {}
    for position, subject_id, wrapped_key, key_id in connection.execute(_Q["find_subjects"], asked).fetchall():
        person = persons[position - 1]
        if subject_id is None:
            found[person] = None
            continue
        bound_to = _bound(person.tenant, subject_id, "key")
        found[person] = Subject(subject_id, open_bytes(ring.by_id(connection, key_id), bytes(wrapped_key), bound_to))
    return found


def _add(
    connection: Connection, ring: KeyRing, persons: list[Person], hmacs: list[bytes]
) -> Mapping[Person, Subject | None]:
    columns: dict[str, list[Any]] = {
        name: [] for name in ("tenants", "hmacs", "subject_ids", "wrapped_keys", "key_ids", "sealed")
    }
    made: dict[tuple[str, bytes], tuple[Person, Subject]] = {}
    for person, hmac in zip(persons, hmacs, strict=True):
        if (person.tenant, hmac) in made:  # two spellings of one identifier
            continue
        subject = Subject(uuid4(), new_key())
        wrapping = ring.current(connection, person.tenant, "wrapping")
        made[person.tenant, hmac] = person, subject
        bound_to = _bound(person.tenant, subject.subject_id, "key")
        plain, at = person.identifier.encode(), _bound(person.tenant, subject.subject_id, "identifier")
        for name, value in (
            ("tenants", person.tenant),
            ("hmacs", hmac),
            ("subject_ids", subject.subject_id),
            ("wrapped_keys", seal_bytes(wrapping.key, subject.key, bound_to)),
            ("key_ids", wrapping.key_id),
            ("sealed", seal_bytes(subject.key, plain, at)),
        ):
            columns[name].append(value)
    rows = connection.execute(_Q["add_subjects"], columns).fetchall()
    return dict(made[tenant, bytes(hmac)] for tenant, hmac in rows)


def _bound(tenant: str, subject_id: UUID, path: str) -> bytes:
    return place(tenant, subject_id.bytes, path)
