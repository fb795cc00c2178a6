"""The Kafka protocol's topics, and producing with acknowledgement. What landing reads with is in `kafka_source`."""

from collections.abc import Callable, Iterable

from confluent_kafka import KafkaError, KafkaException, Message, Producer, TopicCollection
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from lah_platform.errors import ConfigurationError

__all__ = ["ensure_topic", "make_producer", "produce_all", "topic_id"]

_TIMEOUT_SECONDS = 10.0


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
