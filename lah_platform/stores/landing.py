"""The landing transaction on PostgreSQL: rows, dead letters, ledger, partial rollups and offsets, all or nothing."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import msgspec
import numpy as np
from psycopg import errors

from lah_platform.errors import ConfigurationError, Fenced, StoreUnavailable, Unstorable
from lah_platform.events.rejection import conflicting_timestamp
from lah_platform.landing.batch import Batch, OffsetRange
from lah_platform.landing.columns import EventColumns, Integers, from_us
from lah_platform.landing.ledger import LedgerEntry, ledger_entries
from lah_platform.landing.records import OUTCOMES, Landed, Partition, Record
from lah_platform.landing.repeats import RecentEvents, first_of_each
from lah_platform.landing.shapes import Shape
from lah_platform.privacy.writers import Redact
from lah_platform.rollups.series import SeriesKey
from lah_platform.stores.conflicts import ConflictMemory
from lah_platform.stores.event_rows import EncodedRows, EventRows
from lah_platform.stores.event_sealing import EventSealing, LetterSealing
from lah_platform.stores.frames import copy_rows
from lah_platform.stores.keyring import KeyRing
from lah_platform.stores.postgres import Connection, connect
from lah_platform.stores.queries import queries
from lah_platform.stores.series import SeriesBook
from lah_platform.stores.subjects import epoch

__all__ = ["EncodedBatch", "PostgresLanding", "SeriesBook", "add_to_ledger", "letter_record"]

_Q = queries("landing")
_NO_PLACES = np.empty(0, np.intp)
_ATTEMPTS = 5  # each after the second means that another process committed one of the events a moment ago
_DEAD_LETTER_TYPES = {
    "tenant": "text",
    "topic": "text",
    "topic_id": "text",
    "partition": "int4",
    "record_offset": "int8",
    "dead_lettered_at": "timestamptz",
    "code": "text",
    "field": "text",
    "reason": "text",
    "raw": "bytea",
    "record_key": "bytea",
    "headers": "bytea",
}
_JSONB_VERSION = b"\x01"
_DAY_US = 86_400_000_000
_MOST_SHAPES = 50_000  # remembered with their series
# A landing process that is frozen within its transaction keeps its rows locked, and whoever takes its partitions waits
_IDLE_MS = 15_000
_STATEMENT_MS = 60_000


@contextmanager
def _failures() -> Iterator[None]:
    """PostgreSQL's errors as the loop's: away for now, or never storable."""
    try:
        yield
    except (errors.DataError, errors.CheckViolation, errors.NotNullViolation) as error:
        raise Unstorable(str(error).strip().splitlines()[0], "The record is a dead letter now") from error
    # also deadlocks, full disks, shutdowns
    except (errors.OperationalError, errors.IdleInTransactionSessionTimeout, ConfigurationError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise StoreUnavailable(f"PostgreSQL is away ({reason})", "Landing waits for it") from error


@dataclass(frozen=True)
class EncodedBatch:
    """A batch as its transaction will write it; `doubtful` are looked up there first."""

    batch: Batch
    rows: EncodedRows
    doubtful: EventColumns
    series: Mapping[Shape, int]
    epoch: int = 0


class _Stale(Exception):
    """Somebody was erased since the batch was encoded."""


class PostgresLanding:
    """A LandingStore on two connections, reopened when they break: one for transactions, one for what precedes them.

    With `strict_window`, an event_id that came before under another timestamp within that time is refused. With `keys`,
    personal data is encrypted; without, it is stored as it is sent.
    """

    def __init__(
        self,
        url: str,
        *,
        series_limit: int = 10_000,
        strict_window: timedelta | None = None,
        keys: KeyRing | None = None,
        series_tags: Sequence[str] = (),
        redact: Redact | None = None,
        application_name: str = "lah-landing",
    ) -> None:
        self._sealing = None if keys is None else EventSealing(keys, series_tags=series_tags, redact=redact)
        self._letters = None if keys is None else LetterSealing(keys)
        self._series = SeriesBook(series_limit)
        self._days = _Days()
        self._transactions = _Reopened(url, application_name)
        self._preparations = _Reopened(url, application_name, on_open=self._forget)
        self._shape_series: dict[Shape, int] = {}
        self._rows = EventRows()
        self._recent = RecentEvents()
        self._memory = None if strict_window is None else ConflictMemory(strict_window)

    def adopt(self, partition: Partition, first_offset: int) -> int:
        """The offset to go on from; `first_offset` of the log for a partition never seen."""
        with _failures(), self._preparations.turn() as connection:
            row = connection.execute(_Q["adopt_partition"], _names(partition) | {"first_offset": first_offset})
            (next_offset,) = row.fetchone() or (first_offset,)
            return int(next_offset)

    def note_caught_up(self, partitions: frozenset[Partition], at: datetime) -> None:
        """See LandingStore."""
        with _failures(), self._transactions.turn() as connection:
            connection.cursor().executemany(_Q["note_caught_up"], [_names(p) | {"at": at} for p in sorted(partitions)])

    def encode(self, batch: Batch) -> EncodedBatch:
        """See LandingStore."""
        with _failures(), self._preparations.turn() as connection:
            firsts = first_of_each(batch.events)
            events = batch.events if len(firsts) == len(batch.events) else batch.events.take(firsts)
            self._days.ensure(connection, events.timestamps_us)
            made_in = 0
            if self._sealing is not None and self._letters is not None:
                self._letters.prepare(connection, {each.tenant for each in batch.rejections.values()})
                events, made_in = self._sealing.seal(connection, events)
            series = self._series_of(connection, events)
            is_recent = self._recent.seen(events)
            doubtful = events.take(np.flatnonzero(is_recent))
            fresh = events.take(np.flatnonzero(~is_recent)) if len(doubtful) else events
            rows = self._rows.encode(fresh, batch.records, batch.received_at, series)
            return EncodedBatch(batch, rows, doubtful, series, made_in)

    def _series_of(self, connection: Connection, events: EventColumns) -> Mapping[Shape, int]:
        """The id of each shape's series; remembered by shape, whose hash is cheap."""
        shapes = set(events.distinct_shapes().values())
        if len(self._shape_series) > _MOST_SHAPES:
            self._shape_series = {}
        if missing := shapes - self._shape_series.keys():
            keys = {shape: self._series_key(connection, shape) for shape in missing}
            ids = self._series.ids(connection, set(keys.values()))
            self._shape_series |= {shape: ids[key] for shape, key in keys.items()}
        return self._shape_series

    def _series_key(self, connection: Connection, shape: Shape) -> SeriesKey:
        return shape.series if self._sealing is None else self._sealing.series_key(connection, shape.series)

    def land(self, batch: Batch, encoded: EncodedBatch | None = None) -> Landed:
        """See LandingStore."""
        encoded = encoded or self.encode(batch)
        with _failures(), self._transactions.turn() as connection:
            if self._memory is not None:
                self._memory.turn_if_due(connection, batch.received_at)
            days_are_sure = False
            for _ in range(_ATTEMPTS):
                try:
                    with connection.transaction():
                        return self._write(connection, encoded)
                except _Stale:
                    with self._preparations.turn():
                        self._forget()
                    encoded = self.encode(batch)
                except errors.UniqueViolation:  # a repeat that was not remembered: look all of them up
                    encoded = self._all_doubtful(encoded)
                except errors.CheckViolation:
                    if days_are_sure:
                        raise
                    self._days.forget()  # retention dropped a day that was remembered as there
                    self._days.ensure(connection, batch.events.timestamps_us)
                    days_are_sure = True
        raise StoreUnavailable("Other processes land the same events at this moment", "Landing tries again")

    def close(self) -> None:
        self._transactions.close()
        self._preparations.close()

    def _forget(self) -> None:
        self._series.forget()
        self._shape_series = {}
        self._days.forget()
        if self._sealing is not None:
            self._sealing.forget()
        self._rows = EventRows()  # what it has encoded holds ids of series

    def _write(self, connection: Connection, encoded: EncodedBatch) -> Landed:
        self._advance(connection, encoded.batch.ranges)
        if self._sealing is not None and epoch(connection) != encoded.epoch:
            raise _Stale
        encoded = self._without_conflicts(connection, encoded)
        batch = encoded.batch
        stored = self._rows.insert(
            connection, encoded.rows, encoded.doubtful, batch.records, batch.received_at, encoded.series
        )
        outcome_of = np.full(len(batch.records), OUTCOMES.index("duplicate"), np.int8)
        outcome_of[stored.positions] = OUTCOMES.index("stored")
        refused = sorted(batch.rejections)
        outcome_of[refused] = OUTCOMES.index("dead_lettered")
        landed = Landed(outcome_of)
        if refused:
            letters = [self._letter(connection, batch, position) for position in refused]
            copy_rows(connection, "dead_letters", list(_DEAD_LETTER_TYPES), list(_DEAD_LETTER_TYPES.values()), letters)
        add_to_ledger(connection, ledger_entries(batch, landed))
        ranges = _by_column(batch.ranges)
        received = [covered.records for covered in batch.ranges.values()]
        no_record = [covered.no_record for covered in batch.ranges.values()]
        connection.execute(
            _Q["record_batch"],
            ranges | {"received": received, "no_record": no_record, "landed_at": batch.received_at},
        )
        return landed

    def _advance(self, connection: Connection, ranges: Mapping[Partition, OffsetRange]) -> None:
        moved = set(map(Partition._make, connection.execute(_Q["advance_offsets"], _by_column(ranges)).fetchall()))
        for partition, covered in ranges.items():
            if partition not in moved:
                raise Fenced(partition.topic, partition.number, covered.start)

    def _all_doubtful(self, encoded: EncodedBatch) -> EncodedBatch:
        events = EventColumns.concat([encoded.rows.events, encoded.doubtful])
        nothing = self._rows.encode(events.take(_NO_PLACES), encoded.batch.records, encoded.batch.received_at, {})
        return replace(encoded, rows=nothing, doubtful=events)

    def _without_conflicts(self, connection: Connection, encoded: EncodedBatch) -> EncodedBatch:
        if self._memory is None:
            return encoded
        batch = encoded.batch
        events = batch.events.take(np.argsort(batch.events.positions, kind="stable"))
        conflicts = self._memory.claim(
            connection,
            tenants=events.tenants(),
            event_ids=events.event_ids.octets,
            timestamps_us=events.timestamps_us,
            now=batch.received_at,
        )
        if not conflicts:
            return encoded
        refused = batch.refused(
            {
                int(events.positions[place]): conflicting_timestamp(events.shape(place).tenant, from_us(first_us))
                for place, first_us in conflicts.items()
            }
        )
        sealed = EventColumns.concat([encoded.rows.events, encoded.doubtful])
        left = sealed.take(np.flatnonzero(~np.isin(sealed.positions, list(refused.rejections))))
        rows = self._rows.encode(left.take(_NO_PLACES), batch.records, batch.received_at, encoded.series)
        return EncodedBatch(refused, rows, left, encoded.series, encoded.epoch)

    def _letter(self, connection: Connection, batch: Batch, position: int) -> tuple[Any, ...]:
        record, rejection = batch.records[position], batch.rejections[position]
        value, key, headers = record.value, record.key, _headers(record)
        if self._letters is not None:
            named = letter_record(*record.partition, record.offset)

            def sealed(part: str, plain: bytes | None) -> bytes | None:
                assert self._letters is not None
                return None if plain is None else self._letters.seal(connection, rejection.tenant, named, part, plain)

            value, key = sealed("raw", value), sealed("record_key", key)
            if record.headers:
                text = self._letters.seal_text(connection, rejection.tenant, named, "headers", headers)
                headers = msgspec.json.encode(text)
        return (
            (rejection.tenant, *record.partition[:2], record.partition.number, record.offset, batch.received_at)
            + (rejection.code, rejection.field, rejection.reason, value, key, _JSONB_VERSION + headers)
        )  # fmt: skip


def letter_record(topic: str, topic_id: str, partition: int, offset: int) -> str:
    """What a dead letter's bytes are bound to."""
    return f"{topic}/{topic_id}/{partition}/{offset}"


def add_to_ledger(connection: Connection, entries: Sequence[LedgerEntry]) -> None:
    """Book the entries, no two of one row; inside a transaction."""
    if not entries:
        return
    columns = zip(*entries, strict=True)
    connection.execute(_Q["add_to_ledger"], dict(zip(LedgerEntry._fields, map(list, columns), strict=True)))


def _by_column(ranges: Mapping[Partition, OffsetRange]) -> dict[str, list[Any]]:
    return {
        "topic": [partition.topic for partition in ranges],
        "topic_id": [partition.topic_id for partition in ranges],
        "partition": [partition.number for partition in ranges],
        "start": [covered.start for covered in ranges.values()],
        "stop": [covered.stop for covered in ranges.values()],
    }


class _Reopened:
    """One connection for one thread at a time, opened anew when it broke."""

    def __init__(self, url: str, application_name: str, on_open: Callable[[], None] = lambda: None) -> None:
        self._url = url
        self._on_open = on_open
        self._application_name = application_name
        self._connection: Connection | None = None
        self._turn = threading.Lock()

    @contextmanager
    def turn(self) -> Iterator[Connection]:
        with self._turn:
            if self._connection is None or self._connection.closed:
                self._connection = connect(
                    self._url,
                    application_name=self._application_name,
                    statement_timeout_ms=_STATEMENT_MS,
                    idle_in_transaction_timeout_ms=_IDLE_MS,
                )
                self._on_open()
            yield self._connection

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()


class _Days:
    """The days of events whose partitions are known to exist."""

    def __init__(self) -> None:
        self._known: set[int] = set()

    def ensure(self, connection: Connection, timestamps_us: Integers) -> None:
        for day in sorted(set(np.unique(timestamps_us // _DAY_US).tolist()) - self._known):
            connection.execute(_Q["ensure_partition"], {"day": from_us(day * _DAY_US).date()})
            self._known.add(day)

    def forget(self) -> None:
        self._known.clear()


def _names(partition: Partition) -> dict[str, Any]:
    return {"topic": partition.topic, "topic_id": partition.topic_id, "partition": partition.number}


def _headers(record: Record) -> bytes:
    readable = [
        (name, (value or b"").decode("utf-8", "replace").replace("\0", "\ufffd")) for name, value in record.headers
    ]
    return msgspec.json.encode(readable)
