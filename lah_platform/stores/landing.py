"""The landing transaction on PostgreSQL: rows, dead letters, ledger, partial rollups and offsets, all or nothing."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from typing import Any

import msgspec
from psycopg import errors

from lah_platform.errors import ConfigurationError, Fenced, StoreUnavailable, Unstorable
from lah_platform.events.envelope import Event
from lah_platform.landing.batch import Batch, OffsetRange
from lah_platform.landing.ledger import LedgerEntry, ledger_entries
from lah_platform.landing.records import Landed, Outcome, Partition, Record
from lah_platform.landing.rows import ROW_COLUMNS, event_rows, identity, partials, series_key
from lah_platform.rollups.series import SeriesKey, overflow_key
from lah_platform.stores.frames import copy_frame, copy_rows
from lah_platform.stores.postgres import Connection, connect
from lah_platform.stores.queries import queries

__all__ = ["PostgresLanding", "SeriesBook", "add_to_ledger", "insert_events"]

_Q = queries("landing")

# COPY types of `events`; enums and jsonb go as the bytes that their input functions read (no Python object between)
_TEXT = "source_module event_type payload_type subtype severity environment schema_version model request_id topic"
_TYPES: dict[str, str] = (
    dict.fromkeys(["tenant", "token_derivation", *_TEXT.split()], "text")
    | dict.fromkeys(["event_id", "correlation_id", "parent_event_id"], "uuid")
    | dict.fromkeys(["ts", "received_at"], "timestamptz")
    | dict.fromkeys(["latency_ms", "ttft_ms", "tokens_per_second", "requests_per_second", "score"], "float8")
    | {"partition": "int4", "cost_usd": "numeric", "tags": "bytea", "payload": "bytea"}
)
_ROW_TYPES = [_TYPES.get(name, "int8") for name in ROW_COLUMNS]
_JSONB_AT = [ROW_COLUMNS.index(name) for name in ("tags", "payload")]
_JSONB_VERSION = b"\x01"
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


@contextmanager
def _failures() -> Iterator[None]:
    """PostgreSQL's errors as the loop's: away for now, or never storable."""
    try:
        yield
    except (errors.DataError, errors.CheckViolation, errors.NotNullViolation) as error:
        raise Unstorable(str(error).strip().splitlines()[0], "The record is a dead letter now") from error
    except (errors.OperationalError, ConfigurationError) as error:  # also deadlocks, full disks, shutdowns
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise StoreUnavailable(f"PostgreSQL is away ({reason})", "Landing waits for it") from error


class SeriesBook:
    """The ids of series, remembered; new ones are added in a transaction of their own, before the batch's.

    A series whose batch then fails stays: it has an id and no events, and the next batch uses it.
    """

    def __init__(self, limit_per_tenant: int) -> None:
        self._limit = limit_per_tenant
        self._ids: dict[SeriesKey, int] = {}

    def ids(self, connection: Connection, keys: set[SeriesKey]) -> Mapping[SeriesKey, int]:
        """The id of every key; past the tenant's limit the id of its overflow series."""
        for key in sorted(keys - self._ids.keys()):
            self._ids[key] = self._assign(connection, key)
        return self._ids

    def _assign(self, connection: Connection, key: SeriesKey) -> int:
        dimensions = key._asdict()
        found = connection.execute(_Q["find_series"], dimensions).fetchone()
        if found:
            return int(found[0])
        with connection.transaction():
            connection.execute(_Q["lock_tenant_series"], dimensions)
            found = connection.execute(_Q["find_series"], dimensions).fetchone()
            if found is None:
                (known,) = connection.execute(_Q["count_series"], dimensions).fetchone() or (0,)
                if known >= self._limit and key != overflow_key(key.tenant):
                    dimensions = overflow_key(key.tenant)._asdict()
                    found = connection.execute(_Q["find_series"], dimensions).fetchone()
                found = found or connection.execute(_Q["add_series"], dimensions).fetchone()
        assert found is not None
        return int(found[0])


class PostgresLanding:
    """A LandingStore on one connection, reopened when it breaks."""

    def __init__(self, url: str, *, series_limit: int = 10_000, application_name: str = "lah-landing") -> None:
        self._url = url
        self._application_name = application_name
        self._connection: Connection | None = None
        self._series = SeriesBook(series_limit)
        self._days: set[date] = set()

    def adopt(self, partition: Partition, first_offset: int) -> int:
        """The offset to go on from; `first_offset` of the log for a partition never seen."""
        with _failures():
            row = self._open().execute(_Q["adopt_partition"], _names(partition) | {"first_offset": first_offset})
            (next_offset,) = row.fetchone() or (first_offset,)
            return int(next_offset)

    def note_caught_up(self, partitions: frozenset[Partition], at: datetime) -> None:
        """See LandingStore."""
        with _failures():
            self._open().cursor().executemany(
                _Q["note_caught_up"], [_names(p) | {"at": at} for p in sorted(partitions)]
            )

    def land(self, batch: Batch) -> Landed:
        """See LandingStore."""
        with _failures():
            connection = self._open()
            accepted = [
                (record, result)
                for record, result in zip(batch.records, batch.results, strict=True)
                if isinstance(result, Event)
            ]
            self._ensure_days(connection, {event.timestamp.date() for _, event in accepted})
            series = self._series.ids(connection, {series_key(event) for _, event in accepted})
            rows = event_rows(accepted, series, batch.received_at)
            try:
                with connection.transaction():
                    self._advance(connection, batch.ranges)
                    return self._write(connection, batch, rows)
            except errors.CheckViolation:
                self._days.clear()  # retention dropped a day that was remembered as there
                self._ensure_days(connection, {event.timestamp.date() for _, event in accepted})
                with connection.transaction():
                    self._advance(connection, batch.ranges)
                    return self._write(connection, batch, rows)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()

    def _open(self) -> Connection:
        if self._connection is None or self._connection.closed:
            self._connection = connect(self._url, application_name=self._application_name)
            self._days.clear()
        return self._connection

    def _ensure_days(self, connection: Connection, days: set[date]) -> None:
        for day in sorted(days - self._days):
            connection.execute(_Q["ensure_partition"], {"day": day})
        self._days |= days

    def _advance(self, connection: Connection, ranges: Mapping[Partition, OffsetRange]) -> None:
        for partition, covered in sorted(ranges.items()):
            step = _names(partition) | {"start": covered.start, "stop": covered.stop}
            if connection.execute(_Q["advance_offset"], step).fetchone() is None:
                raise Fenced(partition.topic, partition.number, covered.start)

    def _write(self, connection: Connection, batch: Batch, rows: Sequence[tuple[Any, ...]]) -> Landed:
        stored = insert_events(connection, rows)
        waiting = set(map(identity, stored))
        outcomes: list[Outcome] = []
        dead: list[tuple[Any, ...]] = []
        numbered = iter(rows)
        for record, result in zip(batch.records, batch.results, strict=True):
            if isinstance(result, Event):
                key = identity(next(numbered))
                outcomes.append("stored" if key in waiting else "duplicate")
                waiting.discard(key)  # the same identity again in this batch is a repeat
            else:
                outcomes.append("dead_lettered")
                dead.append(
                    (result.tenant, *record.partition[:2], record.partition.number, record.offset, batch.received_at)
                    + (result.code, result.field, result.reason, record.value, record.key, _headers(record))
                )
        aggregates = partials(stored)
        copy_frame(connection, "rollup_partials", aggregates, aggregates.columns)
        if dead:
            copy_rows(connection, "dead_letters", list(_DEAD_LETTER_TYPES), list(_DEAD_LETTER_TYPES.values()), dead)
        add_to_ledger(connection, ledger_entries(batch, outcomes))
        connection.cursor().executemany(
            _Q["record_batch"],
            [
                _names(partition)
                | {"start": covered.start, "stop": covered.stop, "received": covered.records}
                | {"no_record": covered.no_record, "landed_at": batch.received_at}
                for partition, covered in sorted(batch.ranges.items())
            ],
        )
        return Landed(outcomes)


def insert_events(connection: Connection, rows: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Insert the rows whose identity is new, each identity once, and return them; inside a transaction.

    Straight COPY when all are new; a batch with a repeat goes through a staging table, so that repeats are counted
    and not guessed.
    """
    unique = {identity(row): row for row in reversed(rows)}
    ordered = [unique[key] for key in sorted(unique)]
    if not ordered:
        return []
    try:
        with connection.transaction():
            _copy_events(connection, "events", ordered)
    except errors.UniqueViolation:
        connection.execute(_Q["make_staging"])
        _copy_events(connection, "events_staging", ordered)
        inserted = set(connection.execute(_Q["insert_new_from_staging"]).fetchall())
        return [row for row in ordered if identity(row) in inserted]
    return ordered


def add_to_ledger(connection: Connection, entries: Sequence[LedgerEntry]) -> None:
    """Book the entries; inside a transaction."""
    connection.cursor().executemany(_Q["add_to_ledger"], [entry._asdict() for entry in entries])


def _copy_events(connection: Connection, table: str, rows: Sequence[tuple[Any, ...]]) -> None:
    tags, payload = _JSONB_AT
    copy_rows(
        connection,
        table,
        ROW_COLUMNS,
        _ROW_TYPES,
        [
            (*row[:tags], _JSONB_VERSION + row[tags], *row[tags + 1 : payload], _JSONB_VERSION + row[payload])
            for row in rows
        ],
    )


def _names(partition: Partition) -> dict[str, Any]:
    return {"topic": partition.topic, "topic_id": partition.topic_id, "partition": partition.number}


def _headers(record: Record) -> bytes:
    readable = [
        (name, (value or b"").decode("utf-8", "replace").replace("\0", "\ufffd")) for name, value in record.headers
    ]
    return _JSONB_VERSION + msgspec.json.encode(readable)
