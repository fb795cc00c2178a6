"""PostgreSQL's binary COPY format, written by column: arrays of many rows in, the bytes of the stream out.

Source: "Binary Format" in PostgreSQL's documentation of COPY, and the types' receive functions. Belongs here: how a
type is written. Which columns a table has is not known here.
"""

import struct
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = [
    "END",
    "POSTGRES_EPOCH_US",
    "START",
    "Block",
    "Fixed",
    "big_endian",
    "block",
    "field",
    "lengths",
    "numeric",
]

START = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
END = b"\xff\xff"
POSTGRES_EPOCH_US = 946_684_800_000_000
"""2000-01-01 UTC in Unix microseconds: where PostgreSQL's timestamps count from."""

Octets = npt.NDArray[np.uint8]
Nulls = npt.NDArray[np.bool_] | None
Block = list[bytes]

_NULL = b"\xff\xff\xff\xff"
_NUMERIC_WHOLE_GROUPS, _NUMERIC_GROUPS = 7, 10  # base 10,000: 28 digits before the point and twelve after it
_NUMERIC_SCALE = 12
_UNITS_PER_ONE = 10**_NUMERIC_SCALE


class Fixed:
    """A column whose values all have one width: `octets` is (n, width); where `nulls` the octets mean nothing."""

    __slots__ = ("nulls", "octets", "width")

    def __init__(self, octets: Octets, nulls: Nulls = None) -> None:
        self.octets = octets
        self.width = octets.shape[1]
        self.nulls = nulls if nulls is not None and nulls.any() else None


def field(value: bytes | None) -> bytes:
    """One value with its length in front; None is null."""
    return _NULL if value is None else struct.pack(">i", len(value)) + value


def lengths(values: Sequence[Any], lead: bytes = b"") -> Block:
    """What stands before each value: its length, and `lead`, which counts as part of it."""
    sizes = list(map(len, values))
    known = _known_lengths(lead)
    if max(sizes, default=0) < len(known):
        return list(map(known.__getitem__, sizes))
    return [struct.pack(">i", size + len(lead)) + lead for size in sizes]


@lru_cache(maxsize=4)
def _known_lengths(lead: bytes) -> Block:
    return [struct.pack(">i", size + len(lead)) + lead for size in range(4096)]


def big_endian(values: npt.NDArray[np.int64] | npt.NDArray[np.float64], dtype: str) -> Octets:
    """Shape (n, width) of the values as `dtype`, such as '>i8' or '>f8'."""
    converted = np.ascontiguousarray(values.astype(dtype))
    return converted.view(np.uint8).reshape(len(converted), -1)


def numeric(units: npt.NDArray[Any], is_whole: npt.NDArray[np.bool_] | None = None) -> Octets:
    """Shape (n, width) of `numeric` values with twelve decimal places, below 10^28; integers of any kind.

    In units of the twelfth place, but in ones where `is_whole`.
    """
    magnitudes = np.abs(units)
    whole, fraction = magnitudes // _UNITS_PER_ONE, magnitudes % _UNITS_PER_ONE
    if is_whole is not None:
        whole, fraction = np.where(is_whole, magnitudes, whole), np.where(is_whole, 0, fraction)
    words = np.zeros((len(units), 4 + _NUMERIC_GROUPS), ">u2")
    words[:, 0] = _NUMERIC_GROUPS
    words[:, 1] = _NUMERIC_WHOLE_GROUPS - 1
    words[:, 2] = np.where(units < 0, 0x4000, 0)
    words[:, 3] = _NUMERIC_SCALE
    for rest, last in ((whole, 3 + _NUMERIC_WHOLE_GROUPS), (fraction, 3 + _NUMERIC_GROUPS)):
        group = last
        while rest.any():
            words[:, group] = (rest % 10_000).astype(np.uint16)
            rest = rest // 10_000
            group -= 1
    return words.view(np.uint8).reshape(len(words), -1)


def block(columns: Sequence[Fixed], tail: bytes | Octets = b"") -> Block:
    """The columns side by side with their lengths in front, one item a row; `tail` (n, width) ends every row."""
    count = len(columns[0].octets)
    ending = np.broadcast_to(np.frombuffer(tail, np.uint8), (count, len(tail))) if isinstance(tail, bytes) else tail
    width = sum(4 + column.width for column in columns) + ending.shape[1]
    rows = np.empty((count, width), np.uint8)
    keep: npt.NDArray[np.bool_] | None = None
    at = 0
    for column in columns:
        rows[:, at : at + 4] = np.frombuffer(struct.pack(">i", column.width), np.uint8)
        rows[:, at + 4 : at + 4 + column.width] = column.octets
        if column.nulls is not None:
            if keep is None:
                keep = np.ones((count, width), np.bool_)
            rows[column.nulls, at : at + 4] = 0xFF
            keep[column.nulls, at + 4 : at + 4 + column.width] = False
        at += 4 + column.width
    rows[:, at:] = ending
    if keep is None:
        everything, ends = rows.tobytes(), range(width, width * count + 1, width)
        return [everything[end - width : end] for end in ends]
    everything = rows[keep].tobytes()
    stops = np.cumsum(keep.sum(axis=1)).tolist()
    return [everything[start:stop] for start, stop in zip([0, *stops[:-1]], stops, strict=True)]
