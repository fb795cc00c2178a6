"""Events produced at a pace beside a running hub, and when its tables count them.

A view is looked at four times a second: how many events do the minutes of this run count? The k-th event produced is
visible when the view counts k for the first time, so a figure is up to a quarter of a second too long. Batches of
different partitions may pass one another by the time of one landing transaction; k counts them as if they did not.
"""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.hub import Hub

__all__ = ["LANDED", "VISIBLE", "Watcher", "paced_producer"]

_LOOK_SECONDS = 0.25
VISIBLE = """
select coalesce(sum(count), 0)::bigint from {view} where metric = 'events' and bucket_start >= date_trunc('minute', %s)
"""
LANDED = "select coalesce(sum(next_offset), 0)::bigint from landing_offsets"


class Watcher(threading.Thread):
    """Looks at a count again and again on a connection of its own; keeps when each larger one was first seen."""

    def __init__(self, hub: Hub, query: str, arguments: list[object]) -> None:
        super().__init__(daemon=True)
        self._hub, self._query, self._arguments = hub, query, arguments
        self._ended = threading.Event()
        self.seen: list[tuple[float, int]] = []
        self.looks = 0
        self.seconds = 0.0
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            with self._hub.connect() as connection:
                while not self._ended.is_set():
                    began = time.monotonic()
                    row = connection.execute(self._query.encode(), self._arguments).fetchone()
                    now = time.monotonic()
                    self.looks += 1
                    self.seconds += now - began
                    if row is not None and row[0] > self.most:
                        self.seen.append((now, row[0]))
                    self._ended.wait(_LOOK_SECONDS)
        except Exception as error:
            self.error = error

    @property
    def most(self) -> int:
        return self.seen[-1][1] if self.seen else 0

    def stop(self) -> None:
        self._ended.set()
        self.join(10)

    def behind_seconds(self, produced: NDArray[np.float64], skip_seconds: float) -> NDArray[np.float64]:
        """For every event produced after the first `skip_seconds`: from produce until it was counted."""
        moments, counts = produced[:, 0], produced[:, 1]
        number = np.arange(1, int(counts[-1]) + 1)
        sent = moments[np.searchsorted(counts, number)]
        visible = np.array([moment for moment, _ in self.seen])[np.searchsorted([n for _, n in self.seen], number)]
        return (visible - sent)[sent >= moments[0] + skip_seconds]


@contextmanager
def paced_producer(hub: Hub, rate: float, seconds: float, seed: int) -> Iterator[tuple["subprocess.Popen[str]", Path]]:
    """A producer that waits for a line on its standard input, and where it saves when it had produced how many."""
    saved = hub.settings.home / "sent.npy"
    command = [sys.executable, "-m", "benchmarks.freshness_producer", hub.bootstrap, hub.settings.topic]
    command += [f"--rate={rate}", f"--seconds={seconds}", f"--seed={seed}", f"--sent={saved}"]
    command += [f"--partitions={hub.settings.topic_partitions}"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as producer:
        try:
            assert producer.stdout is not None
            producer.stdout.readline()
            yield producer, saved
        finally:
            producer.kill()
