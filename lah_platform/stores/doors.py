"""Where REST hands its events over: to the broker, or straight to landing when there is none."""

import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from confluent_kafka import KafkaError, Message

from lah_platform.errors import Fenced, StoreUnavailable
from lah_platform.landing.batch import Decoder, prepare
from lah_platform.landing.loop import land_or_bisect
from lah_platform.landing.records import Outcome, Partition, Record
from lah_platform.privacy.writers import Redact
from lah_platform.stores.kafka import make_producer
from lah_platform.stores.keyring import KeyRing
from lah_platform.stores.landing import PostgresLanding

__all__ = ["DirectDoor", "KafkaDoor"]

_SLOTS = 64  # API processes that can land at once without a broker
_ACKNOWLEDGE_SECONDS = 10.0


class KafkaDoor:
    """Hands records to the broker; 'queued' once every in-sync replica has them."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        self._topic = topic
        self._producer = make_producer(bootstrap)

    def submit(self, records: Sequence[bytes], key: bytes) -> list[str]:
        """Returns 'queued' for each record. Raises StoreUnavailable when the broker does not acknowledge all."""
        unacknowledged = set(range(len(records)))

        def acknowledged(position: int) -> Callable[[KafkaError | None, Message], None]:
            def report(error: KafkaError | None, _message: Message) -> None:
                if error is None:
                    unacknowledged.discard(position)

            return report

        try:
            for position, record in enumerate(records):
                self._producer.produce(self._topic, record, key=key, on_delivery=acknowledged(position))
        except BufferError as error:
            raise StoreUnavailable("The producer's buffer is full", "Send less, or again in a moment") from error
        finally:
            self._producer.flush(_ACKNOWLEDGE_SECONDS)
        if unacknowledged:
            raise StoreUnavailable(
                f"The broker did not acknowledge {len(unacknowledged)} of {len(records)} records",
                "Send the same events with the same ids again: repeats are counted once",
            )
        return ["queued"] * len(records)

    def close(self) -> None:
        self._producer.flush(_ACKNOWLEDGE_SECONDS)


class DirectDoor:
    """Lands records itself, as topic `rest`, with a slot of its own as partition; commits before it answers."""

    def __init__(
        self,
        url: str,
        *,
        decoder: Decoder,
        series_limit: int = 10_000,
        series_tags: Sequence[str] = (),
        strict_window: timedelta | None = None,
        keys: KeyRing | None = None,
        redact: Redact | None = None,
    ) -> None:
        self._decoder = decoder
        self._series_tags = series_tags
        self._landing = PostgresLanding(
            url,
            series_limit=series_limit,
            strict_window=strict_window,
            keys=keys,
            series_tags=series_tags,
            redact=redact,
            application_name="lah-rest",
        )
        self._turn = threading.Lock()

    def submit(self, records: Sequence[bytes], key: bytes) -> list[Outcome]:  # noqa: ARG002 - one door, one shape
        """'stored', 'duplicate' or 'dead_lettered' for each record, committed. Raises StoreUnavailable."""
        with self._turn:
            for slot in range(_SLOTS):
                partition = Partition("rest", "", slot)
                start = self._landing.adopt(partition, 0)
                batch = prepare(
                    [Record(partition, start + i, None, record) for i, record in enumerate(records)],
                    {partition: start},
                    decoder=self._decoder,
                    received_at=datetime.now(UTC),
                    series_tags=self._series_tags,
                )
                try:
                    landed = land_or_bisect(self._landing, batch)
                except Fenced:
                    continue  # another process uses this slot at this moment: take the next
                self._landing.note_caught_up(frozenset([partition]), batch.received_at)
                return landed.outcomes
        raise StoreUnavailable("Every REST slot is busy", "Send the same events again in a moment")

    def close(self) -> None:
        self._landing.close()
