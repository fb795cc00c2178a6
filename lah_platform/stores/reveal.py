"""Personal fields in the clear, each reading in the audit log before anything is told.

Belongs here: opening stored rows. Does not: who may ask (`api/access.py`; on the command line whoever has the key).
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

from lah_platform.privacy.cipher import subject_of
from lah_platform.privacy.opening import key_refs, opened, possible_subjects
from lah_platform.stores.audit import record_reading
from lah_platform.stores.consents import consented
from lah_platform.stores.keyring import KeyRing
from lah_platform.stores.postgres import Connection
from lah_platform.stores.queries import queries
from lah_platform.stores.subjects import subjects_by_id

__all__ = ["StoredEvent", "open_events", "reveal_event"]

_Q = queries("privacy")


class StoredEvent(NamedTuple):
    """The columns of an event that hold personal data; `ts` is UTC."""

    tenant: str
    ts: datetime
    event_id: UUID
    subject_id: UUID | None
    tags: Mapping[str, Any]
    payload: Mapping[str, Any]


def reveal_event(
    connection: Connection,
    ring: KeyRing | None,
    tenant: str,
    event_id: UUID,
    *,
    actor: str,
    purpose: str | None = None,
    now: datetime | None = None,
) -> list[StoredEvent]:
    """The events of that id in the clear, of a tenant or with "*" of any; mostly one. Raises Unreadable.

    For a `purpose` only what is of subjects whose consent to it stands at `now` (UTC): others' texts read
    `(no consent)` and their subject_ids stay. Without one the reading rests on something else than consent.
    `ring` is None where nothing is encrypted; what was encrypted before stays as it is then.
    """
    with connection.transaction():
        asked = {"tenant": tenant, "event_id": event_id}
        events = [StoredEvent(*row) for row in connection.execute(_Q["event_to_reveal"], asked).fetchall()]
        if ring is not None:
            moment = now or datetime.now(UTC)
            events = [
                open_events(connection, ring, event.tenant, [event], purpose=purpose, now=moment)[0] for event in events
            ]
        what, why = f"event {event_id}", purpose or "not said"
        # last: until the transaction ends nobody else can record
        record_reading(connection, actor, tenant=tenant, what=what, purpose=why, rows=len(events))
    return events


def open_events(
    connection: Connection,
    ring: KeyRing,
    tenant: str,
    events: Iterable[StoredEvent],
    *,
    purpose: str | None = None,
    now: datetime | None = None,
) -> list[StoredEvent]:
    """Events of one tenant in the clear, for a purpose as in `reveal_event`; the caller has audited it.

    Raises Unreadable.
    """
    stored = list(events)
    trees = [tree for event in stored for tree in (event.tags, event.payload)]
    refs = {ref for tree in trees for ref in key_refs(tree)}
    ids = {subject_id for ref in refs if (subject_id := subject_of(ref)) is not None}
    ids |= {subject_id for tree in trees for subject_id in possible_subjects(tree)}
    withheld: set[UUID] = set()
    if purpose is not None:
        withheld = ids - consented(connection, tenant, ids, purpose, now=now or datetime.now(UTC))
    known = subjects_by_id(connection, ring, tenant, ids - withheld)
    identifiers = {subject_id: subject.identifier for subject_id, subject in known.items()}

    def key_of(ref: str) -> bytes | None:
        if ref[:1] == "t" and ref[1:].isdigit():
            return ring.by_id(connection, int(ref[1:]))
        subject_id = subject_of(ref)
        return known[subject_id].key if subject_id in known else None

    def clear(event: StoredEvent, tree: Mapping[str, Any], path: str) -> Any:
        return opened(
            tree,
            tenant=tenant,
            event_id=event.event_id,
            path=path,
            key_of=key_of,
            identifiers=identifiers,
            withheld=withheld,
        )

    return [
        event._replace(tags=clear(event, event.tags, "tags"), payload=clear(event, event.payload, ""))
        for event in stored
    ]
