"""Latency from produce to committed, at a given pace: a message is committed when the stored offset has passed it.

The stored offsets are looked at every 5 ms on a connection of its own: a latency is up to 5 ms too long and never too
short. The producer's own batching (`linger.ms`) is in it: it is the time from the call of `produce`.
"""

import subprocess
import sys
import time

import numpy as np
from numpy.typing import NDArray

from benchmarks.landing_process import landing, wait_adopted
from benchmarks.landing_services import PARTITIONS, Services
from lah_platform.stores.kafka import ensure_topic

__all__ = ["latencies_ms"]

_POLL_SECONDS = 0.005
_WARM_UP_SECONDS = 2.0
_GRACE_SECONDS = 30.0


def latencies_ms(services: Services, *, rate: float, seconds: float, seed: int) -> NDArray[np.float64]:
    """Milliseconds of every message sent after the first two seconds. Raises RuntimeError when some never land."""
    topic, saved = services.topic("latency"), services.folder / "sent.npy"
    ensure_topic(services.bootstrap, topic, PARTITIONS)
    command = [sys.executable, "-m", "benchmarks.landing_pacing", services.bootstrap, topic]
    command += [f"--rate={rate}", f"--seconds={seconds + _WARM_UP_SECONDS}", f"--seed={seed}", f"--sent={saved}"]
    command += [f"--partitions={PARTITIONS}"]
    with services.connect() as connection:
        services.empty(connection)
        with landing(services, topic) as children:
            wait_adopted(connection, topic, children)
            total = round(rate * (seconds + _WARM_UP_SECONDS))
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as producer:
                try:
                    assert producer.stdout is not None
                    producer.stdout.readline()
                    deadline = time.monotonic() + seconds + _WARM_UP_SECONDS + _GRACE_SECONDS
                    seen: list[tuple[float, list[int]]] = []
                    query = "select array_agg(next_offset order by partition) from landing_offsets where topic = %s"
                    while not seen or sum(seen[-1][1]) < total:
                        row = connection.execute(query, [topic]).fetchone()
                        now = time.monotonic()
                        if row is not None and (not seen or row[0] != seen[-1][1]):
                            seen.append((now, row[0]))
                        if now > deadline or children[0].return_code is not None or producer.poll():
                            raise RuntimeError(f"{sum(seen[-1][1])} of {total} paced messages were landed")
                        time.sleep(_POLL_SECONDS)
                    producer.wait(_GRACE_SECONDS)
                finally:
                    producer.kill()
    return _matched(np.load(saved), seen)


def _matched(sent: NDArray[np.float64], seen: list[tuple[float, list[int]]]) -> NDArray[np.float64]:
    moments = np.array([moment for moment, _ in seen])
    found = []
    for partition in range(PARTITIONS):
        mine = sent[partition::PARTITIONS]
        stored = np.array([offsets[partition] for _, offsets in seen])
        # the first look that found more than `offset` stored is when record `offset` was seen committed
        committed = moments[np.searchsorted(stored, np.arange(mine.size), side="right")]
        found.append((committed - mine)[mine >= sent[0] + _WARM_UP_SECONDS])
    return np.concatenate(found) * 1000
