"""Accepted events by column: what landing encodes, deduplicates and rolls up without touching events one by one."""

from collections import ChainMap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import chain
from operator import attrgetter, itemgetter
from typing import Any
from uuid import UUID

import msgspec
import numpy as np
import numpy.typing as npt

from lah_platform.events.envelope import Event
from lah_platform.landing.shapes import Shape, ShapeBook

__all__ = ["EventColumns", "Integers", "UuidColumn", "at_us", "encode_tags", "from_us"]

Integers = npt.NDArray[np.int64]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NIL = UUID(int=0)
encode_tags = msgspec.json.Encoder().encode


def at_us(moment: datetime) -> int:
    """Microseconds since 1970-01-01 UTC of an aware moment."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def from_us(microseconds: int) -> datetime:
    """The UTC moment so many microseconds after 1970-01-01."""
    return _EPOCH + timedelta(microseconds=microseconds)


@dataclass(frozen=True, slots=True)
class UuidColumn:
    """`octets` has shape (n, 16); where `is_null` the octets mean nothing."""

    octets: npt.NDArray[np.uint8]
    is_null: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, ids: Sequence[UUID | None]) -> "UuidColumn":
        octets = b"".join([(_NIL if each is None else each).bytes for each in ids])
        is_null = np.array([each is None for each in ids], np.bool_)
        return cls(np.frombuffer(octets, np.uint8).reshape(-1, 16), is_null)

    def take(self, rows: npt.NDArray[np.intp]) -> "UuidColumn":
        return UuidColumn(self.octets[rows], self.is_null[rows])

    @classmethod
    def concat(cls, parts: Sequence["UuidColumn"]) -> "UuidColumn":
        return cls(np.concatenate([p.octets for p in parts]), np.concatenate([p.is_null for p in parts]))


@dataclass(frozen=True, slots=True)
class EventColumns:
    """Row i of every column is one event; `positions[i]` is its place in the batch. Times are UTC.

    `shapes[shape_of[i]]` is its shape; `shapes` may hold others as well. `payload_json` is bytes or anything that has a
    buffer of them. `subject_ids` are the persons whose keys encrypted the events, None before that and when nobody was
    named; `more_subjects` are further persons, by position.
    """

    positions: Integers
    shapes: Sequence[Shape]
    shape_of: Integers
    timestamps_us: Integers
    event_ids: UuidColumn
    correlation_ids: UuidColumn
    parent_event_ids: UuidColumn
    tags_json: list[bytes]
    payloads: list[Any]
    payload_json: list[Any]
    subject_ids: UuidColumn | None = None
    more_subjects: Mapping[int, tuple[UUID, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, events: Sequence[Event], positions: Sequence[int], book: ShapeBook) -> "EventColumns":
        return cls(
            np.array(positions, np.int64),
            book.known,
            np.array(list(map(book.place, events)), np.int64),
            np.array([at_us(event.timestamp) for event in events], np.int64),
            UuidColumn.of([event.event_id for event in events]),
            UuidColumn.of([event.correlation_id for event in events]),
            UuidColumn.of([event.parent_event_id for event in events]),
            [encode_tags(event.tags) for event in events],
            [event.payload for event in events],
            [event.payload_json for event in events],
        )

    def __len__(self) -> int:
        return len(self.positions)

    @classmethod
    def concat(cls, parts: Sequence["EventColumns"]) -> "EventColumns":
        """The events of all parts, of which there is at least one; their shapes are of one book."""
        if len(parts) == 1:
            return parts[0]
        return cls(
            np.concatenate([part.positions for part in parts]),
            parts[0].shapes,
            np.concatenate([part.shape_of for part in parts]),
            np.concatenate([part.timestamps_us for part in parts]),
            UuidColumn.concat([part.event_ids for part in parts]),
            UuidColumn.concat([part.correlation_ids for part in parts]),
            UuidColumn.concat([part.parent_event_ids for part in parts]),
            list(chain.from_iterable(part.tags_json for part in parts)),
            list(chain.from_iterable(part.payloads for part in parts)),
            list(chain.from_iterable(part.payload_json for part in parts)),
            None
            if all(part.subject_ids is None for part in parts)
            else UuidColumn.concat([part.subject_ids or UuidColumn.of([None] * len(part)) for part in parts]),
            dict(ChainMap(*(dict(part.more_subjects) for part in parts))),
        )

    def take(self, rows: npt.NDArray[np.intp]) -> "EventColumns":
        """The events at `rows`, in that order."""
        wanted = rows.tolist()
        return EventColumns(
            self.positions[rows],
            self.shapes,
            self.shape_of[rows],
            self.timestamps_us[rows],
            self.event_ids.take(rows),
            self.correlation_ids.take(rows),
            self.parent_event_ids.take(rows),
            _take(self.tags_json, wanted),
            _take(self.payloads, wanted),
            _take(self.payload_json, wanted),
            None if self.subject_ids is None else self.subject_ids.take(rows),
            self.more_subjects,
        )

    def moved(self, by: int) -> "EventColumns":
        """The same events with every position `by` further on."""
        return replace(self, positions=self.positions + by)

    def shape(self, row: int) -> Shape:
        return self.shapes[int(self.shape_of[row])]

    def distinct_shapes(self) -> dict[int, Shape]:
        """The shapes that occur, by their place in `shapes`."""
        places = np.flatnonzero(np.bincount(self.shape_of, minlength=1)).tolist() if len(self) else []
        return {place: self.shapes[place] for place in places}

    def by_shape(self, value: Callable[[Shape], Any], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        """One value an event, asked once for each shape."""
        values = np.zeros(len(self.shapes), dtype)
        for place, shape in self.distinct_shapes().items():
            values[place] = value(shape)
        return values[self.shape_of]

    def tenants(self) -> list[str]:
        tenants: list[str] = self.by_shape(attrgetter("tenant"), object).tolist()
        return tenants

    def identities(self) -> list[tuple[int, str, bytes]]:
        """(timestamp in µs, tenant, event id) of every event: what makes a repeat a repeat."""
        octets = self.event_ids.octets.tobytes()
        ids = [octets[at : at + 16] for at in range(0, len(octets), 16)]
        return list(zip(self.timestamps_us.tolist(), self.tenants(), ids, strict=True))


def _take(items: list[Any], rows: list[int]) -> list[Any]:
    if len(rows) < 2:
        return [items[row] for row in rows]
    return list(itemgetter(*rows)(items))
