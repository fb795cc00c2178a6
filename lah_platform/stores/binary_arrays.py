"""Whole columns as one query parameter or one result each: arrays in PostgreSQL's binary format, no object a value.

Belongs here: the format (`array_recv` and `array_send` in PostgreSQL's arrayfuncs.c). Not: what is asked with them.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import psycopg
from psycopg.adapt import Dumper, Loader
from psycopg.pq import Format

from lah_platform.stores.postgres import Connection

__all__ = [
    "array_cursor",
    "bigint_array",
    "double_array",
    "integer_array",
    "numeric_array",
    "sent_bigints",
    "sent_integers",
    "text_array",
    "timestamptz_array",
    "uuid_array",
]

_EPOCH_US = 946_684_800_000_000  # PostgreSQL counts from 2000-01-01
_HEADER = np.dtype([(name, ">i4") for name in ("dimensions", "has_null", "element_oid", "length", "lower_bound")])
_BIGINT, _INTEGER, _TEXT, _DOUBLE, _TIMESTAMPTZ, _NUMERIC, _UUID = 20, 23, 25, 701, 1184, 1700, 2950
Nulls = npt.NDArray[np.bool_] | None


class _Array(bytes):
    """An array in binary format; the subclass says of what."""


class _Bigints(_Array): ...


class _Texts(_Array): ...


class _Timestamps(_Array): ...


class _Uuids(_Array): ...


class _AsIs(Dumper):
    format = Format.BINARY

    def dump(self, obj: _Array) -> bytes:
        return obj


for _kind, _array_oid in {_Bigints: 1016, _Texts: 1009, _Timestamps: 1185, _Uuids: 2951}.items():
    psycopg.adapters.register_dumper(_kind, type(f"{_kind.__name__}Dumper", (_AsIs,), {"oid": _array_oid}))


def bigint_array(values: npt.NDArray[np.int64]) -> bytes:
    """bigint[]"""
    return _Bigints(_fixed(values, ">i8", _BIGINT))


def integer_array(values: npt.NDArray[np.int64]) -> bytes:
    """integer[]"""
    return _fixed(values, ">i4", _INTEGER)


def double_array(values: npt.NDArray[np.float64], is_null: Nulls = None) -> bytes:
    """double precision[]"""
    return _fixed(values, ">f8", _DOUBLE, is_null)


def numeric_array(octets: npt.NDArray[np.uint8], is_null: Nulls = None) -> bytes:
    """numeric[] of what `binary_copy.numeric` makes, shape (n, width)."""
    width = octets.shape[1]
    return _fixed(np.ascontiguousarray(octets).view(f"V{width}").ravel(), f"V{width}", _NUMERIC, is_null)


def timestamptz_array(microseconds: npt.NDArray[np.int64]) -> bytes:
    """timestamptz[] of µs since 1970-01-01 UTC."""
    return _Timestamps(_fixed(microseconds - _EPOCH_US, ">i8", _TIMESTAMPTZ))


def uuid_array(values: npt.NDArray[np.void]) -> bytes:
    """uuid[] of values of 16 bytes (dtype V16)."""
    return _Uuids(_fixed(values, "V16", _UUID))


def text_array(values: Sequence[str]) -> bytes:
    """text[]; quick for many values of which few differ."""
    elements = {}
    for value in set(values):
        encoded = value.encode()
        elements[value] = len(encoded).to_bytes(4, "big") + encoded
    return _Texts(_header(_TEXT, len(values)) + b"".join([elements[value] for value in values]))


def _fixed(values: npt.NDArray[Any], dtype: str, element_oid: int, is_null: Nulls = None) -> bytes:
    elements = np.empty(len(values), np.dtype([("length", ">i4"), ("value", dtype)]))
    elements["length"] = elements.dtype["value"].itemsize
    elements["value"] = values
    if is_null is None or not is_null.any():
        return _header(element_oid, len(values)) + elements.tobytes()
    elements["length"][is_null] = -1
    octets = elements.view(np.uint8).reshape(len(values), -1)
    keep = np.ones(octets.shape, np.bool_)
    keep[is_null, 4:] = False
    return _header(element_oid, len(values), has_null=True) + octets[keep].tobytes()


def _header(element_oid: int, length: int, *, has_null: bool = False) -> bytes:
    return np.array([(1, has_null, element_oid, length, 1)], _HEADER).tobytes()


class _ColumnLoader(Loader):
    format = Format.BINARY
    dtype: np.dtype[Any]
    epoch = 0

    def load(self, data: Any) -> npt.NDArray[Any]:
        octets = bytes(data)
        if len(octets) == _EMPTY:
            return np.empty(0, self.dtype.newbyteorder("="))
        if int.from_bytes(octets[4:8], "big"):
            raise ValueError("the array has nulls: select it without them")
        elements = np.frombuffer(octets, np.dtype([("length", ">i4"), ("value", self.dtype)]), offset=_HEADER.itemsize)
        return elements["value"].astype(self.dtype.newbyteorder("=")) + self.epoch


def _loader(dtype: str, epoch: int = 0) -> type[_ColumnLoader]:
    return type(f"Load{dtype}", (_ColumnLoader,), {"dtype": np.dtype(dtype), "epoch": epoch})


_EMPTY = 12
_LOADERS = {1005: _loader(">i2"), 1007: _loader(">i4"), 1016: _loader(">i8"), 1022: _loader(">f8")}
_TIMES = _loader(">i8", _EPOCH_US)


def array_cursor(connection: Connection) -> psycopg.Cursor[tuple[Any, ...]]:
    """A cursor whose results hold arrays of numbers as numpy arrays, and timestamptz[] as µs since 1970-01-01 UTC.

    Such an array with nulls raises ValueError when it is fetched.
    """
    cursor = connection.cursor(binary=True)
    for oid, loader in _LOADERS.items():
        cursor.adapters.register_loader(oid, loader)
    cursor.adapters.register_loader(1185, _TIMES)
    return cursor


def sent_integers(sent: bytes, sizes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """All elements of integer[] values, none empty or with nulls, whose `array_send`s stand one behind another."""
    words, places = _elements(sent, sizes, 1)
    return words.take(places).astype(np.int64)


def sent_bigints(sent: bytes, sizes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The same of bigint[] values."""
    words, places = _elements(sent, sizes, 2)
    low = words.view(">u4").take(places + 1).astype(np.int64)
    return (words.take(places).astype(np.int64) << 32) | low


def _elements(sent: bytes, sizes: npt.NDArray[np.int64], width: int) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64]]:
    """The 4-byte words of what was sent, and where those of each element begin; an element has `width` of them."""
    words = np.frombuffer(sent, ">i4")
    header = _HEADER.itemsize // 4
    ends = np.cumsum(sizes)
    count = int(ends[-1]) if len(sizes) else 0
    if len(words) != header * len(sizes) + (1 + width) * count:
        raise ValueError("the arrays hold other numbers of elements than was said")
    places = np.arange(1, (1 + width) * count + 1, 1 + width)
    places += np.repeat(np.arange(header, header * len(sizes) + 1, header), sizes)
    return words, places
