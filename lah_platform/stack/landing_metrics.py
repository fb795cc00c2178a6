"""What a landing process counts, and its Prometheus numbers. Everything is noted once a batch, nothing once a record.

Belongs here: totals, names of metrics, what a batch adds to them. Not: who reads them (`landing_report.py`), or the
ledger's totals, which are the API's (`/metrics/prometheus`): these here start at zero with the process.
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import get_args

from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from lah_platform.events.rejection import RejectionCode
from lah_platform.landing.batch import Batch
from lah_platform.landing.columns import from_us
from lah_platform.landing.records import Landed, Partition

__all__ = ["OUTCOMES", "BatchFigures", "LandingMetrics", "Totals", "batch_figures"]

OUTCOMES = ("received", "stored", "duplicate", "dead_lettered")
_CODES = frozenset(get_args(RejectionCode))
_OTHER = "other"  # label values stay bounded whatever a later version calls a rejection
_STORES_OWN_REFUSAL = "conflicting_timestamp"  # the one reason for which landing itself refuses a decoded event
_RECORDS_BUCKETS = (1, 10, 100, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000)
_SECONDS_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)


@dataclass(frozen=True)
class BatchFigures:
    """What one committed batch adds.

    `rejects` counts dead letters by code, `stops` is the offset that each partition is landed up to, `newest` the
    latest time (UTC) of its events, `seconds` the database's time for it.
    """

    received: int
    stored: int
    duplicate: int
    rejects: Mapping[str, int]
    stops: Mapping[Partition, int]
    newest: datetime | None
    seconds: float

    @property
    def dead_lettered(self) -> int:
        return sum(self.rejects.values())


def batch_figures(batch: Batch, landed: Landed, *, seconds: float) -> BatchFigures:
    """The figures of a committed batch."""
    dead = landed.count("dead_lettered")
    stored = landed.count("stored")
    rejects = Counter(each.code if each.code in _CODES else _OTHER for each in batch.rejections.values())
    if dead > rejects.total():
        rejects[_STORES_OWN_REFUSAL] += dead - rejects.total()
    times_us = batch.events.timestamps_us
    return BatchFigures(
        received=len(batch.records),
        stored=stored,
        duplicate=len(batch.records) - stored - dead,
        rejects=rejects,
        stops={partition: covered.stop for partition, covered in batch.ranges.items()},
        newest=from_us(int(times_us.max())) if len(times_us) else None,
        seconds=seconds,
    )


@dataclass
class Totals:
    """Counts since the process started."""

    outcomes: Counter[str] = field(default_factory=Counter)
    rejects: Counter[str] = field(default_factory=Counter)
    batches: int = 0
    backoffs: int = 0
    fenced: int = 0


class LandingMetrics(Collector):
    """The totals of one process, on one topic. Any thread may note, any thread may read.

    `clock` gives UTC. A number that is not known yet is left out, not zero.
    """

    def __init__(self, topic: str, *, clock: Callable[[], datetime]) -> None:
        self._topic = topic
        self._ends: Callable[[], Mapping[Partition, int]] = dict
        self._clock = clock
        self._lock = threading.Lock()
        self._totals = Totals()
        self._landed_to: dict[Partition, int] = {}
        self._caught_up_at: dict[Partition, datetime] = {}
        self._newest: datetime | None = None
        self._database_is_up = True
        self.registry = CollectorRegistry()
        self.registry.register(self)
        ProcessCollector(registry=self.registry)
        self._batch_records = Histogram(
            "lah_landing_batch_records",
            "Records in a committed batch",
            ["topic"],
            buckets=_RECORDS_BUCKETS,
            registry=self.registry,
        ).labels(topic)
        self._batch_seconds = Histogram(
            "lah_landing_batch_seconds",
            "The database's time for a committed batch",
            ["topic"],
            buckets=_SECONDS_BUCKETS,
            registry=self.registry,
        ).labels(topic)

    def watch(self, ends: Callable[[], Mapping[Partition, int]]) -> None:
        """Ask `ends` for the log's end of every partition that the process has now, as of the last fetch."""
        self._ends = ends

    def landed(self, figures: BatchFigures) -> None:
        """A batch is committed."""
        with self._lock:
            self._database_is_up = True
            self._totals.batches += 1
            self._totals.rejects.update(figures.rejects)
            for outcome in OUTCOMES:
                self._totals.outcomes[outcome] += getattr(figures, outcome)
            self._landed_to |= figures.stops
            if figures.newest is not None:
                self._newest = max(self._newest or figures.newest, figures.newest)
        self._batch_records.observe(figures.received)
        self._batch_seconds.observe(figures.seconds)

    def adopted(self, partition: Partition, offset: int) -> None:
        """The process goes on from this offset."""
        with self._lock:
            self._database_is_up = True
            self._landed_to[partition] = offset

    def caught_up(self, partitions: frozenset[Partition], at: datetime) -> None:
        """These partitions are landed to their end as of `at`."""
        with self._lock:
            self._database_is_up = True
            self._caught_up_at |= dict.fromkeys(partitions, at)

    def fenced(self) -> None:
        """Another process has moved an offset."""
        with self._lock:
            self._totals.fenced += 1

    def database_away(self) -> None:
        """PostgreSQL did not answer, or not in a way that landing can go on with."""
        with self._lock:
            self._database_is_up = False

    def backed_off(self) -> None:
        """Landing waits before it tries again."""
        with self._lock:
            self._totals.backoffs += 1

    def totals(self) -> Totals:
        """A copy of the totals."""
        with self._lock:
            each = self._totals
            return Totals(each.outcomes.copy(), each.rejects.copy(), each.batches, each.backoffs, each.fenced)

    def not_landed(self, ends: Mapping[Partition, int]) -> dict[Partition, int]:
        """Records before each of these offsets that this process has not landed."""
        with self._lock:
            return {p: max(0, end - self._landed_to[p]) for p, end in ends.items() if p in self._landed_to}

    def lag_records(self) -> dict[Partition, int]:
        """Records in the log and not landed, of every partition whose end is known."""
        return self.not_landed(self._ends())

    def lag_seconds(self) -> dict[Partition, float]:
        """Since landing last stood at the log's end, of every partition where it has."""
        now, ends = self._clock(), self._ends()
        with self._lock:
            return {p: (now - at).total_seconds() for p, at in self._caught_up_at.items() if p in ends}

    @property
    def newest_event_age_s(self) -> float | None:
        newest = self._newest
        return None if newest is None else (self._clock() - newest).total_seconds()

    @property
    def database_is_up(self) -> bool:
        return self._database_is_up

    def collect(self) -> Iterator[Metric]:
        """The numbers as of now, for Prometheus."""
        totals, topic = self.totals(), self._topic
        records = CounterMetricFamily(
            "lah_landing_records", "Records landed by this process, by outcome", labels=["topic", "outcome"]
        )
        for outcome in OUTCOMES:
            records.add_metric([topic, outcome], totals.outcomes[outcome])
        yield records
        rejected = CounterMetricFamily(
            "lah_landing_rejected_records", "Records refused by this process, by reason", labels=["topic", "code"]
        )
        for code, count in sorted(totals.rejects.items()):
            rejected.add_metric([topic, code], count)
        yield rejected
        yield CounterMetricFamily("lah_landing_backoffs", "Waits for PostgreSQL", value=totals.backoffs)
        yield CounterMetricFamily("lah_landing_fenced", "Batches that another process had landed", value=totals.fenced)
        up = "Whether PostgreSQL took the last thing it was asked"
        yield GaugeMetricFamily("lah_landing_database_up", up, value=float(self._database_is_up))
        lags: tuple[tuple[str, str, Mapping[Partition, float]], ...] = (
            ("lah_landing_lag_records", "Records in the log and not landed", self.lag_records()),
            ("lah_landing_lag_seconds", "Since landing last stood at the log's end", self.lag_seconds()),
        )
        for name, text, by_partition in lags:
            lag = GaugeMetricFamily(name, text, labels=["topic", "partition"])
            for partition, value in sorted(by_partition.items()):
                lag.add_metric([partition.topic, str(partition.number)], value)
            yield lag
        age = GaugeMetricFamily(
            "lah_landing_newest_event_age_seconds", "Age of the newest event landed", labels=["topic"]
        )
        if (seconds := self.newest_event_age_s) is not None:
            age.add_metric([topic], seconds)
        yield age
