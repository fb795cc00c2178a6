"""Variants of landing's database side: other streams, other tables, other transactions.

Belongs here: which are tried, and the schemas and rows they need. How one run goes is in `landing_replays`.
"""

import os
import struct
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from itertools import count
from typing import Any

import numpy as np
from psycopg import sql

from benchmarks.landing_prepared import MINUTE_US, SEED, Workload
from benchmarks.landing_replays import TAKE_FROM_STAGING, CopyVariant, LandingVariant, StagedLanding
from benchmarks.landing_spent import Alternative
from benchmarks.landing_streams import Streams, as_one, streams_of
from benchmarks.landing_variant_server import Server, copy_into
from lah_platform.landing.columns import at_us
from lah_platform.stores.binary_copy import POSTGRES_EPOCH_US
from lah_platform.stores.postgres import Connection

__all__ = ["WHOLE", "database_alternatives", "whole_alternatives"]

WHOLE = "whole transaction, as shipped, 20,000"
_BASELINE = "as shipped"


def database_alternatives(server: Server, work: Workload, *, is_quick: bool) -> list[Alternative]:
    events = len(work.values)
    day = _partition(work.start)
    rng = np.random.default_rng(SEED)
    _make_schemas(server, work.start)

    def to_random_time(_: Mapping[str, Any]) -> bytes:
        return struct.pack(">q", at_us(work.start) - POSTGRES_EPOCH_US + int(rng.integers(MINUTE_US)))

    shuffled = work.each_part(lambda part: part.changed(ts=to_random_time))
    arrived = [[part.by("record_offset") for part in parts] for parts in shuffled]
    in_order = [[part.by("ts") for part in parts] for parts in shuffled]
    uuid7 = streams_of(work.each_part(lambda part: part.changed(event_id=_uuid7)))
    plain = streams_of(
        work.each_part(
            lambda part: part.changed(
                payload=partial(_plain_json, name="payload"), tags=partial(_plain_json, name="tags")
            )
        )
    )

    def copied(name: str, database: str = "shipped", streams: Streams = work.streams, **options: Any) -> Alternative:
        return CopyVariant(name, server, database, streams, events, **options).run

    def sent(streams: Streams) -> str:
        return f"{sum(len(data) for batch in streams for _, data in batch) / events:.0f} bytes an event sent"

    in_one = streams_of([[as_one(parts)] for parts in work.parts])
    what = f"COPY of each payload kind's filled columns, sorted by time, 20,000 a transaction; {sent(work.streams)}"
    made: list[Alternative] = [
        copied(_BASELINE, note=what),
        copied("the same over a unix socket", by_socket=True, note="instead of TCP on loopback"),
        copied("the day's partition named", table=day, note="no routing of each row"),
        copied("times shuffled in a minute, sorted", streams=streams_of(in_order)),
        copied("times shuffled in a minute, as arrived", streams=streams_of(arrived)),
        copied("one COPY, all columns named", streams=in_one, note=sent(in_one)),
        copied("COPY as text", streams=_printed(server, plain, "text"), form="text"),
        copied("COPY as CSV", streams=_printed(server, plain, "csv"), form="csv"),
        copied("UUIDv7 ids", streams=uuid7, note="the key begins with the time, so ids hardly matter"),
        copied("key (event_id, tenant, ts)", "id_first", note="random ids; the table is small and in cache"),
        copied("key (event_id, tenant, ts), UUIDv7", "id_first", uuid7),
        copied("no Bloom filters of ids", "no_ids"),
        copied("and a tree of correlation ids", "correlation_tree", note="a third of the events carry one"),
        copied("no BRIN index on received_at", "no_brin"),
        copied("payload and tags as json", "json", plain, note="no operators, parsed at every read"),
        copied("payload and tags as text", "text", plain, note="not even checked"),
        copied("no unique key", "no_key", note="what deduplication in memory alone would save"),
        copied("hash partitions below the day", "hashed", note="4 by event_id"),
        copied(
            "no topic, partition, record_offset",
            "no_origin",
            streams_of(work.each_part(lambda part: part.without("topic", "partition", "record_offset"))),
            note="not offered: where a row came from is what an audit asks",
        ),
        copied(
            "no payload, no tags",
            "no_json",
            streams_of(work.each_part(lambda part: part.without("payload", "tags"))),
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


def _make_schemas(server: Server, start: datetime) -> None:
    day = _partition(start)
    server.make("shipped")
    server.make("whole", "create unlogged table events_staging (like events)")
    server.make("id_first", *_new_key("event_id, tenant, ts"))
    server.make("no_ids", "drop index events_ids")
    server.make("correlation_tree", "create index on events (correlation_id, ts) where correlation_id is not null")
    server.make("no_brin", "drop index events_received")
    server.make("json", "alter table events alter payload type json, alter tags type json")
    server.make("text", "alter table events alter payload type text, alter tags type text")
    server.make("no_key", "alter table events drop constraint events_pkey")
    server.make("no_origin", "alter table events drop topic, drop partition, drop record_offset")
    server.make("no_json", "alter table events drop payload, drop tags")
    children = [f"create table h{n} partition of {day} for values with (modulus 4, remainder {n})" for n in range(4)]
    of_day = f"for values from ('{start:%Y-%m-%d}+00') to ('{start + timedelta(days=1):%Y-%m-%d}+00')"
    hashed = f"create table {day} partition of events {of_day} partition by hash (event_id)"
    server.make("hashed", f"drop table {day}", hashed, *children)


def _partition(start: datetime) -> str:
    return f"events_{start:%Y%m%d}"


def whole_alternatives(server: Server, work: Workload) -> list[Alternative]:
    def whole(name: str, values: Sequence[bytes], **options: Any) -> Alternative:
        return LandingVariant(name, server, "whole", values, work.warm_up, work.received_at, **options).run

    return [
        whole(WHOLE, work.values, note="read, encode, transaction"),
        *(
            whole(f"whole transaction, {rows:,}", values, batch_rows=rows)
            for rows, values in ((1000, work.values), (5000, work.values), (50_000, work.most_values))
        ),
        whole("whole transaction, 1 % repeats", work.repeated),
        whole("whole transaction, staged", work.values, kind=StagedLanding),
        whole("whole transaction, staged, 1 % repeats", work.repeated, kind=StagedLanding),
        whole("whole transaction, strict", work.values, strict_window=timedelta(hours=24)),
    ]


def _uuid7(row: Mapping[str, Any]) -> bytes:
    milliseconds = (struct.unpack(">q", row["ts"])[0] + POSTGRES_EPOCH_US) // 1000
    random = row["event_id"]
    return bytes(milliseconds.to_bytes(6, "big") + bytes([0x70 | random[6] & 0x0F]) + random[7:])


def _plain_json(row: Mapping[str, Any], name: str) -> bytes:
    return bytes(row[name][1:])  # without jsonb's version


def _new_key(columns: str) -> tuple[str, str]:
    return "alter table events drop constraint events_pkey", f"alter table events add primary key ({columns})"


def _random_id(_: Mapping[str, Any]) -> bytes:
    return os.urandom(16)


def _growing(work: Workload, make_id: Callable[[Mapping[str, Any]], bytes]) -> Callable[[], Streams]:
    """New events at every call, each call's a second after those of the one before."""
    calls = count(1)

    def later() -> Streams:
        by_us = next(calls) * 1_000_000

        def moved(row: Mapping[str, Any]) -> bytes:
            return struct.pack(">q", struct.unpack(">q", row["ts"])[0] + by_us)

        return streams_of(work.each_part(lambda part: part.changed(ts=moved, event_id=make_id)))

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


def _printed(server: Server, plain: Streams, form: str) -> Streams:
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
