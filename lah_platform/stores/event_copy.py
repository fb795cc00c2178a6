"""Columns of events to COPY streams of the table `events`, one stream for each kind of payload.

A kind's stream names only the columns its payloads fill; what depends on the shape alone is encoded once a shape.
"""

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from lah_platform.events.measures import MEASURE_TYPES
from lah_platform.landing.columns import at_us
from lah_platform.landing.kinds import Kind, Numbers
from lah_platform.landing.records import Records
from lah_platform.landing.shapes import Shape
from lah_platform.rollups.series import SeriesKey
from lah_platform.stores.binary_copy import (
    END,
    POSTGRES_EPOCH_US,
    START,
    Block,
    Fixed,
    big_endian,
    block,
    field,
    numeric,
    prefixed,
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
    """What a shape's rows begin with, encoded once."""

    def __init__(self) -> None:
        self._known: dict[Shape, bytes] = {}

    def of(self, shapes: Sequence[Shape], series: Mapping[SeriesKey, int]) -> Block:
        known = self._known
        if not known.keys() >= (distinct := set(shapes)):
            if len(known) > _MOST_SHAPES:
                known.clear()
            known.update((shape, _shape_bytes(shape, series[shape.series])) for shape in distinct)
        return [known[shape] for shape in shapes]


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


def event_copy(kind: Kind, records: Records, received_at: datetime, starts: Sequence[bytes]) -> EventCopy:
    """The kind's rows; `starts` is what `ShapeBytes` gives for their shapes."""
    events = kind.events
    count = len(events)
    (topic,) = {partition.topic for partition in records.partitions}
    numbers = np.array([partition.number for partition in records.partitions], np.int64)
    received = struct.pack(">q", at_us(received_at) - POSTGRES_EPOCH_US)
    fixed = {
        "received_at": _constant(received, count),
        "topic": _constant(topic.encode(), count),
        "partition": Fixed(big_endian(numbers[np.array(records.partition_of, np.int64)[events.positions]], ">i4")),
        "record_offset": Fixed(big_endian(np.array(records.offsets, np.int64)[events.positions], ">i8")),
        "ts": Fixed(big_endian(events.timestamps_us - POSTGRES_EPOCH_US, ">i8")),
        "event_id": Fixed(events.event_ids.octets),
    }
    for name, ids in {"correlation_id": events.correlation_ids, "parent_event_id": events.parent_event_ids}.items():
        if not ids.is_null.all():
            fixed[name] = Fixed(ids.octets, ids.is_null)
    for name, column in kind.numbers.items():
        fixed[name] = _NUMBERS[MEASURE_TYPES[name]](column)
    texts = {name: prefixed([value.encode() for value in values]) for name, values in kind.texts.items()}
    # the payload's own length ends the fixed part, so that a row is joined from whole pieces
    lengths = np.array(list(map(len, events.payload_json)), np.int64) + len(_JSONB_VERSION)
    header = np.empty((count, 5), np.uint8)
    header[:, :4] = big_endian(lengths, ">i4")
    header[:, 4] = _JSONB_VERSION[0]
    tags = {each: field(_JSONB_VERSION + each) for each in set(events.tags_json)}
    columns = (*_SHAPE_COLUMNS, *fixed, "payload", "tags", *texts)
    parts: list[Block] = [
        [struct.pack(">h", len(columns))] * count,
        list(starts),
        block(list(fixed.values()), header),
        events.payload_json,
        [tags[each] for each in events.tags_json],
        *texts.values(),
    ]
    pieces: Block = [b""] * (count * len(parts))
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
