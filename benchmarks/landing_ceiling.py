"""The ceiling: one connection that COPYs what a landing wrote, encoded beforehand, and nothing else.

One transaction for each of the landing's own, holding the same rows of every table in the same order, and the update
of the offsets. What COPY cannot do is left out, which makes the ceiling higher: a ledger row is copied once, in the
transaction that touched it last, where landing adds to it again and again. Series are not in it: landing assigns them
in transactions of their own.
"""

import time
from dataclasses import dataclass

from psycopg import sql

from benchmarks.landing_services import KEPT_TABLES, Services
from lah_platform.stores.postgres import Connection

__all__ = ["Capture", "capture", "replay"]

_A_ROW_A_TENANT = ("encryption_keys",)  # before the first transaction, and never again
_TABLES = ("events", "rollup_partial_sets", "dead_letters", "ledger", "landing_batches")
_OFFSETS = "landing_offsets"

_TRANSACTIONS = """
create unlogged table public.captured_transactions as
select row_number() over (order by xid) as number, xid
from (select distinct xmin::text::bigint as xid from lah.landing_batches) each_one"""
# What came from a record belongs to the transaction whose batch covers its offset.
_CAPTURE_BY_OFFSET = """
create unlogged table public.{captured} as
with batches as (
    select b.topic, b.partition, array_agg(b.from_offset order by b.from_offset) as starts,
           array_agg(c.number order by b.from_offset) as numbers
    from lah.landing_batches b join public.captured_transactions c on c.xid = b.xmin::text::bigint
    group by b.topic, b.partition
)
select b.numbers[width_bucket(t.record_offset, b.starts)] as captured_in,
       t.tableoid as captured_table, t.ctid as captured_at, t.*
from lah.{table} t join batches b on (b.topic, b.partition) = (t.topic, t.partition) order by 1, 2, 3"""
# Anything else belongs to the transaction that wrote it; the rows of a savepoint carry an id just above its own.
_CAPTURE_BY_WRITER = """
create unlogged table public.{captured} as
select width_bucket(t.xmin::text::bigint, (select array_agg(xid order by xid) from public.captured_transactions))
           as captured_in, t.tableoid as captured_table, t.ctid as captured_at, t.*
from lah.{table} t order by 1, 2, 3"""


@dataclass(frozen=True)
class Capture:
    """`transactions[n]` are the (table, columns, COPY bytes) of one, with the offsets it moved each partition to."""

    events: int
    transactions: list[tuple[list[tuple[str, list[str], bytes]], list[tuple[str, str, int, int]]]]

    @property
    def bytes(self) -> int:
        return sum(len(data) for tables, _ in self.transactions for _, _, data in tables)


def capture(connection: Connection, events: int) -> Capture:
    """Read back what the landing just wrote of `events` messages, as the server itself encodes it for COPY.

    Raises RuntimeError when landing writes a table that this module does not know: the ceiling has to write it too.
    """
    _check_known(connection)
    connection.execute(_TRANSACTIONS)
    row = connection.execute("select count(*) from public.captured_transactions").fetchone()
    assert row is not None
    columns = {table: _columns(connection, table) for table in _TABLES}
    for table in _TABLES:
        names = {"captured": sql.Identifier(f"captured_{table}"), "table": sql.Identifier(table)}
        statement = _CAPTURE_BY_OFFSET if "record_offset" in columns[table] else _CAPTURE_BY_WRITER
        connection.execute(sql.SQL(statement).format(**names))
        connection.execute(sql.SQL("create index on public.{captured} (captured_in)").format(**names))
        connection.execute(sql.SQL("analyze public.{captured}").format(**names))
    _check_whole(connection)
    transactions = []
    for number in range(1, row[0] + 1):
        parts = [
            (table, columns[table], data)
            for table in _TABLES
            if (data := _encoded(connection, table, columns[table], number))
        ]
        moved = connection.execute(
            "select topic, topic_id, partition, to_offset from public.captured_landing_batches where captured_in = %s"
            " order by from_offset",
            [number],
        ).fetchall()
        transactions.append((parts, list({moved_to[:3]: moved_to for moved_to in moved}.values())))
    for table in ("transactions", *_TABLES):
        connection.execute(sql.SQL("drop table public.{}").format(sql.Identifier(f"captured_{table}")))
    return Capture(events, transactions)


def replay(services: Services, captured: Capture) -> float:
    """Write it all again into empty tables; events per second."""
    with services.connect() as connection:
        services.empty(connection)
        connection.execute(
            "insert into landing_offsets (topic, topic_id, partition, next_offset, updated_at)"
            " select * from unnest(%s::text[], %s::text[], %s::int[], %s::bigint[]), now()",
            [list(column) for column in zip(*_first_offsets(captured), strict=True)],
        )
        copies = {
            table: sql.SQL("copy {} ({}) from stdin (format binary)").format(
                sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, _columns(connection, table)))
            )
            for table in _TABLES
        }
        started = time.monotonic()
        for parts, moved in captured.transactions:
            with connection.transaction(), connection.cursor() as cursor:
                cursor.execute(
                    "update landing_offsets o set next_offset = m.next_offset, updated_at = clock_timestamp()"
                    " from unnest(%s::text[], %s::text[], %s::int[], %s::bigint[])"
                    " m (topic, topic_id, partition, next_offset)"
                    " where (o.topic, o.topic_id, o.partition) = (m.topic, m.topic_id, m.partition)",
                    [list(column) for column in zip(*moved, strict=True)],
                )
                for table, _, data in parts:
                    with cursor.copy(copies[table]) as copy:
                        copy.write(data)
        return captured.events / (time.monotonic() - started)


def _first_offsets(captured: Capture) -> list[tuple[str, str, int, int]]:
    partitions = {moved_to[:3] for _, moved in captured.transactions for moved_to in moved}
    return [(topic, topic_id, partition, 0) for topic, topic_id, partition in sorted(partitions)]


def _columns(connection: Connection, table: str) -> list[str]:
    """Every column that a writer gives a value, so without the identity columns that count by themselves."""
    rows = connection.execute(
        "select attname from pg_attribute where attrelid = ('lah.' || %s)::regclass and attnum > 0"
        " and not attisdropped and attidentity = '' and attgenerated = '' order by attnum",
        [table],
    )
    return [name for (name,) in rows]


def _encoded(connection: Connection, table: str, columns: list[str], number: int) -> bytes:
    query = sql.SQL(
        "copy (select {} from public.{} where captured_in = {} order by ctid) to stdout (format binary)"
    ).format(sql.SQL(", ").join(map(sql.Identifier, columns)), sql.Identifier(f"captured_{table}"), sql.Literal(number))
    with connection.cursor() as cursor, cursor.copy(query) as copy:
        data = b"".join(bytes(part) for part in copy)
        return data if cursor.rowcount != 0 else b""


def _check_known(connection: Connection) -> None:
    rows = connection.execute(
        "select relname from pg_class where relnamespace = 'lah'::regnamespace and relkind in ('r', 'p')"
        " and not relispartition"
    ).fetchall()
    for (table,) in rows:
        if table in (*_TABLES, *_A_ROW_A_TENANT, _OFFSETS) or table in KEPT_TABLES:
            continue
        found = connection.execute(
            sql.SQL("select exists (select from {})").format(sql.Identifier("lah", table))
        ).fetchone()
        if found == (True,):
            raise RuntimeError(f"landing writes table {table}, which the ceiling does not: add it to _TABLES")


def _check_whole(connection: Connection) -> None:
    row = connection.execute(
        "select (select sum(received) from lah.landing_batches),"
        " (select count(*) from public.captured_events where captured_in is not null)"
        " + (select count(*) from public.captured_dead_letters where captured_in is not null)"
    ).fetchone()
    if row is None or row[0] != row[1]:
        raise RuntimeError(f"the batches received and the events captured for the ceiling differ: {row}")
