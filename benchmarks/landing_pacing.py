"""A producer that keeps a pace, in a process of its own: `python -m benchmarks.landing_pacing` (latency starts it).

It makes all messages first, says "ready" on standard output, produces each at its moment in turn over the partitions,
and writes down when: message n is offset n // partitions of partition n % partitions, in an empty topic.
"""

import argparse
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from benchmarks.landing_workload import messages
from lah_platform.stores.kafka import make_producer

__all__ = ["told_pace"]

_TICK_SECONDS = 0.001


def told_pace(description: str | None) -> argparse.Namespace:
    """What the command line tells a producer that keeps a pace."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("bootstrap")
    parser.add_argument("topic")
    parser.add_argument("--partitions", type=int, required=True)
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--sent", type=Path, required=True)
    return parser.parse_args()


def main() -> None:
    """Produce `seconds` worth of messages at `rate` a second and save the moments (monotonic, seconds) as .npy."""
    told = told_pace(__doc__)
    batch = messages(round(told.rate * told.seconds), seed=told.seed, start=datetime.now(UTC))
    producer = make_producer(told.bootstrap)
    producer.list_topics(told.topic, timeout=10)  # connect before the clock runs
    sent = np.empty(len(batch))
    print("ready", flush=True)

    started = time.monotonic()
    number = 0
    while number < len(batch):
        now = time.monotonic()
        due = min(len(batch), int((now - started) * told.rate) + 1)
        for n in range(number, due):
            key, value = batch[n]
            producer.produce(told.topic, value, key=key, partition=n % told.partitions)
        sent[number:due] = now
        number = due
        producer.poll(0)
        time.sleep(_TICK_SECONDS)
    left = producer.flush(30)
    if left:
        raise SystemExit(f"{left} messages were not acknowledged")
    np.save(told.sent, sent)


if __name__ == "__main__":
    main()
