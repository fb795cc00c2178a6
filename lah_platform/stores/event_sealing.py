"""Personal data on its way into the database: whose keys, which subjects, and that no erasure is missed.

Belongs here: one landing process's memory of keys and persons, and the epoch that tells it to forget. What becomes of
an event is `landing/sealing.py`; where the rows go is `stores/landing.py`.
"""

import threading
from collections.abc import Iterable, Mapping, Sequence

from lah_platform.landing.columns import EventColumns
from lah_platform.landing.sealing import ColumnSealing
from lah_platform.privacy.cipher import MARK, open_bytes, place, read, seal_bytes, seal_text, tenant_ref
from lah_platform.privacy.subjects import Person, Subject
from lah_platform.privacy.writers import Redact, TenantSeal
from lah_platform.rollups.series import SeriesKey
from lah_platform.stores.keyring import KeyRing
from lah_platform.stores.postgres import Connection
from lah_platform.stores.queries import queries
from lah_platform.stores.subjects import epoch, resolve_subjects

__all__ = ["EventSealing", "LetterSealing"]

_Q = queries("privacy")
_MOST_SUBJECTS = 200_000


class _Moved(Exception):
    """An erasure was committed since the memory was filled."""


class EventSealing:
    """Seals events for one database; may be used by several threads, one after the other."""

    def __init__(self, ring: KeyRing, *, series_tags: Sequence[str] = (), redact: Redact | None = None) -> None:
        self._ring = ring
        self._columns = ColumnSealing(series_tags, redact)
        self._subjects: dict[Person, Subject | None] = {}
        self._tenants: dict[str, TenantSeal] = {}
        self._epoch: int | None = None
        self._turn = threading.Lock()

    def seal(self, connection: Connection, events: EventColumns) -> tuple[EventColumns, int]:
        """The events as they may be stored, and the epoch they were made in: in another they must be made anew.

        Persons who are new are added, in a transaction of their own unless one is under way.
        """
        with self._turn:
            while True:
                if self._epoch is None:
                    self._epoch = _read_epoch(connection)
                try:
                    return self._columns.seal(events, _Lookup(self, connection)), self._epoch
                except _Moved:
                    self._forget()

    def series_key(self, connection: Connection, key: SeriesKey) -> SeriesKey:
        """The series' dimensions without persons."""
        with self._turn:
            while True:
                try:
                    return self._columns.series_key(key, _Lookup(self, connection))
                except _Moved:
                    self._forget()

    def forget(self) -> None:
        """Ask the database again: it may be another one now, or somebody was erased."""
        with self._turn:
            self._forget()

    def _forget(self) -> None:
        self._columns.forget()
        self._subjects = {}
        self._tenants = {}
        self._ring.forget()
        self._epoch = None


class _Lookup:
    """A Lookup of one connection."""

    def __init__(self, sealing: EventSealing, connection: Connection) -> None:
        self._sealing = sealing
        self._connection = connection

    def tenant(self, tenant: str) -> TenantSeal:
        known = self._sealing._tenants.get(tenant)
        if known is None:
            ring, connection = self._sealing._ring, self._connection
            key_id, key = ring.current(connection, tenant, "content")
            index = ring.current(connection, tenant, "index").key
            (policy,) = connection.execute(_Q["policy_of"], {"tenant": tenant}).fetchone() or ("keep",)
            known = TenantSeal(tenant_ref(key_id), key, index, policy)
            if ring.knows(tenant):
                self._sealing._tenants[tenant] = known
        return known

    def subjects(self, persons: set[Person]) -> Mapping[Person, Subject | None]:
        sealing, connection = self._sealing, self._connection
        missing = persons - sealing._subjects.keys()
        if not missing:
            return sealing._subjects
        for tenant in {person.tenant for person in missing}:  # before a transaction that may be rolled back
            sealing._ring.current(connection, tenant, "index")
            sealing._ring.current(connection, tenant, "wrapping")
        is_nested = connection.info.transaction_status.name != "IDLE"
        with connection.transaction():
            if epoch(connection) != sealing._epoch:
                raise _Moved
            found = resolve_subjects(connection, sealing._ring, missing)
        if is_nested:  # it may be rolled back
            return {**sealing._subjects, **found}
        if len(sealing._subjects) + len(found) > _MOST_SUBJECTS:
            kept = {person: sealing._subjects[person] for person in persons - missing}
            sealing._subjects = kept
        sealing._subjects |= found
        return sealing._subjects


def _read_epoch(connection: Connection) -> int:
    (number,) = connection.execute(_Q["epoch"]).fetchone() or (0,)
    return int(number)


class LetterSealing:
    """Dead letters' bytes under their tenant's content key, each bound to its record."""

    def __init__(self, ring: KeyRing) -> None:
        self._ring = ring

    def prepare(self, connection: Connection, tenants: Iterable[str]) -> None:
        """Have these tenants' keys made before a transaction that may be rolled back."""
        for tenant in tenants:
            self._ring.current(connection, tenant, "content")

    def seal(self, connection: Connection, tenant: str, record: str, part: str, plain: bytes) -> bytes:
        """`enc:v1:<key>:` and the encrypted bytes."""
        key_id, key = self._ring.current(connection, tenant, "content")
        bound_to = place(tenant, record.encode(), part)
        return f"{MARK}{tenant_ref(key_id)}:".encode() + seal_bytes(key, plain, bound_to)

    def seal_text(self, connection: Connection, tenant: str, record: str, part: str, plain: bytes) -> str:
        """The same as a text."""
        key_id, key = self._ring.current(connection, tenant, "content")
        return seal_text(key, tenant_ref(key_id), plain, place(tenant, record.encode(), part))

    def open(self, connection: Connection, tenant: str, record: str, part: str, kept: bytes) -> bytes:
        """The plain bytes of either; what was kept without encryption comes back as it is. Raises Unreadable."""
        if not kept.startswith(MARK.encode()):
            return kept
        head, _, body = kept[len(MARK) :].partition(b":")
        text = read(kept.decode("ascii")) if part == "headers" else None
        key = self._ring.by_id(connection, int(head[1:]))
        return open_bytes(key, body if text is None else text.body, place(tenant, record.encode(), part))
