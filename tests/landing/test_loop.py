"""The loop: whatever fails on the way, records are landed once, in order, and nothing after a batch that was not."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import cycle
from threading import Semaphore
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from lah_platform.errors import Fenced, StoreUnavailable
from lah_platform.landing.batch import Batch
from lah_platform.landing.loop import LandingLoop
from lah_platform.landing.records import Landed, Partition, Poll, Record, Records
from lah_platform.stack.landing_process import decode_now

_PARTITIONS = [Partition("t", "one", number) for number in range(2)]
_NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)
_END = 40  # records of each


class _Table:
    """A store that keeps the next offsets, and fails as told: one item of `failures` a call."""

    def __init__(self, failures: Iterator[str]) -> None:
        self.next = dict.fromkeys(_PARTITIONS, 0)
        self.landed: dict[Partition, list[int]] = {partition: [] for partition in _PARTITIONS}
        self.caught_up: set[Partition] = set()
        self.said_too_early: set[Partition] = set()
        self._failures = failures

    def encode(self, batch: Batch) -> Any:  # noqa: ARG002
        if next(self._failures, "") == "away":
            raise StoreUnavailable("away", "wait")
        return "encoded"

    def land(self, batch: Batch, encoded: Any = None) -> Landed:  # noqa: ARG002
        failure = next(self._failures, "")
        if failure == "away":
            raise StoreUnavailable("away", "wait")
        for partition, covered in batch.ranges.items():
            if failure == "other owner" and covered.start == self.next[partition]:
                self._move(partition, covered.start + 1)  # another process lands one record of them
            if covered.start != self.next[partition]:
                raise Fenced(partition.topic, partition.number, covered.start)
        for partition, covered in batch.ranges.items():
            self._move(partition, covered.stop)
        if failure == "away after":
            raise StoreUnavailable("it broke after the commit", "wait")
        return Landed(np.zeros(len(batch.records), np.int8))

    def _move(self, partition: Partition, stop: int) -> None:
        self.landed[partition] += range(self.next[partition], stop)
        self.next[partition] = stop

    def note_caught_up(self, partitions: frozenset[Partition], at: datetime) -> None:  # noqa: ARG002
        self.said_too_early |= {each for each in partitions if self.next[each] < _END}
        self.caught_up |= partitions


class _Log:
    """A source of `_END` records in each partition; a poll brings what the next of `picks` says."""

    def __init__(self, table: _Table, picks: list[tuple[int, int]]) -> None:
        self._table = table
        self._picks = cycle(picks)
        self._next = dict.fromkeys(_PARTITIONS, 0)
        self.polls = Semaphore(0)

    def poll(self, max_records: int, seconds: float) -> Poll:  # noqa: ARG002
        self.polls.release()
        records, starts, left = [], {}, max_records
        for partition, wanted in zip(_PARTITIONS, next(self._picks), strict=True):
            start = self._next[partition]
            stop = min(start + min(wanted, left), _END)
            if start < stop:
                starts[partition], self._next[partition], left = start, stop, left - (stop - start)
                records += [Record(partition, offset, None, None) for offset in range(start, stop)]
        at_end = frozenset(partition for partition in _PARTITIONS if self._next[partition] == _END)
        return Poll(Records.of(records), starts, at_end, _NOW + timedelta(seconds=3 * sum(self._next.values())))

    def rewind(self) -> None:
        self._next = dict(self._table.next)

    def keep_alive(self) -> None: ...


@settings(deadline=None, max_examples=400)
@given(
    failures=st.lists(st.sampled_from(["", "", "away", "away after", "other owner"]), max_size=40),
    picks=st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), max_size=6),
    batch_rows=st.sampled_from([5, 20]),
)
def test_every_record_is_landed_once_in_order_whatever_fails(
    failures: list[str], picks: list[tuple[int, int]], batch_rows: int
) -> None:
    table = _Table(iter(failures))
    _run(_Log(table, [*picks, (20, 20)]), table, batch_rows)
    assert table.landed == {partition: list(range(_END)) for partition in _PARTITIONS}
    assert not table.said_too_early


class _FencedBesideTheNext(_Table):
    """The end of the first partition is refused while the batch after it waits to be written."""

    log: _Log
    has_waited = False

    def land(self, batch: Batch, encoded: Any = None) -> Landed:
        covered = batch.ranges.get(_PARTITIONS[0])
        if covered is not None and covered.start and not self.has_waited:
            self.has_waited = True
            for _ in range(4):  # with the fourth poll the third one's batch is waiting
                assert self.log.polls.acquire(timeout=10)
            self._move(_PARTITIONS[0], covered.start + 1)
        return super().land(batch, encoded)


def test_a_batch_that_waits_behind_a_refused_one_says_nothing_about_the_logs_end() -> None:
    table = _FencedBesideTheNext(iter([]))
    table.log = _Log(table, [(20, 0), (20, 0), (0, 20), (20, 20)])
    _run(table.log, table, batch_rows=20)
    assert table.landed == {partition: list(range(_END)) for partition in _PARTITIONS}
    assert not table.said_too_early


def _run(log: _Log, table: _Table, batch_rows: int) -> None:
    loop = LandingLoop(
        log,
        table,
        decoder=decode_now,
        clock=lambda: _NOW,
        sleep=lambda _seconds: None,
        batch_rows=batch_rows,
        batch_seconds=0.0,
    )
    left = iter(range(1000))
    loop.run(lambda: next(left, None) is None or table.caught_up == set(_PARTITIONS))
