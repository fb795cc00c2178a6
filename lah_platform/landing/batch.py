"""A batch: records with their decoded events or rejections, and the offset ranges they cover."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from lah_platform.events.envelope import Event
from lah_platform.events.rejection import Rejection
from lah_platform.landing.records import Partition, Record

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
    """`results[i]` is what `records[i]` decoded to; `received_at` is UTC."""

    records: Sequence[Record]
    results: Sequence[Event | Rejection]
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
        return (
            Batch(self.records[:middle], self.results[:middle], first, self.received_at),
            Batch(self.records[middle:], self.results[middle:], second, self.received_at),
        )

    def rejected(self, reason: str) -> "Batch":
        """The same batch of one event with that event refused for `reason`, which the database gave."""
        (event,) = self.results
        rejection = Rejection(code="database_rejected", field="payload", reason=reason, tenant=event.tenant)
        return Batch(self.records, [rejection], self.ranges, self.received_at)


def _ranges(records: Iterable[Record], starts: Mapping[Partition, int]) -> dict[Partition, OffsetRange]:
    stops: dict[Partition, int] = {}
    counts: dict[Partition, int] = {}
    for record in records:
        partition = record.partition
        stops[partition] = record.offset + 1
        counts[partition] = counts.get(partition, 0) + 1
    return {p: OffsetRange(starts[p], stop, counts[p]) for p, stop in stops.items()}


def prepare(
    records: Sequence[Record],
    starts: Mapping[Partition, int],
    *,
    decoder: Decoder,
    received_at: datetime,
) -> Batch:
    """Decode `records`; `starts` gives the offset each of their partitions was read from."""
    results = [decoder(record.value, received_at) for record in records]
    return Batch(records, results, _ranges(records, starts), received_at)
