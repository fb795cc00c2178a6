"""What was tried for landing's hot path, each by the CPU time it takes: redo the choice on your own machine.

Belongs here: which alternatives there are, the client's among them, and the table of all. `landing_variants` has the
database's side. Backend and client are CPU microseconds an event, user and system, never wall time: a machine that
does something else meanwhile adds some per cent, so the first line is measured twice. Not counted: the server's
background processes and the kernel's writes. WAL is the whole server's, where nothing else runs.
"""

import argparse
import gc
import json
import os
import signal
import statistics
import struct
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, Protocol

os.environ["POLARS_MAX_THREADS"] = "1"  # as in `lah land`; read at import

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
from psycopg import sql

from benchmarks.landing_variants import (
    PARTITION,
    TAKE_FROM_STAGING,
    CopyVariant,
    LandingVariant,
    Part,
    Server,
    Spent,
    StagedLanding,
    check_rows,
    copy_into,
    parts_of,
    records_of,
)
from benchmarks.landing_workload import messages
from benchmarks.report import machine
from lah_platform.events.envelope import Event
from lah_platform.events.measures import MEASURE_TYPES
from lah_platform.events.money import round_to_column
from lah_platform.events.payloads.cost import TokenCost
from lah_platform.events.payloads.telemetry import Latency
from lah_platform.events.token_buckets import token_buckets
from lah_platform.landing.batch import Batch, prepare
from lah_platform.landing.columns import at_us, encode_tags
from lah_platform.landing.fast_lane import FastLane
from lah_platform.landing.kinds import Kind, kinds, partials
from lah_platform.landing.repeats import RecentEvents, first_of_each
from lah_platform.landing.shapes import ShapeBook, event_key
from lah_platform.rollups.aggregate import AGGREGATE_SCHEMA
from lah_platform.rollups.metrics import METRICS
from lah_platform.rollups.series import SeriesKey
from lah_platform.stack.landing_process import decode_now
from lah_platform.stores.binary_copy import POSTGRES_EPOCH_US
from lah_platform.stores.embedded.ports import unused_port
from lah_platform.stores.event_copy import EventCopy, ShapeBytes, event_copy
from lah_platform.stores.frames import frame_csv
from lah_platform.stores.postgres import Connection

_BATCH_ROWS = 20_000
_SEED = 20231116
_MINUTE_US = 60_000_000
_SHAPE_TEXTS = (
    *("tenant", "source_module", "event_type", "payload_type", "subtype"),
    *("severity", "environment", "schema_version", "model"),
)
_BASELINE = "as shipped"
_WHOLE = "whole transaction, as shipped, 20,000"
_ONE_BY_ONE = "one by one: COPY with write_row and set_types"
_PEERS_HOME = Path(__file__).resolve().parent.parent / ".venv-peers"


class Alternative(Protocol):
    def run(self) -> Mapping[str, Spent]:
        """One run; what each of its parts spent, by the name of its line in the table."""


class SeriesIds(dict[SeriesKey, int]):
    """Every series has an id; no server is asked."""

    def __missing__(self, key: SeriesKey) -> int:
        self[key] = len(self) + 1
        return self[key]


class Workload:
    """The same events for every alternative: messages, columns and the streams as shipped."""

    def __init__(self, events: int, repeat_events: int) -> None:
        noon = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0)
        self.start = noon - timedelta(days=1)  # whole within one daily partition, whenever it runs
        self.received_at = self.start + timedelta(minutes=5)
        make = partial(messages, start=self.start)
        self.values = [value for _, value in make(events, seed=_SEED)]
        self.warm_up = [value for _, value in make(5000, seed=_SEED + 1)]
        self.most_values = [value for _, value in make(max(events, 50_000), seed=_SEED)]
        self.repeated = [value for _, value in make(repeat_events, seed=_SEED, duplicate_share=0.01)]
        self.series = SeriesIds()
        self.lane = FastLane(ShapeBook())
        self.shape_bytes = ShapeBytes()
        self.batches = [self.batch(at) for at in range(0, events, _BATCH_ROWS)]
        self.kinds = [kinds(batch.events) for batch in self.batches]
        copies = [self.copies(batch, by_kind) for batch, by_kind in zip(self.batches, self.kinds, strict=True)]
        self.streams = [[(copy.columns, copy.stream) for copy in made] for made in copies]
        self.parts = [[parts_of(copy) for copy in made] for made in copies]

    def batch(self, at: int) -> Batch:
        values = self.values[at : at + _BATCH_ROWS]
        starts = {PARTITION: at}
        return prepare(records_of(values, at), starts, decoder=decode_now, received_at=self.received_at, lane=self.lane)

    def copies(self, batch: Batch, by_kind: Sequence[Kind]) -> list[EventCopy]:
        return [
            event_copy(kind, batch.records, self.received_at, self.shape_bytes.of(kind.events.shapes, self.series))
            for kind in by_kind
        ]

    def each_part(self, change: Callable[[Part], Part]) -> list[list[Part]]:
        return [[change(part) for part in parts] for parts in self.parts]


def _streams(batches: Sequence[Sequence[Part]]) -> list[list[tuple[Sequence[str], bytes]]]:
    return [[(part.columns, part.stream()) for part in parts] for parts in batches]


def _uuid7(row: Mapping[str, Any]) -> bytes:
    milliseconds = (struct.unpack(">q", row["ts"])[0] + POSTGRES_EPOCH_US) // 1000
    random = row["event_id"]
    return bytes(milliseconds.to_bytes(6, "big") + bytes([0x70 | random[6] & 0x0F]) + random[7:])


def _plain_json(row: Mapping[str, Any], name: str) -> bytes:
    return bytes(row[name][1:])  # without jsonb's version


def _as_one(parts: Sequence[Part]) -> Part:
    """One COPY that names every column of any of them."""
    columns = tuple(dict.fromkeys(name for part in parts for name in part.columns))
    rows = []
    for part in parts:
        nulls: dict[str, bytes | None] = dict.fromkeys(columns)
        rows += [list((nulls | dict(zip(part.columns, row, strict=True))).values()) for row in part.rows]
    return Part(columns, rows).by("ts")


def database_alternatives(server: Server, work: Workload, *, is_quick: bool) -> list[Alternative]:
    events = len(work.values)
    day = f"events_{work.start:%Y%m%d}"
    rng = np.random.default_rng(_SEED)
    server.make("shipped")
    server.make("whole", "create unlogged table events_staging (like events)")
    server.make("id_first", *_new_key("event_id, tenant, ts"))
    server.make("no_correlation", "drop index events_correlation")
    server.make("no_brin", "drop index events_received")
    server.make("json", "alter table events alter payload type json, alter tags type json")
    server.make("text", "alter table events alter payload type text, alter tags type text")
    server.make("no_key", "alter table events drop constraint events_pkey")
    server.make("no_origin", "alter table events drop topic, drop partition, drop record_offset")
    server.make("no_json", "alter table events drop payload, drop tags")
    children = [f"create table h{n} partition of {day} for values with (modulus 4, remainder {n})" for n in range(4)]
    of_day = f"for values from ('{work.start:%Y-%m-%d}+00') to ('{work.start + timedelta(days=1):%Y-%m-%d}+00')"
    hashed = f"create table {day} partition of events {of_day} partition by hash (event_id)"
    server.make("hashed", f"drop table {day}", hashed, *children)

    def to_random_time(_: Mapping[str, Any]) -> bytes:
        return struct.pack(">q", at_us(work.start) - POSTGRES_EPOCH_US + int(rng.integers(_MINUTE_US)))

    shuffled = work.each_part(lambda part: part.changed(ts=to_random_time))
    arrived = [[part.by("record_offset") for part in parts] for parts in shuffled]
    in_order = [[part.by("ts") for part in parts] for parts in shuffled]
    uuid7 = _streams(work.each_part(lambda part: part.changed(event_id=_uuid7)))
    plain = _streams(
        work.each_part(
            lambda part: part.changed(
                payload=partial(_plain_json, name="payload"), tags=partial(_plain_json, name="tags")
            )
        )
    )

    def copied(name: str, database: str = "shipped", streams: Any = work.streams, **options: Any) -> CopyVariant:
        return CopyVariant(name, server, database, streams, events, **options)

    def sent(streams: Sequence[Sequence[tuple[Sequence[str], bytes]]]) -> str:
        return f"{sum(len(data) for batch in streams for _, data in batch) / events:.0f} bytes an event sent"

    as_one = _streams([[_as_one(parts)] for parts in work.parts])
    what = f"COPY of each payload kind's filled columns, sorted by time, 20,000 a transaction; {sent(work.streams)}"
    made: list[Alternative] = [
        copied(_BASELINE, note=what),
        copied("the same over a unix socket", by_socket=True, note="instead of TCP on loopback"),
        copied("the day's partition named", table=day, note="no routing of each row"),
        copied("times shuffled in a minute, sorted", streams=_streams(in_order)),
        copied("times shuffled in a minute, as arrived", streams=_streams(arrived)),
        copied("one COPY, all columns named", streams=as_one, note=sent(as_one)),
        copied("COPY as text", streams=_printed(server, plain, "text"), form="text"),
        copied("COPY as CSV", streams=_printed(server, plain, "csv"), form="csv"),
        copied("UUIDv7 ids", streams=uuid7, note="the key begins with the time, so ids hardly matter"),
        copied("key (event_id, tenant, ts)", "id_first", note="random ids; the table is small and in cache"),
        copied("key (event_id, tenant, ts), UUIDv7", "id_first", uuid7),
        copied("no index on correlation_id", "no_correlation", note="a third of the events carry one"),
        copied("no BRIN index on received_at", "no_brin"),
        copied("payload and tags as json", "json", plain, note="no operators, parsed at every read"),
        copied("payload and tags as text", "text", plain, note="not even checked"),
        copied("no unique key", "no_key", note="what deduplication in memory alone would save"),
        copied("hash partitions below the day", "hashed", note="4 by event_id"),
        copied(
            "no topic, partition, record_offset",
            "no_origin",
            _streams(work.each_part(lambda part: part.without("topic", "partition", "record_offset"))),
            note="not offered: where a row came from is what an audit asks",
        ),
        copied(
            "no payload, no tags",
            "no_json",
            _streams(work.each_part(lambda part: part.without("payload", "tags"))),
            note="not offered: shows what the documents cost",
        ),
        copied(
            "unlogged staging, on conflict",
            "whole",
            table="events_staging",
            then=TAKE_FROM_STAGING,
            note="all rows new; then insert ... on conflict do nothing returning",
        ),
        copied(f"{_BASELINE}, again", note="the same as the first line: how much to believe a difference"),
    ]
    if not is_quick:
        rows_there = 10 * events
        for database, label, make_id, key in (
            ("shipped_grown", _BASELINE, _random_id, ""),
            ("id_first_grown", "key (event_id, tenant, ts)", _random_id, "event_id, tenant, ts"),
            ("id_first_grown_7", "key (event_id, tenant, ts), UUIDv7", _uuid7, "event_id, tenant, ts"),
        ):
            server.make(database, *(_new_key(key) if key else ()))
            _fill(server.connection(database), work, make_id)
            note = "the table is not emptied: a random key's pages are written again after every checkpoint"
            after = f"{label}, {rows_there:,} rows there"
            growing = _growing(work, make_id)
            made.append(copied(after, database, next_streams=growing, note=note))
    return made


def _new_key(columns: str) -> tuple[str, str]:
    return "alter table events drop constraint events_pkey", f"alter table events add primary key ({columns})"


def _random_id(_: Mapping[str, Any]) -> bytes:
    return os.urandom(16)


def _growing(work: Workload, make_id: Callable[[Mapping[str, Any]], bytes]) -> Callable[[], Any]:
    """New events at every call, each call's a second after those of the one before."""
    calls = count(1)

    def later() -> Any:
        by_us = next(calls) * 1_000_000

        def moved(row: Mapping[str, Any]) -> bytes:
            return struct.pack(">q", struct.unpack(">q", row["ts"])[0] + by_us)

        return _streams(work.each_part(lambda part: part.changed(ts=moved, event_id=make_id)))

    return later


def _fill(connection: Connection, work: Workload, make_id: Callable[[Mapping[str, Any]], bytes]) -> None:
    """Ten times the events, in the seconds before them."""
    for batch in work.streams:
        for columns, data in batch:
            copy_into(connection, "events", columns, data)
    rows = connection.execute(
        "select attname from pg_attribute where attrelid = 'events'::regclass and attnum > 0 order by attnum"
    )
    names = [name for (name,) in rows]
    time_ = sql.SQL("ts - n * interval '1 second'")
    an_id = sql.SQL("gen_random_uuid()" if make_id is _random_id else "uuidv7(ts - n * interval '1 second' - now())")
    made = {"ts": time_, "event_id": an_id}
    chosen = [made.get(name, sql.Identifier(name)) for name in names]
    connection.execute(
        sql.SQL("insert into events select {} from events, generate_series(1, 9) n order by 1").format(
            sql.SQL(", ").join(chosen)
        )
    )


def _printed(server: Server, plain: Sequence[Sequence[tuple[Sequence[str], bytes]]], form: str) -> Any:
    """The streams as the server prints them in another format, the documents as they were sent."""
    connection = server.connection("json")
    printed: list[list[tuple[Sequence[str], bytes]]] = []
    for batch in plain:
        printed.append([])
        for columns, data in batch:
            connection.execute("truncate events")
            copy_into(connection, "events", columns, data)
            query = sql.SQL("copy (select {} from events order by ts) to stdout (format {})").format(
                sql.SQL(", ").join(map(sql.Identifier, columns)), sql.SQL(form)
            )
            with connection.cursor() as cursor, cursor.copy(query) as copy:
                printed[-1].append((columns, b"".join(map(bytes, copy))))
    return printed


def whole_alternatives(server: Server, work: Workload) -> list[Alternative]:
    whole = partial(LandingVariant, server=server, warm_up=work.warm_up, received_at=work.received_at)
    return [
        whole(name=_WHOLE, values=work.values, note="read, encode, transaction"),
        *(
            whole(name=f"whole transaction, {rows:,}", values=values, batch_rows=rows)
            for rows, values in ((1000, work.values), (5000, work.values), (50_000, work.most_values))
        ),
        whole(name="whole transaction, 1 % repeats", values=work.repeated),
        whole(name="whole transaction, staged", values=work.values, kind=StagedLanding),
        whole(name="whole transaction, staged, 1 % repeats", values=work.repeated, kind=StagedLanding),
        whole(name="whole transaction, strict", values=work.values, strict_window=timedelta(hours=24)),
    ]


class Client:
    """What is done before the server sees a byte: as shipped, and parts of it by other means."""

    def __init__(self, server: Server, work: Workload, folder: Path) -> None:
        self._server = server
        self._work = work
        self._file = folder / "events.ndjson"
        self._file.write_bytes(b"\n".join(work.values))
        self._tables: list[list[pa.Table]] = []

    def alternatives(self) -> list[Alternative]:
        plain: list[Callable[[], Mapping[str, Spent]]] = [self.as_shipped, self.one_by_one, self.parsers, self.group_by]
        return [_Function(run) for run in plain + self._arrow()]

    def _spent(self, spend: Callable[[], object], note: str = "") -> Spent:
        started = time.process_time()
        spend()
        return Spent(len(self._work.values), client_seconds=time.process_time() - started, note=note)

    def as_shipped(self) -> Mapping[str, Spent]:
        work, batches, by_kind = self._work, self._work.batches, self._work.kinds
        recent = RecentEvents()
        made: list[pl.DataFrame] = []

        def read() -> None:
            for at in range(0, len(work.values), _BATCH_ROWS):
                work.batch(at)

        def find_repeats() -> None:
            for batch in batches:
                recent.seen(batch.events.take(first_of_each(batch.events)))

        found = {
            "shipped: read": self._spent(read, "the fast lane, by the column"),
            "shipped: find repeats": self._spent(find_repeats, "fingerprints"),
            "shipped: sort by kind and time": self._spent(
                lambda: [kinds(batch.events) for batch in batches], "with the payloads' measures as arrays"
            ),
            "shipped: encode": self._spent(
                lambda: [work.copies(*each) for each in zip(batches, by_kind, strict=True)], "COPY bytes from arrays"
            ),
            "shipped: partials": self._spent(
                lambda: made.extend(partials(each, work.series) for each in by_kind),
                "numpy: count, sum, exact sum, min, max, mean, m2, histogram",
            ),
        }
        found["shipped: partials as CSV"] = self._spent(lambda: [frame_csv(each, AGGREGATE_SCHEMA) for each in made])
        return found

    def one_by_one(self) -> Mapping[str, Spent]:
        """As before: an object, a tuple and a call for every event; no repeats looked for, no rollups."""
        work, server = self._work, self._server
        events: list[Event] = []
        rows: list[tuple[Any, ...]] = []

        def read() -> None:
            events.extend(decode_now(value, work.received_at) for value in work.values)  # type: ignore[misc]

        def make_rows() -> None:
            rows.extend(_row(event, offset, work) for offset, event in enumerate(events))
            rows.sort(key=lambda row: row[_KEY_AT])

        found = {"one by one: decode": self._spent(read), "one by one: row tuples": self._spent(make_rows)}
        server.empty("shipped")
        connection = server.connection("shipped")
        statement = sql.SQL("copy events ({}) from stdin (format binary)").format(
            sql.SQL(", ").join(map(sql.Identifier, _ROW_TYPES))
        )
        with server.metering(len(rows), [connection.info.backend_pid]) as spent:
            for at in range(0, len(rows), _BATCH_ROWS):
                with connection.transaction(), connection.cursor() as cursor, cursor.copy(statement) as copy:
                    copy.set_types(list(_ROW_TYPES.values()))
                    for row in rows[at : at + _BATCH_ROWS]:
                        copy.write_row(row)
        return found | {_ONE_BY_ONE: spent[0]}

    def parsers(self) -> Mapping[str, Spent]:
        """References: these parse, and check, name and refuse nothing."""
        together = b"\n".join(self._work.values)

        def by_duckdb() -> None:
            with duckdb.connect(config={"threads": 1}) as database:
                query = "create table t as select * from read_json(?, format = 'newline_delimited')"
                database.execute(query, [str(self._file)])

        return {
            "polars.read_ndjson": self._spent(lambda: pl.read_ndjson(together), "parsing only"),
            "DuckDB read_json": self._spent(by_duckdb, "parsing only, into a table in memory"),
        }

    def group_by(self) -> Mapping[str, Spent]:
        def by_polars() -> None:
            for by_kind in self._work.kinds:
                frame = pl.concat(frame for kind in by_kind for frame in _long(kind, self._work.series))
                value = pl.col("value")
                made = (pl.len(), value.sum().alias("sum"), value.min().alias("min"), value.max().alias("max"))
                frame.group_by("series", "minute", "metric").agg(*made, value.mean().alias("mean"))

        note = "count, sum, min, max, mean only: no exact sums, no m2, no histogram"
        return {"partials by polars group_by": self._spent(by_polars, note)}

    def _arrow(self) -> list[Callable[[], Mapping[str, Spent]]]:
        """Encoders that are not ours come from the peers' environment, behind everything that ours holds."""
        sys.path.append(sysconfig.get_path("purelib", vars={"base": str(_PEERS_HOME), "platbase": str(_PEERS_HOME)}))
        return [self.arrow, self.pgpq, self.adbc]  # in this order: the first builds what the others are given

    def _pairs(self) -> Any:
        return zip(self._work.kinds, self._work.batches, strict=True)

    def arrow(self) -> Mapping[str, Spent]:
        def build() -> None:
            self._tables = [[_arrow(kind, self._work, batch) for kind in by_kind] for by_kind, batch in self._pairs()]

        return {"columns to Arrow": self._spent(build, "what pgpq and ADBC are given; kinds are made already")}

    def pgpq(self) -> Mapping[str, Spent]:
        from pgpq import ArrowToPostgresBinaryEncoder  # type: ignore[import-not-found]

        streams: list[list[tuple[Sequence[str], bytes]]] = []

        def encode() -> None:
            for tables in self._tables:
                streams.append([])
                for table in tables:
                    encoder = ArrowToPostgresBinaryEncoder(table.schema)
                    pieces = [encoder.write_header(), *map(encoder.write_batch, table.to_batches()), encoder.finish()]
                    streams[-1].append((table.column_names, b"".join(pieces)))

        spent = self._spent(encode, "Arrow to COPY bytes; after `columns to Arrow`")
        name = "pgpq"
        sent = CopyVariant(name, self._server, "shipped", streams, spent.events).run()[name]
        return {name: Spent(spent.events, sent.backend_seconds, spent.client_seconds, sent.wal_bytes, spent.note)}

    def adbc(self) -> Mapping[str, Spent]:
        from adbc_driver_postgresql import dbapi  # type: ignore[import-not-found]

        self._server.empty("shipped")
        with dbapi.connect(self._server.url("shipped")) as connection, connection.cursor() as cursor:
            cursor.execute("select pg_backend_pid()")
            ((pid,),) = cursor.fetchall()
            with self._server.metering(
                len(self._work.values), [pid], "ingests and sends; after `columns to Arrow`"
            ) as spent:
                rows = 0
                for tables in self._tables:
                    for table in tables:
                        rows += cursor.adbc_ingest("events", table, mode="append", db_schema_name="lah")
                    connection.commit()
        check_rows("ADBC", rows, len(self._work.values))
        return {"ADBC ingest": spent[0]}


class _Function:
    def __init__(self, run: Callable[[], Mapping[str, Spent]]) -> None:
        self.run = run


_ROW_TYPES = (
    {"series_id": "int8", "received_at": "timestamptz", "topic": "text", "partition": "int4", "record_offset": "int8"}
    | {"ts": "timestamptz", "tenant": "text", "event_id": "uuid"}
    | dict.fromkeys(_SHAPE_TEXTS[1:-1], "text")
    | {"correlation_id": "uuid", "parent_event_id": "uuid"}
    | {
        name: {"text": "text", "float": "float8", "integer": "int8", "decimal": "numeric"}[kind]
        for name, kind in MEASURE_TYPES.items()
    }
    | {"tags": "bytea", "payload": "bytea"}
)
_KEY_AT = slice(list(_ROW_TYPES).index("ts"), list(_ROW_TYPES).index("event_id") + 1)


def _row(event: Event, offset: int, work: Workload) -> tuple[Any, ...]:
    shape = work.lane.shapes.of(event_key(event), event)
    payload = event.payload
    if isinstance(payload, Latency):
        filled = dict[str, Any](
            model=payload.model_id,
            request_id=payload.request_id,
            latency_ms=payload.total_latency_ms,
            ttft_ms=payload.ttft_ms,
            tokens_per_second=payload.tokens_per_second,
        )
    else:
        fresh, read, write, visible, reasoning, derivation = token_buckets(payload)  # type: ignore[arg-type]
        filled = dict[str, Any](
            model=payload.model_id,  # type: ignore[union-attr]
            request_id=payload.request_id,  # type: ignore[union-attr]
            input_tokens=payload.prompt_tokens,  # type: ignore[union-attr]
            output_tokens=payload.completion_tokens,  # type: ignore[union-attr]
            total_tokens=payload.total_tokens,  # type: ignore[union-attr]
            input_fresh_tokens=fresh,
            input_cache_read_tokens=read,
            input_cache_write_tokens=write,
            output_visible_tokens=visible,
            output_reasoning_tokens=reasoning,
            token_derivation=derivation,
            cost_usd=round_to_column(payload.total_cost_usd) if isinstance(payload, TokenCost) else None,
        )
    return (
        (work.series[shape.series], work.received_at, PARTITION.topic, PARTITION.number, offset)
        + (event.timestamp, event.tenant, event.event_id, event.source_module, event.event_type, event.payload_type)
        + (event.subtype, event.severity, event.environment, event.schema_version)
        + (event.correlation_id, event.parent_event_id, *map(filled.get, MEASURE_TYPES))
        + (b"\x01" + encode_tags(event.tags), b"\x01" + event.payload_json)
    )  # fmt: skip


def _long(kind: Kind, series: Mapping[SeriesKey, int]) -> list[pl.DataFrame]:
    shapes, subtype = kind.events.shapes, kind.events.shapes[0].subtype
    ids = np.array([series[shape.series] for shape in shapes], np.int64)
    minutes = kind.events.timestamps_us // _MINUTE_US
    frames = []
    for at, metric in enumerate(METRICS):
        if metric.column is None:
            values, there = np.ones(len(ids)), np.ones(len(ids), np.bool_)
        elif metric.subtype in (None, subtype) and metric.column in kind.numbers:
            numbers = kind.numbers[metric.column]
            values, there = numbers.values.astype(np.float64), ~numbers.is_null
        else:
            continue
        columns = {"series": ids[there], "minute": minutes[there], "value": values[there]}
        frames.append(pl.DataFrame(columns).with_columns(metric=pl.lit(at, pl.Int8)))
    return frames


def _arrow(kind: Kind, work: Workload, batch: Batch) -> pa.Table:
    """The columns that `event_copy` writes, in Arrow types whose COPY bytes the table's columns take."""
    events = kind.events
    size = len(events)
    shapes = list(dict.fromkeys(events.shapes))
    number = {shape: at for at, shape in enumerate(shapes)}
    of_shape = pa.array([number[shape] for shape in events.shapes], pa.int32())

    def of_shapes(values: Sequence[Any]) -> pa.Array:
        return pa.DictionaryArray.from_arrays(of_shape, pa.array(values)).dictionary_decode()

    def ids(octets: np.ndarray[Any, Any], is_null: np.ndarray[Any, Any]) -> pa.Array:
        valid = pa.py_buffer(np.packbits(~is_null, bitorder="little").tobytes())
        return pa.Array.from_buffers(pa.binary(16), size, [valid, pa.py_buffer(np.ascontiguousarray(octets))])

    def moments(microseconds: np.ndarray[Any, Any]) -> pa.Array:
        return pa.array(microseconds.astype("datetime64[us]"), pa.timestamp("us", "UTC"))

    columns = {"series_id": of_shapes([work.series[shape.series] for shape in shapes])}
    columns |= {name: of_shapes([getattr(shape, name) for shape in shapes]) for name in _SHAPE_TEXTS}
    columns |= {
        "received_at": moments(np.full(size, at_us(work.received_at), np.int64)),
        "topic": pa.repeat(PARTITION.topic, size),
        "partition": pa.repeat(pa.scalar(PARTITION.number, pa.int32()), size),
        "record_offset": pa.array(np.array(batch.records.offsets, np.int64)[events.positions]),
        "ts": moments(events.timestamps_us),
        "event_id": ids(events.event_ids.octets, events.event_ids.is_null),
    }
    if not events.correlation_ids.is_null.all():
        columns["correlation_id"] = ids(events.correlation_ids.octets, events.correlation_ids.is_null)
    for name, numbers in kind.numbers.items():
        columns[name] = pa.array(numbers.values, mask=numbers.is_null)
        if MEASURE_TYPES[name] == "decimal":
            wide = np.stack([numbers.values, numbers.values >> 63], axis=1)  # to 128 bits, the sign carried on
            columns[name] = pa.Array.from_buffers(pa.decimal128(28, 12), size, [None, pa.py_buffer(wide)])
    columns["payload"] = pa.array([b"\x01" + each for each in events.payload_json], pa.binary())
    columns["tags"] = pa.array([b"\x01" + each for each in events.tags_json], pa.binary())
    return pa.table(columns | {name: pa.array(values) for name, values in kind.texts.items()})


class Table:
    """All runs so far, in the order of the first."""

    def __init__(self) -> None:
        self.runs: dict[str, list[Spent]] = {}
        self.skipped: dict[str, str] = {"TimescaleDB direct compress": "the embedded server has no TimescaleDB"}

    def take(self, alternative: Alternative, *, counts: bool) -> None:
        try:
            found = alternative.run()
        except ImportError as error:
            self.skipped[str(error.name)] = "is not in the peers' environment; add it to peers.lock"
            return
        for name, spent in found.items() if counts else ():
            self.runs.setdefault(name, []).append(spent)

    def figures(self, name: str) -> dict[str, list[float]]:
        """Microseconds an event by run: backend, client and both, of the sides there are."""
        runs = self.runs[name]
        sides = {
            "backend": [run.backend_seconds / run.events * 1e6 for run in runs if run.backend_seconds is not None],
            "client": [run.client_seconds / run.events * 1e6 for run in runs if run.client_seconds is not None],
        }
        sides = {side: values for side, values in sides.items() if values}
        return sides | {"both": [sum(values) for values in zip(*sides.values(), strict=True)]}

    def show(self) -> None:
        print(f"{'':<56} {'backend':>8} {'client':>7} {'both, min to max':>17} {'WAL':>6}")
        print(f"{'':<56} {'µs':>8} {'µs':>7} {'µs':>17} {'bytes':>6}   an event")
        for name, runs in self.runs.items():
            figures = self.figures(name)
            backend, client = (
                f"{statistics.median(figures[side]):.2f}" if side in figures else "" for side in ("backend", "client")
            )
            spread = f"{min(figures['both']):.2f} to {max(figures['both']):.2f}"
            wal = [run.wal_bytes / run.events for run in runs if run.wal_bytes is not None]
            size = f"{statistics.median(wal):.0f}" if wal else ""
            print(f"{name:<56} {backend:>8} {client:>7} {spread:>17} {size:>6}   {runs[-1].note}".rstrip())
        for name, reason in self.skipped.items():
            print(f"  skipped: {name} ({reason})")

    def as_json(self) -> str:
        """Whole ways from message to commit as events per CPU second; every line's median µs among the scores."""
        medians = {
            name: {side: statistics.median(values) for side, values in self.figures(name).items()} for name in self.runs
        }
        totals = {name: sides["both"] for name, sides in medians.items() if name.startswith("whole transaction")}
        with suppress(KeyError):
            steps = ("one by one: decode", "one by one: row tuples", _ONE_BY_ONE)
            totals["one by one, no deduplication, no rollups"] = sum(medians[step]["both"] for step in steps)
        rates = {_slug(name): 1e6 / total for name, total in totals.items()}
        ours = rates.pop(_slug(_WHOLE))
        scores = {
            f"{_slug(name)}_{side}_us": value
            for name, sides in medians.items()
            for side, value in sides.items()
            if side != "both"
        }
        figures = {
            "references": {name: round(rate) for name, rate in rates.items()},
            "ratios": {name: round(ours / rate, 3) for name, rate in rates.items()},
            "scores": {name: round(score, 3) for name, score in scores.items()},
        }
        return json.dumps({"name": "landing_alternatives", "ours": round(ours)} | figures)


def _slug(name: str) -> str:
    return "_".join("".join(c if c.isalnum() else " " for c in name.replace("%", "percent")).split()).lower()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.landing_alternatives",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="within a minute: two runs of each, fewer events")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    parser.add_argument("--events", type=int, help="events of a run; default 40,000, with --quick 20,000")
    parser.add_argument("--runs", type=int, help="runs of each that count; default 5, with --quick 2")
    chosen = parser.parse_args()
    chosen.started = time.monotonic()
    chosen.seconds = 58.0 if chosen.quick else 295.0
    chosen.events = chosen.events or (20_000 if chosen.quick else 40_000)
    chosen.runs = chosen.runs or (2 if chosen.quick else 5)
    return chosen


def _out_of_time(*_: object) -> None:
    raise TimeoutError


def _run(chosen: argparse.Namespace, folder: Path, stack: ExitStack, table: Table) -> None:
    server = Server(folder / "postgres", unused_port(), stack)
    work = Workload(chosen.events, chosen.events)
    server.migrate_base(work.start)
    gc.collect()
    gc.freeze()  # as in `lah land`
    gc.set_threshold(200_000, 20, 20)
    alternatives = [
        *database_alternatives(server, work, is_quick=chosen.quick),
        *whole_alternatives(server, work),
        *Client(server, work, folder).alternatives(),
    ]
    for run in range(chosen.runs + 1):
        began = time.monotonic()
        for alternative in alternatives:
            table.take(alternative, counts=run > 0)
        now = time.monotonic()
        print(f"  {f'run {run}' if run else 'warm-up'}: done after {now - chosen.started:.0f} s", flush=True)
        if run and 2 * now - began > chosen.started + chosen.seconds:
            break  # a slow machine: fewer runs


def main() -> None:
    """Every alternative once to warm up, then in turn as often as time allows."""
    chosen = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that a terminated run cleans up too
    signal.signal(signal.SIGALRM, _out_of_time)
    signal.alarm(round(chosen.seconds))
    table = Table()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lah-benchmark-")))
        with suppress(TimeoutError):
            _run(chosen, folder, stack, table)
        signal.alarm(0)
    print(f"{machine()}; {chosen.events:,} events of 500 bytes, up to {chosen.runs} runs in turn; CPU time")
    if _WHOLE not in table.runs:
        sys.exit("The time ended before one run did: try --quick, fewer --events, or a machine with less to do")
    table.show()
    if chosen.json:
        print(table.as_json())


if __name__ == "__main__":
    main()
