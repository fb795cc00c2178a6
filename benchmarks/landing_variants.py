"""Variants of landing's database side: the same events as other streams, into other tables, in other transactions.

Belongs here: what a variant is and how one run of it is measured. Which are tried is in `landing_alternatives`.
"""

import struct
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from psycopg import sql
from psycopg.conninfo import make_conninfo

from lah_platform.landing.batch import Batch, prepare
from lah_platform.landing.columns import EventColumns
from lah_platform.landing.fast_lane import FastLane
from lah_platform.landing.kinds import kinds, partials
from lah_platform.landing.records import Partition, Records
from lah_platform.landing.shapes import ShapeBook
from lah_platform.rollups.aggregate import AGGREGATE_SCHEMA
from lah_platform.rollups.series import SeriesKey
from lah_platform.stack.landing_process import decode_now
from lah_platform.stores.binary_copy import END, START
from lah_platform.stores.binary_copy import field as encoded
from lah_platform.stores.embedded.postgres import EmbeddedPostgres
from lah_platform.stores.event_copy import EventCopy
from lah_platform.stores.event_rows import EncodedRows, EventRows
from lah_platform.stores.frames import copy_csv, frame_csv
from lah_platform.stores.landing import PostgresLanding
from lah_platform.stores.migrations import migrate
from lah_platform.stores.postgres import Connection, connect

__all__ = [
    "PARTITION",
    "TAKE_FROM_STAGING",
    "CopyVariant",
    "LandingVariant",
    "Part",
    "Server",
    "Spent",
    "StagedLanding",
    "check_rows",
    "copy_into",
    "parts_of",
    "records_of",
]

PARTITION = Partition("benchmark", "benchmark", 0)
_WRITTEN = "events, ledger, landing_batches, landing_offsets, rollup_partials, dead_letters,"
_REMEMBERED = "identities_0, identities_1, identity_collisions_0, identity_collisions_1"
TAKE_FROM_STAGING = """
insert into events select * from events_staging order by ts, tenant, event_id
on conflict do nothing returning record_offset"""


@dataclass(frozen=True)
class Spent:
    """CPU seconds, user and system, of one run over `events` events; None where that side has no part in it."""

    events: int
    backend_seconds: float | None = None
    client_seconds: float | None = None
    wal_bytes: int | None = None
    note: str = ""


class Server:
    """An embedded PostgreSQL with a socket as well, and databases that begin as copies of a migrated one."""

    def __init__(self, folder: Path, port: int, stack: ExitStack) -> None:
        # the path is relative to the data folder, where whoever the server runs as may write
        # and a vacuum of one database would write WAL into the figures of another
        settings = {"unix_socket_directories": ".", "autovacuum": "off"}
        self._server = EmbeddedPostgres(folder, port=port, settings=settings)
        self._stack = stack
        self._connections: dict[tuple[str, bool], Connection] = {}
        stack.callback(self._server.destroy)
        self._server.start()
        self.admin = connect(self._server.url)
        stack.callback(self.admin.close)
        self.admin.execute("create database variant_base")

    def url(self, database: str, *, by_socket: bool = False) -> str:
        host = {"host": str(self._server.data)} if by_socket else {}
        return make_conninfo(self._server.url, dbname=f"variant_{database}", **host)

    def migrate_base(self, day: datetime) -> None:
        with connect(self.url("base")) as connection:
            migrate(connection)
            connection.execute("select ensure_event_partition(%s)", [day.date()])

    def make(self, database: str, *changes: str) -> None:
        """A copy of the migrated database, changed by these statements."""
        names = (sql.Identifier(f"variant_{name}") for name in (database, "base"))
        self.admin.execute(sql.SQL("create database {} template {}").format(*names))
        for change in changes:
            self.connection(database).execute(change)

    def connection(self, database: str, *, by_socket: bool = False) -> Connection:
        """The one connection of the database, open as long as the server runs."""
        key = database, by_socket
        if key not in self._connections:
            opened = connect(self.url(database, by_socket=by_socket), application_name="lah-variant")
            self._stack.callback(opened.close)  # not left as a context: that commits, and fails when interrupted
            self._connections[key] = opened
        return self._connections[key]

    def empty(self, database: str) -> None:
        self.connection(database).execute(f"truncate {_WRITTEN} {_REMEMBERED}")
        self.admin.execute("checkpoint")

    @contextmanager
    def metering(self, events: int, pids: Sequence[int], note: str = "") -> Iterator[list[Spent]]:
        """The list gets what this process, all its threads, and these backends spend meanwhile."""
        found: list[Spent] = []
        wal, backends, client = self._wal_bytes(), sum(map(_cpu_seconds, pids)), time.process_time()
        yield found
        client = time.process_time() - client
        backends = sum(map(_cpu_seconds, pids)) - backends
        found.append(Spent(events, backends, client, self._wal_bytes() - wal, note))

    def _wal_bytes(self) -> int:
        row = self.admin.execute("select pg_current_wal_insert_lsn() - '0/0'").fetchone()
        assert row is not None
        return int(row[0])


def _cpu_seconds(pid: int) -> float:
    # the scheduler's nanoseconds where there are any; cpu_times counts in hundredths of a second
    exact = Path(f"/proc/{pid}/schedstat")
    if exact.exists():
        return int(exact.read_text(encoding="ascii").split()[0]) / 1e9
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


@dataclass(frozen=True)
class Part:
    """Rows of one COPY, each a list of the fields' bytes in the order of `columns`; None is null."""

    columns: tuple[str, ...]
    rows: list[list[bytes | None]]

    def stream(self) -> bytes:
        head = struct.pack(">h", len(self.columns))
        return b"".join([START, *(head + b"".join(map(encoded, row)) for row in self.rows), END])

    def by(self, *names: str) -> "Part":
        """Sorted by these columns' bytes, which for times and offsets after 2000 is their order."""
        places = [self.columns.index(name) for name in names]
        return Part(self.columns, sorted(self.rows, key=lambda row: [row[place] or b"" for place in places]))

    def changed(self, **changes: Callable[[dict[str, Any]], bytes]) -> "Part":
        """Each named column's value made anew from the row's values by name."""
        rows = []
        for row in self.rows:
            named = dict(zip(self.columns, row, strict=True))
            for name, change in changes.items():
                named[name] = change(named)
            rows.append(list(named.values()))
        return Part(self.columns, rows)

    def without(self, *names: str) -> "Part":
        keep = [place for place, name in enumerate(self.columns) if name not in names]
        return Part(tuple(self.columns[k] for k in keep), [[row[k] for k in keep] for row in self.rows])


def parts_of(copy: EventCopy) -> Part:
    """The fields of a stream as shipped."""
    rows = []
    at, data = len(START), copy.stream
    for _ in range(copy.rows):
        row: list[bytes | None] = []
        at += 2
        for _ in copy.columns:
            (length,) = struct.unpack_from(">i", data, at)
            at += 4 + max(length, 0)
            row.append(None if length < 0 else data[at - length : at])
        rows.append(row)
    return Part(copy.columns, rows)


def copy_into(connection: Connection, table: str, columns: Sequence[str], data: bytes, form: str = "binary") -> int:
    """The number of rows that came in."""
    statement = sql.SQL("copy {} ({}) from stdin (format {})").format(
        sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, columns)), sql.SQL(form)
    )
    with connection.cursor() as cursor:
        with cursor.copy(statement) as copy:
            copy.write(data)
        return cursor.rowcount


def check_rows(name: str, found: int, wanted: int) -> None:
    """RuntimeError when an alternative did not do what it was measured for."""
    if found != wanted:
        raise RuntimeError(f"{name}: {found} of {wanted} events came in")


Streams = Sequence[Sequence[tuple[Sequence[str], bytes]]]  # by transaction: columns and data of each COPY


@dataclass
class CopyVariant:
    """Rows encoded beforehand, copied in over one connection."""

    name: str
    server: Server
    database: str
    streams: Streams
    events: int
    note: str = ""
    form: str = "binary"
    table: str = "events"
    by_socket: bool = False
    then: str = ""  # a query that ends each transaction and whose rows are read
    next_streams: Callable[[], Streams] | None = None  # of a table that grows instead of being emptied

    def run(self) -> Mapping[str, Spent]:
        connection = self.server.connection(self.database, by_socket=self.by_socket)
        if self.next_streams is None:
            self.server.empty(self.database)
        else:
            self.streams = self.next_streams()
            self.server.admin.execute("checkpoint")
        with self.server.metering(self.events, [connection.info.backend_pid], self.note) as spent:
            rows = 0
            for batch in self.streams:
                with connection.transaction():
                    if self.then:
                        connection.execute("truncate events_staging")
                    copied = sum(copy_into(connection, self.table, *each, self.form) for each in batch)
                    if self.then:
                        with connection.cursor(binary=True) as cursor:
                            copied = len(cursor.execute(self.then).fetchall())
                    rows += copied
        check_rows(self.name, rows, self.events)
        return {self.name: spent[0]}


class _NothingRecent:
    def seen(self, events: EventColumns) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        return np.zeros(len(events), np.bool_)


class _StagedRows(EventRows):
    """Everything into an unlogged table first; the key of `events` then says what is new."""

    def insert(
        self,
        connection: Connection,
        rows: EncodedRows,
        doubtful: EventColumns,
        records: Records,
        received_at: datetime,  # noqa: ARG002
        series: Mapping[SeriesKey, int],
    ) -> EventColumns:
        assert not len(doubtful)
        connection.execute("truncate events_staging")
        for stream in rows.streams:
            copy_into(connection, "events_staging", stream.columns, stream.stream)
        with connection.cursor(binary=True) as cursor:
            new = [offset for (offset,) in cursor.execute(TAKE_FROM_STAGING)]
        stored, aggregates = rows.events, rows.partials
        if len(new) < len(stored):
            offsets = np.array(records.offsets, np.int64)[stored.positions]
            stored = stored.take(np.flatnonzero(np.isin(offsets, np.array(new, np.int64))))
            aggregates = frame_csv(partials(kinds(stored), series), AGGREGATE_SCHEMA)
        copy_csv(connection, "rollup_partials", aggregates, AGGREGATE_SCHEMA)
        return stored


class StagedLanding(PostgresLanding):
    """Landing with a staging table in place of straight COPY, recent fingerprints and lookups."""

    def __init__(self, url: str, **options: Any) -> None:
        super().__init__(url, **options)
        self._rows = _StagedRows()
        self._recent = _NothingRecent()  # type: ignore[assignment]


def records_of(values: Sequence[bytes], first_offset: int) -> Records:
    count = len(values)
    offsets = list(range(first_offset, first_offset + count))
    return Records([PARTITION], [0] * count, offsets, list(values), lambda _: (None, ()))


@dataclass
class LandingVariant:
    """The whole landing transaction, from messages in memory to the commit, in one thread."""

    name: str
    server: Server
    values: Sequence[bytes]
    warm_up: Sequence[bytes]
    received_at: datetime
    batch_rows: int = 20_000
    kind: type[PostgresLanding] = PostgresLanding
    strict_window: timedelta | None = None
    note: str = ""
    database: str = "whole"
    lane: FastLane = field(default_factory=lambda: FastLane(ShapeBook()))

    def run(self) -> Mapping[str, Spent]:
        self.server.empty(self.database)
        # a new store remembers nothing of the run before; the warm-up gives it its series and its connections
        name = f"lah-variant-{time.monotonic_ns()}"
        store = self.kind(self.server.url(self.database), strict_window=self.strict_window, application_name=name)
        try:
            offset = store.adopt(PARTITION, 0)
            store.land(self._batch(self.warm_up, offset))
            offset += len(self.warm_up)
            row = self.server.admin.execute(
                "select array_agg(pid) from pg_stat_activity where application_name = %s", [name]
            ).fetchone()
            assert row is not None
            stream_bytes, partial_rows = [], 0
            outcomes: Counter[str] = Counter()
            with self.server.metering(len(self.values), row[0]) as found:
                for at in range(0, len(self.values), self.batch_rows):
                    batch = self._batch(self.values[at : at + self.batch_rows], offset + at)
                    encoded_batch = store.encode(batch)
                    landed = store.land(batch, encoded_batch)
                    outcomes.update(landed.outcomes)
                    stream_bytes.append(sum(len(stream.stream) for stream in encoded_batch.rows.streams))
                    partial_rows += encoded_batch.rows.partials.count(b"\n")
        finally:
            store.close()
        note = f"{partial_rows / len(self.values):.3f} partials an event, {max(stream_bytes) / 1e6:.1f} MB a batch"
        check_rows(self.name, outcomes["stored"] + outcomes["duplicate"], len(self.values))
        if outcomes["duplicate"]:
            note += f", {outcomes['duplicate'] / len(self.values):.1%} repeats"
        spent = found[0]
        return {
            self.name: Spent(
                spent.events,
                spent.backend_seconds,
                spent.client_seconds,
                spent.wal_bytes,
                "; ".join(filter(None, [self.note, note])),
            )
        }

    def _batch(self, values: Sequence[bytes], offset: int) -> Batch:
        records = records_of(values, offset)
        return prepare(records, {PARTITION: offset}, decoder=decode_now, received_at=self.received_at, lane=self.lane)
