"""Aggregates to a COPY stream of the table `rollup_partials`."""

import struct
from functools import lru_cache
from typing import Any

import numpy as np

from lah_platform.rollups.values import Aggregates
from lah_platform.stores.binary_copy import (
    END,
    POSTGRES_EPOCH_US,
    START,
    Fixed,
    big_endian,
    block,
    field,
    numeric,
)

__all__ = ["PARTIAL_COLUMNS", "partial_copy"]

_FIXED = ("series_id", "bucket_start", "count", "sum", "sum_exact", "min", "max", "mean", "m2")
PARTIAL_COLUMNS = ("metric", *_FIXED, "hist_keys", "hist_counts")
_INT4, _INT8 = 23, 20  # type oids
_INT4_ELEMENT, _INT8_ELEMENT = 8, 12  # bytes, the element's length in front


def partial_copy(made: Aggregates) -> bytes:
    """Binary COPY of every group into PARTIAL_COLUMNS."""
    is_float = made.is_("float")
    columns = (
        Fixed(big_endian(made.series_ids, ">i8")),
        Fixed(big_endian(made.minutes_us - POSTGRES_EPOCH_US, ">i8")),
        Fixed(big_endian(made.counts, ">i8")),
        Fixed(big_endian(made.sums, ">f8"), ~is_float),
        Fixed(numeric(made.exact_sums, made.is_("integer")), is_float),
        *(Fixed(big_endian(each, ">f8")) for each in (made.low, made.high, made.means, made.m2)),
    )
    begins = struct.pack(">h", len(PARTIAL_COLUMNS))
    metrics = [begins + field(metric.name.encode()) for metric in made.metrics]
    keys = _elements(made.hist_keys, ">i4")
    counts = _elements(made.hist_counts, ">i8")
    pieces: list[Any] = [START]
    offsets = made.offsets.tolist()
    for number, fixed, start, stop in zip(
        made.metric_of.tolist(), block(columns), offsets[:-1], offsets[1:], strict=True
    ):
        pieces += (
            metrics[number],
            fixed,
            _array_head(_INT4, _INT4_ELEMENT, stop - start),
            keys[start * _INT4_ELEMENT : stop * _INT4_ELEMENT],
            _array_head(_INT8, _INT8_ELEMENT, stop - start),
            counts[start * _INT8_ELEMENT : stop * _INT8_ELEMENT],
        )
    pieces.append(END)
    return b"".join(pieces)


def _elements(values: np.ndarray[Any, np.dtype[np.int64]], dtype: str) -> bytes:
    elements = np.empty(len(values), np.dtype([("length", ">i4"), ("value", dtype)]))
    elements["length"] = elements.dtype["value"].itemsize
    elements["value"] = values
    return elements.tobytes()


@lru_cache(maxsize=4096)
def _array_head(oid: int, element_bytes: int, count: int) -> bytes:
    """A one-dimensional array's length as a field, and its header without nulls (`array_recv` in arrayfuncs.c)."""
    header = struct.pack(">iiiii", 1, 0, oid, count, 1)
    return struct.pack(">i", len(header) + count * element_bytes) + header
