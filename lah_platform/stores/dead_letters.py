"""Dead letters: listed, shown, and replayed after a fix. A replay is a move in the ledger, not a new receipt."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import errors

from lah_platform.errors import ConfigurationError, StoreUnavailable
from lah_platform.events.rejection import Rejection, conflicting_timestamp
from lah_platform.landing.batch import Decoder
from lah_platform.landing.columns import EventColumns, from_us
from lah_platform.landing.ledger import LedgerEntry
from lah_platform.landing.records import Partition, Record, Records
from lah_platform.landing.shapes import ShapeBook
from lah_platform.privacy.writers import Redact
from lah_platform.stores.conflicts import ConflictMemory
from lah_platform.stores.event_rows import EventRows
from lah_platform.stores.event_sealing import EventSealing, LetterSealing
from lah_platform.stores.keyring import KeyRing
from lah_platform.stores.landing import SeriesBook, add_to_ledger, letter_record
from lah_platform.stores.postgres import Connection
from lah_platform.stores.queries import queries
from lah_platform.stores.subjects import epoch

__all__ = ["Replayed", "dead_letter", "dead_letters", "expire_bytes", "opened", "pending", "replay"]

_Q = queries("landing")
_Q_PRIVACY = queries("privacy")


@dataclass(frozen=True)
class Replayed:
    """What became of one dead letter: 'stored', 'duplicate', or still 'dead_lettered' for the reason given."""

    dead_letter_id: int
    outcome: str
    reason: str = ""


def dead_letters(
    connection: Connection, *, code: str | None = None, pending_only: bool = True, limit: int = 50
) -> list[dict[str, Any]]:
    """The newest dead letters without their bytes."""
    with connection.cursor() as cursor:
        cursor.execute(_Q["dead_letters"], {"code": code, "pending_only": pending_only, "limit": limit})
        names = [column.name for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def dead_letter(connection: Connection, dead_letter_id: int, keys: KeyRing | None = None) -> dict[str, Any]:
    """One dead letter with its bytes, decrypted where they are encrypted and `keys` are given.

    Raises ConfigurationError when there is none of that id, Unreadable when its bytes do not open.
    """
    with connection.transaction(), connection.cursor() as cursor:
        cursor.execute(_Q["dead_letter"], {"dead_letter_id": dead_letter_id})
        row = cursor.fetchone()
        names = [column.name for column in cursor.description or ()]
    if row is None:
        raise ConfigurationError(f"There is no dead letter {dead_letter_id}", "`lah dead-letters list` shows them")
    letter = dict(zip(names, row, strict=True))
    return letter if keys is None else letter | opened(connection, letter, keys)


def opened(connection: Connection, letter: Mapping[str, Any], keys: KeyRing) -> dict[str, Any]:
    """The decrypted bytes among `raw`, `record_key` and `headers` of a dead letter. Raises Unreadable."""
    letters = LetterSealing(keys)
    record = letter_record(letter["topic"], letter["topic_id"], letter["partition"], letter["record_offset"])
    plain: dict[str, Any] = {}
    for part in {"raw", "record_key"} & letter.keys():
        if letter[part] is not None:
            plain[part] = letters.open(connection, letter["tenant"], record, part, bytes(letter[part]))
    if isinstance(kept := letter.get("headers"), str):
        plain["headers"] = json.loads(letters.open(connection, letter["tenant"], record, "headers", kept.encode()))
    return plain


def expire_bytes(connection: Connection, before: datetime) -> int:
    """Delete the bytes of dead letters that were refused before that moment (UTC); returns how many. Rows stay."""
    expired = 0
    while count := connection.execute(_Q_PRIVACY["expire_dead_letters"], {"before": before}).rowcount:
        expired += count
    return expired


def pending(connection: Connection, code: str | None = None) -> Sequence[int]:
    """Ids of the dead letters that were not replayed yet, oldest first."""
    return [dead_letter_id for (dead_letter_id,) in connection.execute(_Q["pending_dead_letters"], {"code": code})]


def replay(
    connection: Connection,
    dead_letter_id: int,
    *,
    decoder: Decoder,
    now: datetime,
    series: SeriesBook,
    series_tags: Sequence[str] = (),
    memory: ConflictMemory | None = None,
    keys: KeyRing | None = None,
    redact: Redact | None = None,
) -> Replayed:
    """Decode the kept bytes again and store the event, in one transaction with the ledger's move.

    The ledger's row of the first receipt gives one back, and the event's tenant takes it in the same topic,
    partition and minute. A dead letter that was replayed before, or is still refused, is left as it is; with a
    `memory`, so is one whose event_id is remembered under another timestamp.
    """
    letter = dead_letter(connection, dead_letter_id, keys)
    if letter["bytes_expired_at"] is not None:
        expired = f"its bytes were deleted at {letter['bytes_expired_at']:%Y-%m-%d %H:%M} UTC"
        return Replayed(dead_letter_id, letter["replayed_as"] or "dead_lettered", expired)
    result = decoder(letter["raw"], now)
    if isinstance(result, Rejection):
        return Replayed(dead_letter_id, "dead_lettered", f"{result.field}: {result.reason}")
    source = Partition(letter["topic"], letter["topic_id"], letter["partition"])
    records = Records.of([Record(source, letter["record_offset"], None, letter["raw"])])
    book = ShapeBook(series_tags)
    events = EventColumns.of([result], [0], book)
    shape = events.shape(0)
    sealing = None if keys is None else EventSealing(keys, series_tags=series_tags, redact=redact)
    series_key, made_in = shape.series, 0
    if sealing is not None:
        events, made_in = sealing.seal(connection, events)
        series_key = sealing.series_key(connection, series_key)
    ids = {shape: series.ids(connection, {series_key})[series_key]}
    connection.execute(_Q["ensure_partition"], {"day": result.timestamp.date()})
    if memory is not None:
        memory.turn_if_due(connection, now)
    rows = EventRows()
    with _told_of_races(), connection.transaction():
        if sealing is not None and epoch(connection) != made_in:
            raise StoreUnavailable("Somebody was erased at this moment", "Replay it again")
        letter = dead_letter(connection, dead_letter_id)
        if letter["replayed_at"] is not None:
            return Replayed(dead_letter_id, letter["replayed_as"], "it was replayed before")
        if memory is not None and (firsts := _claim(memory, connection, events, now)):
            refused = conflicting_timestamp(result.tenant, from_us(firsts[0]))
            return Replayed(dead_letter_id, "dead_lettered", f"{refused.field}: {refused.reason}")
        nothing = rows.encode(EventColumns.of([], [], book), records, now, ids)
        stored = rows.insert(connection, nothing, events, records, now, ids)
        outcome = "stored" if len(stored) else "duplicate"
        minute = letter["dead_lettered_at"].replace(second=0, microsecond=0)
        for entry in (
            LedgerEntry(source.topic, source.number, minute, letter["tenant"], -1, 0, 0, -1),
            LedgerEntry(source.topic, source.number, minute, result.tenant, 1, len(stored), 1 - len(stored), 0),
        ):
            add_to_ledger(connection, [entry])
        connection.execute(_Q["mark_replayed"], {"dead_letter_id": dead_letter_id, "at": now, "outcome": outcome})
    return Replayed(dead_letter_id, outcome)


@contextmanager
def _told_of_races() -> Iterator[None]:
    try:
        yield
    except errors.UniqueViolation as error:
        raise StoreUnavailable("Another process lands the same event at this moment", "Replay it again") from error


def _claim(memory: ConflictMemory, connection: Connection, events: EventColumns, now: datetime) -> Mapping[int, int]:
    tenants, times_us = events.tenants(), events.timestamps_us
    return memory.claim(connection, tenants=tenants, event_ids=events.event_ids.octets, timestamps_us=times_us, now=now)
