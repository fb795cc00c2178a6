"""A batch: records with what they decoded to, and the offset ranges they cover."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from lah_platform.events.envelope import Event
from lah_platform.events.rejection import Rejection
from lah_platform.landing.columns import EventColumns
from lah_platform.landing.fast_lane import FastLane
from lah_platform.landing.records import Partition, Record, Records
from lah_platform.landing.shapes import ShapeBook

__all__ = ["Batch", "Decoder", "OffsetRange", "prepare"]

Decoder = Callable[[bytes | None, datetime], Event | Rejection]


@dataclass(frozen=True)
class OffsetRange:
    """Offsets `[start, stop)` of one partition; `records` of them held a record, the rest are holes."""

    start: int
    stop: int
    records: int

    @property
    def no_record(self) -> int:
        return self.stop - self.start - self.records


@dataclass(frozen=True)
class Batch:
    """Every record is either a row of `events` or a key of `rejections`, by its place; `received_at` is UTC."""

    records: Records
    events: EventColumns
    rejections: Mapping[int, Rejection]
    ranges: Mapping[Partition, OffsetRange]
    received_at: datetime

    def split(self) -> tuple["Batch", "Batch"]:
        """Two batches that cover the same offsets, the first half of the records and the second."""
        middle = len(self.records) // 2
        starts = {partition: covered.start for partition, covered in self.ranges.items()}
        first = _ranges(self.records[:middle], starts)
        rest = {
            partition: first[partition].stop if partition in first else start for partition, start in starts.items()
        }
        second = dict(_ranges(self.records[middle:], rest))
        for partition, covered in self.ranges.items():
            if partition in second:
                last = second[partition]
                second[partition] = OffsetRange(last.start, covered.stop, last.records)
            elif rest[partition] < covered.stop:
                second[partition] = OffsetRange(rest[partition], covered.stop, 0)
        return self._part(0, middle, first), self._part(middle, len(self.records), second)

    def _part(self, start: int, stop: int, ranges: Mapping[Partition, OffsetRange]) -> "Batch":
        positions = self.events.positions
        return Batch(
            self.records[start:stop],
            self.events.take(np.flatnonzero((positions >= start) & (positions < stop))).moved(-start),
            {at - start: rejection for at, rejection in self.rejections.items() if start <= at < stop},
            ranges,
            self.received_at,
        )

    def refused(self, rejections: Mapping[int, Rejection]) -> "Batch":
        """The same batch with some of its events refused as well."""
        stays = ~np.isin(self.events.positions, list(rejections))
        events = self.events.take(np.flatnonzero(stays))
        return Batch(self.records, events, {**self.rejections, **rejections}, self.ranges, self.received_at)

    def rejected(self, reason: str) -> "Batch":
        """The same batch of one event with that event refused for `reason`, which the database gave."""
        tenant = self.events.shape(0).tenant
        return self.refused({0: Rejection(code="database_rejected", field="payload", reason=reason, tenant=tenant)})


def _ranges(records: Records, starts: Mapping[Partition, int]) -> dict[Partition, OffsetRange]:
    ranges = {}
    for number, count in enumerate(np.bincount(records.partition_of, minlength=len(records.partitions)).tolist()):
        if count:
            partition = records.partitions[number]
            last = int(records.offsets[np.flatnonzero(records.partition_of == number)[-1]])
            ranges[partition] = OffsetRange(starts[partition], last + 1, count)
    return ranges


def prepare(
    records: Sequence[Record],
    starts: Mapping[Partition, int],
    *,
    decoder: Decoder,
    received_at: datetime,
    lane: FastLane | None = None,
    series_tags: Sequence[str] = (),
) -> Batch:
    """Decode `records`; `starts` gives the offset each of their partitions was read from.

    With a `lane`, ordinary records take it, and `decoder` reads the others; the lane's book then says what a series is,
    else `series_tags` (see ShapeBook).
    """
    records = records if isinstance(records, Records) else Records.of(records)
    results: dict[int, Event | Rejection] = {}

    def learn(position: int) -> Event | None:
        result = results[position] = decoder(records.values[position], received_at)
        return result if isinstance(result, Event) else None

    if lane is None:
        shapes, ordinary = ShapeBook(series_tags), None
        rest: Sequence[int] = range(len(records))
    else:
        shapes, ordinary = lane.shapes, lane.read(records.values, received_at, learn)
        is_read = np.zeros(len(records), np.bool_)
        is_read[ordinary.positions] = True
        rest = np.flatnonzero(~is_read).tolist()
    accepted: list[int] = []
    events: list[Event] = []
    rejections: dict[int, Rejection] = {}
    for position in rest:
        result = results.get(position) or decoder(records.values[position], received_at)
        if isinstance(result, Rejection):
            rejections[position] = result
        else:
            accepted.append(position)
            events.append(result)
    columns = [] if ordinary is None else [ordinary]
    if events or not columns:
        columns.append(EventColumns.of(events, accepted, shapes))
    return Batch(records, EventColumns.concat(columns), rejections, _ranges(records, starts), received_at)
