"""One landing process: the loop with its real ends, until it is asked to stop."""

import gc
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime

from lah_platform.errors import StoreUnavailable
from lah_platform.events.decode import decode
from lah_platform.events.envelope import Event
from lah_platform.events.rejection import Rejection
from lah_platform.landing.batch import Batch
from lah_platform.landing.fast_lane import FastLane
from lah_platform.landing.loop import LandingLoop
from lah_platform.landing.records import Landed, Partition
from lah_platform.landing.shapes import ShapeBook
from lah_platform.privacy.redaction import redactor
from lah_platform.settings import Settings
from lah_platform.stack.landing_metrics import LandingMetrics
from lah_platform.stack.landing_report import LandingReport, serving
from lah_platform.stack.observed_landing import ObservedLanding
from lah_platform.stores.kafka import ensure_topic
from lah_platform.stores.kafka_source import KafkaSource
from lah_platform.stores.landing import PostgresLanding
from lah_platform.stores.master_keys import hub_key_ring

__all__ = ["NOT_LANDED_STATUS", "decode_now", "run_landing"]

_log = logging.getLogger("lah.landing")
NOT_LANDED_STATUS = 75
"""EX_TEMPFAIL of sysexits.h: landing was stopped with records read and not landed."""


def decode_now(raw: bytes | None, now: datetime) -> Event | Rejection:
    """The contract with its default limits."""
    return decode(raw, now=now)


def run_landing(settings: Settings, *, database_url: str, bootstrap: str) -> int:
    """Land the topic until SIGTERM or SIGINT; then commit what was read, and return.

    Returns how many records were read and not landed: 0 unless the database is away. They are in the broker, and the
    next start reads them again. A process that has not ended `stop_seconds` after it heard the signal ends by itself,
    with status NOT_LANDED_STATUS; it hears it when a poll returns, `batch_seconds` later at most.
    """
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    _tune_interpreter()
    ensure_topic(bootstrap, settings.topic, settings.topic_partitions)
    metrics = LandingMetrics(settings.topic, clock=_now)
    store = PostgresLanding(
        database_url,
        series_limit=settings.series_limit,
        strict_window=settings.strict_window,
        keys=hub_key_ring(settings),
        series_tags=settings.series_tags,
        redact=redactor(),
    )
    landing = ObservedLanding(store, metrics, sleep=stopping.wait, stop=stopping.is_set)
    not_landed: Mapping[Partition, int] = {}
    with _deadline(stopping, settings.stop_seconds), closing(store):
        try:
            source = KafkaSource(
                bootstrap,
                settings.topic,
                adopt=landing.adopt,
                group=settings.consumer_group,
                settings=dict(settings.kafka_settings),
            )
            with closing(source):
                metrics.watch(source.ends)
                with (
                    serving(metrics, host=settings.metrics_host, port=settings.metrics_port),
                    LandingReport(metrics).writing(),
                ):
                    _log.info("landing topic %s", settings.topic)
                    try:
                        _loop(settings, source, landing).run(stopping.is_set)
                    finally:
                        not_landed = {p: count for p, count in metrics.not_landed(source.positions()).items() if count}
        except StoreUnavailable as error:
            if not stopping.is_set():
                raise
            figures = {"reason": error.message}
            _log.warning("asked to stop while PostgreSQL is away: %s", error, extra={"figures": figures})
    return _ended(not_landed)


def _tune_interpreter() -> None:
    """What is there at the start stays; a batch makes a hundred thousand objects and no cycles among them."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(200_000, 20, 20)
    sys.setswitchinterval(0.001)  # the thread that talks to the database must not wait 5 ms for each of its turns


def _now() -> datetime:
    return datetime.now(UTC)


def _loop(settings: Settings, source: KafkaSource, landing: ObservedLanding) -> LandingLoop:
    def tell_broker(batch: Batch, _landed: Landed) -> None:
        source.commit({partition: covered.stop for partition, covered in batch.ranges.items()})

    return LandingLoop(
        source,
        landing,
        decoder=decode_now,
        lane=FastLane(ShapeBook(settings.series_tags)),
        clock=_now,
        sleep=landing.wait,
        batch_rows=settings.batch_rows,
        batch_seconds=settings.batch_seconds,
        on_landed=tell_broker,
    )


@contextmanager
def _deadline(stopping: threading.Event, seconds: float) -> Iterator[None]:
    """End the process when it is still there `seconds` after `stopping`: PostgreSQL may hold a statement for ever.

    Nothing is lost by that: what is not committed is in the broker.
    """
    ended = threading.Event()

    def watch() -> None:
        stopping.wait()
        if not ended.wait(seconds):
            _log.error("landing did not end in %g s: what is not committed is landed by the next start", seconds)
            os._exit(NOT_LANDED_STATUS)

    thread = threading.Thread(target=watch, name="landing-deadline", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        stopping.set()
        thread.join()


def _ended(not_landed: Mapping[Partition, int]) -> int:
    if not not_landed:
        _log.info("landing stopped, everything read is committed")
        return 0
    count = sum(not_landed.values())
    figures = {"not_landed": {str(partition.number): not_landed[partition] for partition in sorted(not_landed)}}
    _log.warning(
        "landing stopped, %d records were read and not landed: the next start reads them again",
        count,
        extra={"figures": figures},
    )
    return count
