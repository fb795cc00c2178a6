"""Whole columns as one query parameter each: arrays in PostgreSQL's binary format, built without an object a value.

Belongs here: the format (`array_recv` in PostgreSQL's arrayfuncs.c). Does not: what is asked with them.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import psycopg
from psycopg.adapt import Dumper
from psycopg.pq import Format

__all__ = ["bigint_array", "text_array", "timestamptz_array", "uuid_array"]

_EPOCH_US = 946_684_800_000_000  # PostgreSQL counts from 2000-01-01
_HEADER = np.dtype([(name, ">i4") for name in ("dimensions", "has_null", "element_oid", "length", "lower_bound")])
_BIGINT, _TEXT, _TIMESTAMPTZ, _UUID = 20, 25, 1184, 2950


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


def _fixed(values: npt.NDArray[np.int64] | npt.NDArray[np.void], dtype: str, element_oid: int) -> bytes:
    elements = np.empty(len(values), np.dtype([("length", ">i4"), ("value", dtype)]))
    elements["length"] = elements.dtype["value"].itemsize
    elements["value"] = values
    return _header(element_oid, len(values)) + elements.tobytes()


def _header(element_oid: int, length: int) -> bytes:
    return np.array([(1, 0, element_oid, length, 1)], _HEADER).tobytes()
