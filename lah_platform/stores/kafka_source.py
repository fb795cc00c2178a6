"""The consumer that landing reads from: records in order from the database's offsets, rebalances, the log's end.

Belongs here: what a RecordSource owes landing on Kafka. Topics and producing are in `kafka`.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import compress
from typing import Any, cast

import numpy as np
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from lah_platform.errors import SourceError
from lah_platform.landing.holes import Holes
from lah_platform.landing.records import Partition, Poll, Records
from lah_platform.stores.kafka import topic_id

__all__ = ["KafkaSource"]

_log = logging.getLogger("lah.landing")

_TIMEOUT_SECONDS = 10.0
_BROKER_AWAY_SECONDS = 300.0
_BETWEEN_ASKING_SECONDS = 0.5
_WORTH_A_BATCH = 500  # waiting for more would only add to their latency
# These bound a landing process's memory at any backlog. Fetches are counted as they travel, compressed: a backlog of
# 200 MB that compresses well was fetched whole (205 MB resident) until one fetch was bounded too; with these 50 MB.
_QUEUED_KILOBYTES = 16_384
_QUEUED_MESSAGES = 20_000
_FETCH_BYTES = 1_000_000


class KafkaSource:
    """A RecordSource on one topic.

    `adopt(partition, first_offset)` gives the offset to read from: the database's, never the broker's. With `group`
    the broker shares partitions among processes; without, this process reads all of them.
    """

    def __init__(
        self,
        bootstrap: str,
        topic: str,
        *,
        adopt: Callable[[Partition, int], int],
        group: str | None = None,
        settings: dict[str, Any] | None = None,
    ) -> None:
        self._topic = topic
        self._topic_id = topic_id(bootstrap, topic)
        self._adopt = adopt
        self._next: dict[Partition, int] = {}
        self._ends: Mapping[Partition, int] = {}
        self._untold: dict[Partition, int] = {}
        self._untold_lock = threading.Lock()
        self._at_end: set[Partition] = set()
        self._holes = Holes()
        self._held: list[Message] = []  # fetched and not handed over
        self._is_grouped = group is not None
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": group or f"lah-landing-{self._topic_id}",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "error",
                "queued.max.messages.kbytes": _QUEUED_KILOBYTES,
                "queued.min.messages": _QUEUED_MESSAGES,
                "fetch.max.bytes": _FETCH_BYTES,
                "fetch.queue.backoff.ms": 10,  # 1000 by default: a short queue would run dry meanwhile
                "fetch.wait.max.ms": 100,
                "partition.assignment.strategy": "range",
            }
            | (settings or {})
        )
        if group:
            self._consumer.subscribe([topic], on_assign=self._on_assign, on_revoke=self._on_revoke)
        else:
            numbers = self._consumer.list_topics(topic, timeout=_TIMEOUT_SECONDS).topics[topic].partitions
            self._on_assign(self._consumer, [TopicPartition(topic, number) for number in numbers])

    def poll(self, max_records: int, seconds: float) -> Poll:
        """See RecordSource. Raises SourceError when the log does not hold the stored offset."""
        self._tell_broker()
        at = datetime.now(UTC)
        deadline = time.monotonic() + seconds
        records, starts = Records.of([]), dict[Partition, int]()
        while not len(records) and (left := deadline - time.monotonic()) > 0:
            self._fetch(max_records, 0)
            if len(self._held) < (worth := min(_WORTH_A_BATCH, max_records)):
                self._fetch(worth, left)
                self._fetch(max_records, 0)
            messages, self._held = self._held, []
            records, starts = self._take(messages)
            if self._at_end:
                break  # what there is has been read: land it now
        self._note_ends()
        return Poll(records, starts, frozenset(self._at_end), at)

    def _fetch(self, max_records: int, seconds: float) -> None:
        fetched = self._consumer.consume(max_records - len(self._held), seconds)
        self._held += fetched  # only now: a rebalance within the call empties what was held

    def rewind(self) -> None:
        """See RecordSource."""
        self._held = []
        for partition in list(self._next):
            self._next[partition] = self._adopt(partition, self._next[partition])
            self._at_end.discard(partition)
        self._read_again(self._next)

    def keep_alive(self) -> None:
        """See RecordSource."""
        assignment = self._consumer.assignment()
        if self._is_grouped and assignment:
            self._consumer.pause(assignment)
            message = self._consumer.poll(0)
            if message is not None:  # of a partition given just now
                self._held.append(message)
            self._consumer.resume(self._consumer.assignment())
        self._tell_broker()
        self._note_ends()

    def commit(self, landed: Mapping[Partition, int]) -> None:
        """Have the next poll tell the broker how far each partition is landed; any thread may ask.

        Only lag monitors read it. Not told from here: the consumer is locked while it waits for records, and a writer
        that asked it for anything stood still for 0.5 to 4 s.
        """
        if self._is_grouped:
            with self._untold_lock:
                self._untold.update(landed)

    def positions(self) -> Mapping[Partition, int]:
        """The offset that comes next, of every partition this process has. Any thread may ask."""
        return dict(self._next)

    def ends(self) -> Mapping[Partition, int]:
        """The log's end at the last poll, of every partition this process has and has fetched from. Any thread may ask.

        Fetches tell it; ListOffsets is not asked (docs/decisions/0001).
        """
        return self._ends

    def close(self) -> None:
        self._tell_broker()
        self._consumer.close()

    def _tell_broker(self) -> None:
        with self._untold_lock:
            landed, self._untold = self._untold, {}
        offsets = [TopicPartition(p.topic, p.number, offset) for p, offset in landed.items() if p in self._next]
        if not offsets:
            return
        try:
            self._consumer.commit(offsets=offsets, asynchronous=True)
        except KafkaException as error:  # nothing depends on it
            _log.warning("the broker took no offsets: %s", error)

    def _note_ends(self) -> None:
        found = {}
        for partition, position in self._next.items():
            place = TopicPartition(partition.topic, partition.number)
            _, end = self._consumer.get_watermark_offsets(place, cached=True)  # 10 µs for a partition
            if end >= 0:
                found[partition] = max(end, position)
        self._ends = found

    def _take(self, messages: list[Message]) -> tuple[Records, dict[Partition, int]]:
        """The records among the messages, and the offset each of their partitions was read from."""
        told = [message for message in messages if message.error() is not None]
        ends = [self._partition(each) for each in told if self._is_end(each)]
        if told:
            messages = [message for message in messages if message.error() is None]
        numbers = np.array([message.partition() for message in messages], np.int64)
        offsets = np.array([message.offset() for message in messages], np.int64)
        kept, starts = list[Partition](), dict[Partition, int]()
        is_kept = np.zeros(len(messages), np.bool_)
        partition_of = np.zeros(len(messages), np.int64)
        doubted = set()
        for number in np.unique(numbers).tolist():
            partition = Partition(self._topic, self._topic_id, number)
            if partition not in self._next:
                continue  # fetched before the partition was taken away
            mine = np.flatnonzero(numbers == number)
            count = self._holes.believed(partition, self._next[partition], offsets[mine])
            if count < len(mine):
                doubted.add(partition)
            self._at_end.discard(partition)
            if count:
                partition_of[mine] = len(kept)
                kept.append(partition)
                is_kept[mine[:count]] = True
                starts[partition], self._next[partition] = self._next[partition], int(offsets[mine[count - 1]]) + 1
        if doubted:
            self._read_again(doubted)
        if not is_kept.all():
            messages = list(compress(messages, is_kept))
            partition_of, offsets = partition_of[is_kept], offsets[is_kept]
        for partition, end in ends:
            # beyond the last record lie markers of transactions, if anything
            if partition not in doubted and self._next.get(partition, end + 1) <= end:
                self._at_end.add(partition)
        values = [message.value() for message in messages]

        def details(i: int) -> tuple[bytes | None, tuple[tuple[str, bytes | None], ...]]:
            headers = cast("list[tuple[str, bytes | None]]", messages[i].headers() or [])
            return messages[i].key(), tuple(headers)

        return Records(kept, partition_of, offsets, values, details), starts

    def _read_again(self, partitions: Iterable[Partition]) -> None:
        """Fetch these partitions from `_next`."""
        try:
            for place in self._places(partitions):
                self._consumer.seek(place)
        except KafkaException:  # a partition that was given a moment ago and is not fetched from yet
            self._consumer.assign(self._places(self._next))

    def _places(self, partitions: Iterable[Partition]) -> list[TopicPartition]:
        return [TopicPartition(each.topic, each.number, self._next[each]) for each in partitions]

    def _partition(self, message: Message) -> tuple[Partition, int]:
        return Partition(self._topic, self._topic_id, message.partition() or 0), message.offset() or 0

    def _is_end(self, message: Message) -> bool:
        """Whether it tells the end of a partition. Raises SourceError for what landing cannot go on from."""
        error = message.error()
        assert error is not None
        if error.code() in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE):
            partition, _ = self._partition(message)
            raise SourceError(
                f"{partition.topic}[{partition.number}] no longer holds the stored offset {self._next.get(partition)}",
                "Records may have expired before they were landed: see 'Lost offsets' in docs/operations.md",
            )
        if error.fatal():
            raise SourceError(
                f"The broker's client gave up: {error.str()}", "Check the broker, then start landing again"
            )
        return error.code() == KafkaError._PARTITION_EOF

    def _on_assign(self, consumer: Consumer, assigned: Sequence[TopicPartition]) -> None:
        self._held = []  # read again from where the database stands
        chosen = []
        for each in assigned:
            partition = Partition(each.topic, self._topic_id, each.partition)
            self._next[partition] = self._adopt(partition, _first_offset(consumer, each))
            chosen.append(TopicPartition(each.topic, each.partition, self._next[partition]))
        consumer.assign(chosen)
        # a rebalance within `keep_alive` leaves them paused, and a new assignment does not end that
        consumer.resume(chosen)

    def _on_revoke(self, _consumer: Consumer, revoked: Sequence[TopicPartition]) -> None:
        self._held = []
        for each in revoked:
            partition = Partition(each.topic, self._topic_id, each.partition)
            self._next.pop(partition, None)
            self._at_end.discard(partition)
            self._holes.forget(partition)


def _first_offset(consumer: Consumer, place: TopicPartition) -> int:
    """Where the partition's log begins. A broker that dies in the middle of a rebalance is waited for."""
    gives_up_at = time.monotonic() + _BROKER_AWAY_SECONDS
    while True:
        try:
            first, _ = consumer.get_watermark_offsets(
                TopicPartition(place.topic, place.partition), timeout=_TIMEOUT_SECONDS
            )
            return int(first)
        except KafkaException as error:
            if time.monotonic() > gives_up_at:
                raise SourceError(
                    f"The broker does not say where {place.topic}[{place.partition}] begins ({error.args[0].str()})",
                    "Check the broker, then start landing again",
                ) from error
            _log.warning("a partition is given, and the broker does not say where it begins: %s", error)
            time.sleep(_BETWEEN_ASKING_SECONDS)
