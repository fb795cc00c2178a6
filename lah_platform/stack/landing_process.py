"""One landing process: the loop with its real ends, until it is asked to stop."""

import logging
import signal
import threading
import time
from datetime import UTC, datetime

from lah_platform.events.decode import decode
from lah_platform.events.envelope import Event
from lah_platform.events.rejection import Rejection
from lah_platform.landing.batch import Batch
from lah_platform.landing.loop import LandingLoop
from lah_platform.landing.records import Landed
from lah_platform.settings import Settings
from lah_platform.stores.kafka import KafkaSource, ensure_topic
from lah_platform.stores.landing import PostgresLanding

__all__ = ["decode_now", "run_landing"]

_log = logging.getLogger("lah.landing")
_REPORT_SECONDS = 5.0


def decode_now(raw: bytes | None, now: datetime) -> Event | Rejection:
    """The contract with its default limits."""
    return decode(raw, now=now)


class _Progress:
    """Tells the broker how far landing is, and the log what was landed since the last report."""

    def __init__(self, source: KafkaSource) -> None:
        self._source = source
        self._totals = {"received": 0, "stored": 0, "duplicate": 0, "dead_lettered": 0, "batches": 0}
        self._reported_at = time.monotonic()

    def __call__(self, batch: Batch, landed: Landed) -> None:
        self._source.commit({partition: covered.stop for partition, covered in batch.ranges.items()})
        self._totals["received"] += len(batch.records)
        self._totals["batches"] += 1
        for outcome in ("stored", "duplicate", "dead_lettered"):
            self._totals[outcome] += landed.count(outcome)
        seconds = time.monotonic() - self._reported_at
        if seconds >= _REPORT_SECONDS:
            _log.info("landed", extra={"figures": self._totals | {"seconds": round(seconds, 3)}})
            self._totals = dict.fromkeys(self._totals, 0)
            self._reported_at = time.monotonic()


def run_landing(settings: Settings, *, database_url: str, bootstrap: str) -> None:
    """Land the topic until SIGTERM or SIGINT; then commit what was read, and return."""
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    ensure_topic(bootstrap, settings.topic, settings.topic_partitions)
    store = PostgresLanding(database_url, series_limit=settings.series_limit)
    source = KafkaSource(bootstrap, settings.topic, adopt=store.adopt, group=settings.consumer_group)
    loop = LandingLoop(
        source,
        store,
        decoder=decode_now,
        clock=lambda: datetime.now(UTC),
        sleep=stopping.wait,
        batch_rows=settings.batch_rows,
        batch_seconds=settings.batch_seconds,
        on_landed=_Progress(source),
    )
    _log.info("landing topic %s", settings.topic)
    try:
        loop.run(stopping.is_set)
    finally:
        source.close()
        store.close()
    _log.info("landing stopped, everything read is committed")
