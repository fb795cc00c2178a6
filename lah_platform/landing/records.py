"""What landing reads and what it asks of its two ends. Nothing here knows a broker or a database."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, overload

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from lah_platform.landing.batch import Batch

__all__ = ["OUTCOMES", "Landed", "LandingStore", "Outcome", "Partition", "Poll", "Record", "RecordSource", "Records"]

Outcome = str
OUTCOMES: tuple[Outcome, ...] = ("stored", "duplicate", "dead_lettered")
"""What becomes of a record, one of these."""


class Partition(NamedTuple):
    """One partition of one incarnation of a topic: a topic made anew under the same name has another id."""

    topic: str
    topic_id: str
    number: int


class Record(NamedTuple):
    """One message as the broker holds it."""

    partition: Partition
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()


class Records(Sequence[Record]):
    """Records by column, for whoever takes them a hundred thousand at a time; one of them is made when asked for.

    `partition_of[i]` is an index into `partitions`; `details(i)` gives key and headers, which few are asked for.
    """

    __slots__ = ("details", "offsets", "partition_of", "partitions", "values")

    def __init__(
        self,
        partitions: Sequence[Partition],
        partition_of: npt.NDArray[np.int64],
        offsets: npt.NDArray[np.int64],
        values: list[bytes | None],
        details: Callable[[int], tuple[bytes | None, tuple[tuple[str, bytes | None], ...]]],
    ) -> None:
        self.partitions = partitions
        self.partition_of = partition_of
        self.offsets = offsets
        self.values = values
        self.details = details

    @classmethod
    def of(cls, records: Iterable[Record]) -> "Records":
        """Ready-made records by column."""
        made = list(records)
        partitions = list(dict.fromkeys(record.partition for record in made))
        number = {partition: i for i, partition in enumerate(partitions)}
        return cls(
            partitions,
            np.array([number[record.partition] for record in made], np.int64),
            np.array([record.offset for record in made], np.int64),
            [record.value for record in made],
            lambda i: (made[i].key, made[i].headers),
        )

    def __len__(self) -> int:
        return len(self.values)

    @overload
    def __getitem__(self, at: int) -> Record: ...
    @overload
    def __getitem__(self, at: slice) -> "Records": ...
    def __getitem__(self, at: int | slice) -> Any:
        if isinstance(at, slice):
            start = at.indices(len(self))[0]
            of, offsets, values = self.partition_of[at], self.offsets[at], self.values[at]
            return Records(self.partitions, of, offsets, values, lambda i: self.details(start + i))
        key, headers = self.details(at)
        return Record(self.partitions[self.partition_of[at]], int(self.offsets[at]), key, self.values[at], headers)


@dataclass(frozen=True)
class Poll:
    """What one poll brought.

    `records` are in order per partition, `starts` is the offset each of their partitions was read from, and `at_end`
    are the partitions read to their end as of `at` (UTC).
    """

    records: Records
    starts: Mapping[Partition, int]
    at_end: frozenset[Partition]
    at: datetime


@dataclass(frozen=True)
class Landed:
    """The outcome of every record of a batch, in the batch's order."""

    outcome_of: npt.NDArray[np.int8]
    """Places in OUTCOMES."""

    @property
    def outcomes(self) -> list[Outcome]:
        return [OUTCOMES[place] for place in self.outcome_of.tolist()]

    def count(self, outcome: Outcome) -> int:
        return int(np.count_nonzero(self.outcome_of == OUTCOMES.index(outcome)))

    def __add__(self, other: "Landed") -> "Landed":
        return Landed(np.concatenate([self.outcome_of, other.outcome_of]))


class RecordSource(Protocol):
    """Where records come from."""

    def poll(self, max_records: int, seconds: float) -> Poll:
        """At most `max_records`, waiting at most `seconds`."""

    def rewind(self) -> None:
        """Forget what was polled and not landed: go back to the offsets in the store."""

    def keep_alive(self) -> None:
        """Stay in the group while nothing can be landed; brings no records."""


class LandingStore(Protocol):
    """Where batches go, each in one transaction."""

    def encode(self, batch: "Batch") -> Any:
        """What `land` will write, made beforehand, in any thread. Raises StoreUnavailable."""

    def land(self, batch: "Batch", encoded: Any = None) -> Landed:
        """Commit everything of the batch or nothing; `encoded` is what `encode` made of this batch.

        Raises Fenced when another process moved an offset, StoreUnavailable when the database went away (what was
        asked may or may not be committed: the offsets tell), Unstorable when it refuses the content of some record.
        """

    def note_caught_up(self, partitions: frozenset[Partition], at: datetime) -> None:
        """Record that these partitions were landed to their end as of `at`."""
