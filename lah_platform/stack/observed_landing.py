"""The landing store as a process uses it: what becomes of every call is noted, and adopting waits for the database."""

import logging
import time
from collections.abc import Callable
from datetime import datetime

from lah_platform.errors import Fenced, StoreUnavailable
from lah_platform.landing.batch import Batch
from lah_platform.landing.loop import Backoff
from lah_platform.landing.records import Landed, Partition
from lah_platform.stack.landing_metrics import LandingMetrics, batch_figures
from lah_platform.stores.landing import EncodedBatch, PostgresLanding

__all__ = ["ObservedLanding"]

_log = logging.getLogger("lah.landing")
_BACKOFF = Backoff()


class ObservedLanding:
    """A LandingStore. `sleep` takes seconds and may end early; `stop` says whether to give up waiting."""

    def __init__(
        self,
        store: PostgresLanding,
        metrics: LandingMetrics,
        *,
        sleep: Callable[[float], object],
        stop: Callable[[], bool],
        backoff: Backoff = _BACKOFF,
    ) -> None:
        self._store = store
        self._metrics = metrics
        self._sleep = sleep
        self._stop = stop
        self._backoff = backoff

    def adopt(self, partition: Partition, first_offset: int) -> int:
        """See PostgresLanding, but waits for a database that is away: a rebalance meanwhile must not end the process.

        Raises StoreUnavailable when it is still away and the process is asked to stop.
        """
        attempt = 0
        while True:
            try:
                offset = self._store.adopt(partition, first_offset)
            except StoreUnavailable as error:
                self._metrics.database_away()
                if self._stop():
                    raise
                seconds = self._backoff.seconds(attempt)
                figures = {"wait_s": round(seconds, 3), "reason": error.message}
                _log.warning("adopting a partition waits %.1f s: %s", seconds, error, extra={"figures": figures})
                self.wait(seconds)
                attempt += 1
            else:
                self._metrics.adopted(partition, offset)
                return offset

    def encode(self, batch: Batch) -> EncodedBatch:
        """See LandingStore."""
        return self._store.encode(batch)

    def land(self, batch: Batch, encoded: EncodedBatch | None = None) -> Landed:
        """See LandingStore."""
        started = time.monotonic()
        try:
            landed = self._store.land(batch, encoded)
        except StoreUnavailable:
            self._metrics.database_away()
            raise
        except Fenced:
            self._metrics.fenced()
            raise
        self._metrics.landed(batch_figures(batch, landed, seconds=time.monotonic() - started))
        return landed

    def note_caught_up(self, partitions: frozenset[Partition], at: datetime) -> None:
        """See LandingStore."""
        try:
            self._store.note_caught_up(partitions, at)
        except StoreUnavailable:
            self._metrics.database_away()
            raise
        self._metrics.caught_up(partitions, at)

    def wait(self, seconds: float) -> None:
        """Sleep between two attempts, counted."""
        self._metrics.backed_off()
        self._sleep(seconds)
