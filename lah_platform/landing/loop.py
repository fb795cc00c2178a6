"""The landing loop: poll, decode, land, with decoding of one batch beside the commit of those before.

Belongs here: order, retries, what to do about a poison record. Not: how to talk to the broker or the database.
"""

import logging
import random
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from lah_platform.errors import Fenced, StoreUnavailable, Unstorable
from lah_platform.landing.batch import Batch, Decoder, prepare
from lah_platform.landing.fast_lane import FastLane
from lah_platform.landing.records import Landed, LandingStore, Poll, RecordSource

__all__ = ["Backoff", "LandingLoop", "land_or_bisect"]

_log = logging.getLogger("lah.landing")

_NOTE_EVERY = timedelta(seconds=2)  # an idle topic is polled twice a second: each note is an update per partition
_AHEAD = 1  # batches that wait behind the one being written: without, both sides wait for each other's slower batches
# After a pause a first batch is small, and each is at most twice the one before: the database has something to do soon
_FIRST_ROWS = 2_000
_KEEP_ALIVE_SECONDS = 1.0  # far below the broker's session timeout


@dataclass(frozen=True)
class Backoff:
    """Waiting between attempts: doubling from `first_seconds` to `most_seconds`, each drawn from [half, whole]."""

    first_seconds: float = 0.2
    most_seconds: float = 15.0

    def seconds(self, attempt: int, draw: Callable[[], float] = random.random) -> float:
        whole = min(self.first_seconds * 2.0 ** min(attempt, 30), self.most_seconds)
        return whole * (0.5 + draw() / 2)


def land_or_bisect(store: LandingStore, batch: Batch, encoded: Any = None) -> Landed:
    """Land the batch; when the database refuses its content, halve it down to the record and refuse only that."""
    try:
        return store.land(batch, encoded)
    except Unstorable as error:
        if len(batch.records) == 1:
            return store.land(batch.rejected(error.message))
        first, second = batch.split()
        return land_or_bisect(store, first) + land_or_bisect(store, second)


class LandingLoop:
    """Lands what the source brings until told to stop. `clock` gives UTC, `sleep` takes seconds."""

    def __init__(
        self,
        source: RecordSource,
        store: LandingStore,
        *,
        decoder: Decoder,
        lane: FastLane | None = None,
        clock: Callable[[], datetime],
        sleep: Callable[[float], object],
        batch_rows: int,
        batch_seconds: float,
        backoff: Backoff = Backoff(),
        on_landed: Callable[[Batch, Landed], None] = lambda batch, landed: None,  # noqa: ARG005
    ) -> None:
        self._source = source
        self._store = store
        self._decoder = decoder
        self._lane = lane
        self._clock = clock
        self._sleep = sleep
        self._batch_rows = batch_rows
        self._batch_seconds = batch_seconds
        self._backoff = backoff
        self._on_landed = on_landed
        self._noted_at = datetime.min.replace(tzinfo=UTC)
        self._has_failed = False

    def run(self, stop: Callable[[], bool]) -> None:
        """Poll and land until `stop()`; then land what was polled, and return.

        Raises SourceError when the log does not hold the stored offsets.
        """
        with ThreadPoolExecutor(1, thread_name_prefix="landing-writer") as writer:
            pending: deque[Future[bool]] = deque()
            rows = _FIRST_ROWS
            while not stop():
                poll = self._source.poll(min(rows, self._batch_rows), self._batch_seconds)
                rows = max(_FIRST_ROWS, 2 * len(poll.records))
                batch, encoded = self._encoded(poll) if poll.records else (None, None)
                if self._settled(pending, _AHEAD if len(poll.records) >= self._batch_rows else 0):
                    pending.append(writer.submit(self._write, batch, encoded, poll, stop))
                else:
                    self._start_over(pending)  # what was just polled comes after a batch that did not land
            if not self._settled(pending, 0):
                self._start_over(pending)  # so that positions say what is landed, by whomever

    def _encoded(self, poll: Poll) -> tuple[Batch, Any]:
        """The poll's batch, and what its transaction will write; None in its place when that cannot be said now."""
        batch = prepare(poll.records, poll.starts, decoder=self._decoder, received_at=self._clock(), lane=self._lane)
        try:
            return batch, self._store.encode(batch)
        except StoreUnavailable:
            return batch, None  # the writer waits for the database, and encodes then

    def _settled(self, pending: deque[Future[bool]], most: int) -> bool:
        """Wait until at most `most` writes are pending; False when one of them could not be done."""
        while pending:
            if pending[0].done():
                if not pending.popleft().result():
                    return False
            elif len(pending) <= most:
                return True
            else:
                wait([pending[0]], timeout=_KEEP_ALIVE_SECONDS)
                if not pending[0].done():
                    self._source.keep_alive()
        return True

    def _start_over(self, pending: deque[Future[bool]]) -> None:
        while pending:
            pending.popleft().result()  # none of them writes anything any more
        self._has_failed = False
        self._source.rewind()

    def _write(self, batch: Batch | None, encoded: Any, poll: Poll, stop: Callable[[], bool]) -> bool:
        """Whether everything is committed; when not, the source must go back to the stored offsets.

        Nothing that was polled after a failed batch is written: the database is not where that poll began.
        """
        if not self._has_failed:
            self._has_failed = not self._written(batch, encoded, poll, stop)
        return not self._has_failed

    def _written(self, batch: Batch | None, encoded: Any, poll: Poll, stop: Callable[[], bool]) -> bool:
        attempt = 0
        while True:
            try:
                if batch is not None:
                    landed = land_or_bisect(self._store, batch, encoded)
                    self._on_landed(batch, landed)
                    batch = None
                if poll.at_end and poll.at - self._noted_at >= _NOTE_EVERY:
                    self._store.note_caught_up(poll.at_end, poll.at)
                    self._noted_at = poll.at
            except Fenced as error:
                _log.warning("landing fenced: %s", error)
                return False
            except StoreUnavailable as error:
                seconds = self._backoff.seconds(attempt)
                figures = {"wait_s": round(seconds, 3), "reason": error.message}
                _log.warning("landing waits %.1f s: %s", seconds, error, extra={"figures": figures})
                self._sleep(seconds)
                attempt += 1
                encoded = None  # what it was made from may not be in the database that comes back
                if stop():
                    return False
            else:
                return True
