"""One run of landing's database side: encoded rows copied in, or the whole transaction from message to commit.

Belongs here: how a run goes. Which streams, tables and sizes are tried is in `landing_variants`.
"""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from benchmarks.landing_prepared import BATCH_ROWS, PARTITION, records_of
from benchmarks.landing_spent import Spent, check_rows
from benchmarks.landing_streams import Streams
from benchmarks.landing_variant_server import Server, copy_into
from lah_platform.landing.batch import Batch, prepare
from lah_platform.landing.columns import EventColumns
from lah_platform.landing.fast_lane import FastLane
from lah_platform.landing.kinds import kinds, partials
from lah_platform.landing.records import Records
from lah_platform.landing.shapes import Shape, ShapeBook
from lah_platform.stack.landing_process import decode_now
from lah_platform.stores.event_rows import EncodedRows, EventRows
from lah_platform.stores.landing import PostgresLanding
from lah_platform.stores.partial_sets import SET_COLUMNS, partial_copy
from lah_platform.stores.postgres import Connection

__all__ = ["TAKE_FROM_STAGING", "CopyVariant", "LandingVariant", "StagedLanding"]

TAKE_FROM_STAGING = """
insert into events select * from events_staging order by ts, tenant, event_id
on conflict do nothing returning record_offset"""


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
        series: Mapping[Shape, int],
    ) -> EventColumns:
        assert not len(doubtful)
        connection.execute("truncate events_staging")
        for stream in rows.streams:
            copy_into(connection, "events_staging", stream.columns, stream.stream)
        with connection.cursor(binary=True) as cursor:
            new = [offset for (offset,) in cursor.execute(TAKE_FROM_STAGING)]
        stored, aggregates = rows.events, rows.partials
        if len(new) < len(stored):
            offsets = records.offsets[stored.positions]
            stored = stored.take(np.flatnonzero(np.isin(offsets, np.array(new, np.int64))))
            made = partials(kinds(stored), series)
            aggregates = b"" if made is None else partial_copy(made)
        if aggregates:
            copy_into(connection, "rollup_partial_sets", SET_COLUMNS, aggregates)
        return stored


class StagedLanding(PostgresLanding):
    """Landing with a staging table in place of straight COPY, recent fingerprints and lookups."""

    def __init__(self, url: str, **options: Any) -> None:
        super().__init__(url, **options)
        self._recent = _NothingRecent()  # type: ignore[assignment]

    def _forget(self) -> None:
        super()._forget()
        self._rows = _StagedRows()  # here, as every connection that opens, the first too, begins with new ones


@dataclass
class LandingVariant:
    """The whole landing transaction, from messages in memory to the commit, in one thread."""

    name: str
    server: Server
    database: str
    values: Sequence[bytes]
    warm_up: Sequence[bytes]
    received_at: datetime
    batch_rows: int = BATCH_ROWS
    kind: type[PostgresLanding] = PostgresLanding
    strict_window: timedelta | None = None
    note: str = ""
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
