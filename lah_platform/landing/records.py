"""What landing reads and what it asks of its two ends. Nothing here knows a broker or a database."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from lah_platform.landing.batch import Batch

__all__ = ["Landed", "LandingStore", "Outcome", "Partition", "Poll", "Record", "RecordSource"]

Outcome = str  # 'stored' | 'duplicate' | 'dead_lettered'


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


@dataclass(frozen=True)
class Poll:
    """What one poll brought.

    `records` are in order per partition, `starts` is the offset each of their partitions was read from, and `at_end`
    are the partitions read to their end as of `at` (UTC).
    """

    records: Sequence[Record]
    starts: Mapping[Partition, int]
    at_end: frozenset[Partition]
    at: datetime


@dataclass(frozen=True)
class Landed:
    """The outcome of every record of a batch, in the batch's order."""

    outcomes: Sequence[Outcome]

    def count(self, outcome: Outcome) -> int:
        return self.outcomes.count(outcome)

    def __add__(self, other: "Landed") -> "Landed":
        return Landed([*self.outcomes, *other.outcomes])


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

    def land(self, batch: "Batch") -> Landed:
        """Commit everything of the batch or nothing.

        Raises Fenced when another process moved an offset, StoreUnavailable when the database went away (what was
        asked may or may not be committed: the offsets tell), Unstorable when it refuses the content of some record.
        """

    def note_caught_up(self, partitions: frozenset[Partition], at: datetime) -> None:
        """Record that these partitions were landed to their end as of `at`."""
