"""How a column of `events` is kept in Parquet, and how a row's checksum reads it in PostgreSQL and in DuckDB.

Both databases make the same text of every value; a row's checksum is the first 60 bits of that text's MD5. Doubles go
by their bits and times by their microseconds, because each database writes them in a way of its own.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

import pyarrow as pa
from psycopg import sql

__all__ = ["duckdb_row_hash", "parquet_schema", "postgres_row_hash"]

_NULL, _BETWEEN = 30, 31  # ASCII record and unit separator
_DECIMAL = re.compile(r"^numeric\((\d+),(\d+)\)$")


class _Kept(NamedTuple):
    arrow: pa.DataType
    postgres: str  # the value's text; {} is the column
    duckdb: str


_KEPT = {
    "timestamp with time zone": _Kept(
        pa.timestamp("us", tz="UTC"), "(extract(epoch from {}) * 1000000)::bigint::text", "epoch_us({})::varchar"
    ),
    "double precision": _Kept(
        pa.float64(), "('x' || encode(float8send({}), 'hex'))::bit(64)::bigint::text", "{}::bit::bigint::varchar"
    ),
    "bigint": _Kept(pa.int64(), "{}::text", "{}::varchar"),
    "integer": _Kept(pa.int32(), "{}::text", "{}::varchar"),
}
_AS_TEXT = _Kept(pa.string(), "{}::text", "{}")


def parquet_schema(columns: Mapping[str, str]) -> pa.Schema:
    """The file's schema for columns of these PostgreSQL types; types without a place of their own are kept as text."""
    return pa.schema([(name, _kept(kind).arrow) for name, kind in columns.items()])


def postgres_row_hash(columns: Mapping[str, str]) -> sql.Composed:
    """The expression for a row's checksum, a bigint, over the columns of table alias `e`."""
    values = sql.SQL(", ").join(
        sql.SQL(_kept(kind).postgres).format(sql.Identifier("e", name)) for name, kind in columns.items()
    )
    return sql.SQL(
        "('x' || left(md5(array_to_string(array[{values}], chr({between}), chr({null}))), 15))::bit(60)::bigint"
    ).format(values=values, between=sql.Literal(_BETWEEN), null=sql.Literal(_NULL))


def duckdb_row_hash(columns: Mapping[str, str]) -> str:
    """The same of a file's rows, in DuckDB."""
    values = ", ".join(
        f"coalesce({_kept(kind).duckdb.format(_quoted(name))}, chr({_NULL}))" for name, kind in columns.items()
    )
    return f"('0x' || left(md5(concat_ws(chr({_BETWEEN}), {values})), 15))::bigint"


def _kept(kind: str) -> _Kept:
    if decimal := _DECIMAL.match(kind):
        return _Kept(pa.decimal128(int(decimal[1]), int(decimal[2])), "{}::text", "{}::varchar")
    return _KEPT.get(kind, _AS_TEXT)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
