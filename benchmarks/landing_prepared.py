"""The events that every alternative is given, as messages, as columns and as the COPY streams that are shipped.

Belongs here: what is made before any measurement. The messages themselves are in `landing_workload`.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial

import numpy as np

from benchmarks.landing_streams import Part, parts_of
from benchmarks.landing_workload import messages
from lah_platform.landing.batch import Batch, prepare
from lah_platform.landing.fast_lane import FastLane
from lah_platform.landing.kinds import Kind, kinds
from lah_platform.landing.records import Partition, Records
from lah_platform.landing.shapes import Shape, ShapeBook
from lah_platform.stack.landing_process import decode_now
from lah_platform.stores.event_copy import EventCopy, ShapeBytes, event_copy

__all__ = ["BATCH_ROWS", "MINUTE_US", "PARTITION", "SEED", "Workload", "records_of"]

BATCH_ROWS = 20_000
MINUTE_US = 60_000_000
PARTITION = Partition("benchmark", "benchmark", 0)
SEED = 20231116


def records_of(values: Sequence[bytes], first_offset: int) -> Records:
    count = len(values)
    offsets = np.arange(first_offset, first_offset + count)
    return Records([PARTITION], np.zeros(count, np.int64), offsets, list(values), lambda _: (None, ()))


class SeriesIds(dict[Shape, int]):
    """Every series has an id; no server is asked."""

    def __missing__(self, key: Shape) -> int:
        self[key] = len(self) + 1
        return self[key]


class Workload:
    """The same events for every alternative: messages, columns and the streams as shipped."""

    def __init__(self, events: int) -> None:
        noon = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0)
        self.start = noon - timedelta(days=1)  # whole within one daily partition, whenever it runs
        self.received_at = self.start + timedelta(minutes=5)
        make = partial(messages, start=self.start)
        self.values = [value for _, value in make(events, seed=SEED)]
        self.warm_up = [value for _, value in make(5000, seed=SEED + 1)]
        self.most_values = [value for _, value in make(max(events, 50_000), seed=SEED)]
        self.repeated = [value for _, value in make(events, seed=SEED, duplicate_share=0.01)]
        self.series = SeriesIds()
        self.lane = FastLane(ShapeBook())
        self.shape_bytes = ShapeBytes()
        self.batches = [self.batch(at) for at in range(0, events, BATCH_ROWS)]
        self.kinds = [kinds(batch.events) for batch in self.batches]
        copies = [self.copies(batch, by_kind) for batch, by_kind in zip(self.batches, self.kinds, strict=True)]
        self.streams = [[(copy.columns, copy.stream) for copy in made] for made in copies]
        self.parts = [[parts_of(copy) for copy in made] for made in copies]

    def batch(self, at: int) -> Batch:
        values = self.values[at : at + BATCH_ROWS]
        starts = {PARTITION: at}
        return prepare(records_of(values, at), starts, decoder=decode_now, received_at=self.received_at, lane=self.lane)

    def copies(self, batch: Batch, by_kind: Sequence[Kind]) -> list[EventCopy]:
        return [event_copy(kind, batch.records, self.received_at, self.series, self.shape_bytes) for kind in by_kind]

    def each_part(self, change: Callable[[Part], Part]) -> list[list[Part]]:
        return [[change(part) for part in parts] for parts in self.parts]
