"""Columns of events to COPY streams of the table `events`, one stream for each kind of payload.

A kind's stream names only the columns its payloads fill; what depends on the shape alone is encoded once a shape.
"""

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from lah_platform.events.measures import MEASURE_TYPES
from lah_platform.landing.columns import at_us
from lah_platform.landing.kinds import Kind, Numbers
from lah_platform.landing.records import Records
from lah_platform.landing.shapes import Shape
from lah_platform.stores.binary_copy import (
    END,
    POSTGRES_EPOCH_US,
    START,
    Block,
    Fixed,
    big_endian,
    block,
    field,
    lengths,
    numeric,
)

__all__ = ["EventCopy", "ShapeBytes", "event_copy"]

_SHAPE_COLUMNS = (
    "series_id",
    "tenant",
    "source_module",
    "event_type",
    "payload_type",
    "subtype",
    "severity",
    "environment",
    "schema_version",
    "model",
)
_JSONB_VERSION = b"\x01"
_MOST_SHAPES = 20_000


@dataclass(frozen=True)
class EventCopy:
    """`stream` is binary COPY of `rows` events into `columns`."""

    columns: tuple[str, ...]
    stream: bytes
    rows: int


class ShapeBytes:
    """What a shape's columns are in a row, encoded once."""

    def __init__(self) -> None:
        self._known: dict[Shape, bytes] = {}

    def of(self, shape: Shape, series: Mapping[Shape, int]) -> bytes:
        known = self._known.get(shape)
        if known is None:
            if len(self._known) > _MOST_SHAPES:
                self._known.clear()
            known = self._known[shape] = _shape_bytes(shape, series[shape])
        return known


def _shape_bytes(shape: Shape, series_id: int) -> bytes:
    texts = (
        shape.tenant,
        shape.source_module,
        shape.event_type,
        shape.payload_type,
        shape.subtype,
        shape.severity,
        shape.environment,
        shape.schema_version,
        shape.model,
    )
    encoded = [struct.pack(">q", series_id), *(None if text is None else text.encode() for text in texts)]
    return b"".join(map(field, encoded))


def event_copy(
    kind: Kind, records: Records, received_at: datetime, series: Mapping[Shape, int], shapes: ShapeBytes
) -> EventCopy:
    """The kind's rows; `series` has the id of each shape's series."""
    events = kind.events
    count = len(events)
    (topic,) = {partition.topic for partition in records.partitions}
    numbers = np.array([partition.number for partition in records.partitions], np.int64)
    received = struct.pack(">q", at_us(received_at) - POSTGRES_EPOCH_US)
    fixed = {
        "received_at": _constant(received, count),
        "topic": _constant(topic.encode(), count),
        "partition": Fixed(big_endian(numbers[records.partition_of[events.positions]], ">i4")),
        "record_offset": Fixed(big_endian(records.offsets[events.positions], ">i8")),
        "ts": Fixed(big_endian(events.timestamps_us - POSTGRES_EPOCH_US, ">i8")),
        "event_id": Fixed(events.event_ids.octets),
    }
    for name, ids in {"correlation_id": events.correlation_ids, "parent_event_id": events.parent_event_ids}.items():
        if not ids.is_null.all():
            fixed[name] = Fixed(ids.octets, ids.is_null)
    if events.subject_ids is not None and not events.subject_ids.is_null.all():
        fixed["subject_id"] = Fixed(events.subject_ids.octets, events.subject_ids.is_null)
    for name, column in kind.numbers.items():
        fixed[name] = _NUMBERS[MEASURE_TYPES[name]](column)
    texts: dict[str, Block] = {}
    for name, values in kind.texts.items():
        if values.count(values[0]) == count:
            fixed[name] = _constant(values[0].encode(), count)
        else:
            texts[name] = list(map(str.encode, values))
    columns = (*_SHAPE_COLUMNS, *fixed, "payload", "tags", *texts)
    begins = struct.pack(">h", len(columns))
    # the payload's own length ends the fixed part, so that a row is joined from whole pieces
    header = np.empty((count, 5), np.uint8)
    header[:, :4] = big_endian(np.array(list(map(len, events.payload_json)), np.int64) + len(_JSONB_VERSION), ">i4")
    header[:, 4] = _JSONB_VERSION[0]
    parts: list[Sequence[Any]] = [
        events.by_shape(lambda shape: begins + shapes.of(shape, series), object).tolist(),
        block(list(fixed.values()), header),
        events.payload_json,
        lengths(events.tags_json, _JSONB_VERSION),
        events.tags_json,
    ]
    for each in texts.values():
        parts += lengths(each), each
    pieces: list[Any] = [b""] * (count * len(parts))
    for at, part in enumerate(parts):
        pieces[at :: len(parts)] = part
    return EventCopy(columns, b"".join([START, *pieces, END]), count)


def _constant(value: bytes, count: int) -> Fixed:
    return Fixed(np.broadcast_to(np.frombuffer(value, np.uint8), (count, len(value))))


_NUMBERS: Mapping[str, Callable[[Numbers], Fixed]] = {
    "float": lambda column: Fixed(big_endian(column.values, ">f8"), column.is_null),
    "integer": lambda column: Fixed(big_endian(column.values, ">i8"), column.is_null),
    "decimal": lambda column: Fixed(numeric(column.values), column.is_null),
}
