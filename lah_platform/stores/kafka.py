"""The Kafka-protocol client: reading records for landing, and producing with acknowledgement."""

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, cast

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from lah_platform.errors import ConfigurationError, SourceError
from lah_platform.landing.records import Partition, Poll, Record

__all__ = ["KafkaSource", "ensure_topic", "make_producer", "produce_all", "topic_id"]

_log = logging.getLogger("lah.landing")

_TIMEOUT_SECONDS = 10.0
_QUEUED_KILOBYTES = 65_536  # bounds a landing process's memory at any backlog


def _admin(bootstrap: str) -> AdminClient:
    return AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})


def topic_id(bootstrap: str, topic: str) -> str:
    """The id of this incarnation of the topic. Raises ConfigurationError when broker or topic is not there."""
    admin = _admin(bootstrap)  # kept in a name: its futures die with it
    try:
        described = admin.describe_topics(TopicCollection([topic]), request_timeout=_TIMEOUT_SECONDS)
        return str(described[topic].result(_TIMEOUT_SECONDS).topic_id)
    except (KafkaException, TimeoutError) as error:
        raise ConfigurationError(
            f"The broker at {bootstrap} does not describe topic {topic} ({error})",
            "Check LAH_KAFKA_BOOTSTRAP and LAH_TOPIC; `lah doctor` tells more",
        ) from error


def ensure_topic(bootstrap: str, topic: str, partitions: int) -> int:
    """Create the topic when it is missing; returns how many partitions it has."""
    admin = _admin(bootstrap)
    try:
        known = admin.list_topics(timeout=_TIMEOUT_SECONDS).topics
        if topic not in known:
            admin.create_topics([NewTopic(topic, partitions)])[topic].result(_TIMEOUT_SECONDS)
            return partitions
        return len(known[topic].partitions)
    except KafkaException as error:
        if error.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS:
            return partitions
        raise ConfigurationError(
            f"The broker at {bootstrap} does not answer ({error.args[0].str()})",
            "Check LAH_KAFKA_BOOTSTRAP; `lah doctor` tells more",
        ) from error


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
        self._at_end: set[Partition] = set()
        self._is_grouped = group is not None
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": group or f"lah-landing-{self._topic_id}",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "error",
                "queued.max.messages.kbytes": _QUEUED_KILOBYTES,
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
        at = datetime.now(UTC)
        records: list[Record] = []
        starts: dict[Partition, int] = {}
        deadline = time.monotonic() + seconds
        while not records and (left := deadline - time.monotonic()) > 0:
            for message in self._consumer.consume(max_records, left):
                self._take(message, records, starts)
            if self._at_end:
                break  # what there is has been read: land it now
        return Poll(records, starts, frozenset(self._at_end), at)

    def rewind(self) -> None:
        """See RecordSource."""
        for partition in list(self._next):
            offset = self._adopt(partition, self._next[partition])
            self._next[partition] = offset
            self._at_end.discard(partition)
            self._consumer.seek(TopicPartition(partition.topic, partition.number, offset))

    def keep_alive(self) -> None:
        """See RecordSource."""
        assignment = self._consumer.assignment()
        if self._is_grouped and assignment:
            self._consumer.pause(assignment)
            self._consumer.poll(0)
            self._consumer.resume(self._consumer.assignment())

    def commit(self, landed: Mapping[Partition, int]) -> None:
        """Tell the broker how far each partition is landed. Only lag monitors read it, so a failure is logged."""
        if not self._is_grouped:
            return
        try:
            offsets = [TopicPartition(p.topic, p.number, offset) for p, offset in landed.items()]
            self._consumer.commit(offsets=offsets, asynchronous=True)
        except KafkaException as error:
            _log.warning("the broker took no offsets: %s", error)

    def close(self) -> None:
        self._consumer.close()

    def _take(self, message: Message, records: list[Record], starts: dict[Partition, int]) -> None:
        partition = Partition(message.topic() or self._topic, self._topic_id, message.partition() or 0)
        error = message.error()
        if error is None:
            offset = message.offset()
            if partition not in self._next or offset is None:
                return  # fetched before the partition was taken away
            starts.setdefault(partition, self._next[partition])
            self._next[partition] = offset + 1
            self._at_end.discard(partition)
            headers = tuple(cast("list[tuple[str, bytes | None]]", message.headers() or []))
            records.append(Record(partition, offset, message.key(), message.value(), headers))
        elif error.code() == KafkaError._PARTITION_EOF:
            self._at_end.add(partition)
        elif error.code() in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE):
            raise SourceError(
                f"{partition.topic}[{partition.number}] no longer holds the stored offset {self._next.get(partition)}",
                "Records may have expired before they were landed: see 'Lost offsets' in docs/operations.md",
            )
        elif error.fatal():
            raise SourceError(
                f"The broker's client gave up: {error.str()}", "Check the broker, then start landing again"
            )

    def _on_assign(self, consumer: Consumer, assigned: Sequence[TopicPartition]) -> None:
        chosen = []
        for each in assigned:
            partition = Partition(each.topic, self._topic_id, each.partition)
            first, _ = consumer.get_watermark_offsets(
                TopicPartition(each.topic, each.partition), timeout=_TIMEOUT_SECONDS
            )
            self._next[partition] = self._adopt(partition, first)
            chosen.append(TopicPartition(each.topic, each.partition, self._next[partition]))
        consumer.assign(chosen)

    def _on_revoke(self, _consumer: Consumer, revoked: Sequence[TopicPartition]) -> None:
        for each in revoked:
            partition = Partition(each.topic, self._topic_id, each.partition)
            self._next.pop(partition, None)
            self._at_end.discard(partition)


def make_producer(bootstrap: str) -> Producer:
    """A producer that reports success only for what every in-sync replica has."""
    return Producer({"bootstrap.servers": bootstrap, "acks": "all", "linger.ms": 10, "compression.type": "lz4"})


def produce_all(
    producer: Producer,
    topic: str,
    messages: Iterable[tuple[bytes, bytes]],
    *,
    timeout_seconds: float = 30.0,
    on_produced: Callable[[int], None] = lambda count: None,  # noqa: ARG005
) -> int:
    """Produce (key, value) pairs and wait until all are acknowledged; returns how many.

    Raises ConfigurationError when the broker does not acknowledge them in time.
    """
    failed: list[str] = []

    def report(error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            failed.append(error.str())

    count = 0
    for key, value in messages:
        while True:
            try:
                producer.produce(topic, value, key=key, on_delivery=report)
                break
            except BufferError:
                producer.poll(0.1)
        count += 1
        if count % 1000 == 0:
            producer.poll(0)
            on_produced(count)
    left = producer.flush(timeout_seconds)
    if left or failed:
        reason = failed[0] if failed else f"{left} records were not acknowledged in {timeout_seconds:g} s"
        raise ConfigurationError(f"The broker did not take everything: {reason}", "Check the broker, then try again")
    on_produced(count)
    return count
