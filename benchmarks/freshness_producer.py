"""A producer that keeps a pace with events that happen now, in a process of its own (freshness starts it).

The events are those of `landing_workload`, stamped with the moment and an id of their own as they are produced. It says
"ready" on standard output, waits for a line on standard input, and writes down how many it had produced when. SIGTERM
ends it early, in the same order.
"""

import signal
import sys
import threading
import time
from datetime import UTC, datetime

import numpy as np

from benchmarks.landing_pacing import told_pace
from benchmarks.landing_workload import messages
from lah_platform.stores.kafka import make_producer

_TICK_SECONDS = 0.002
_MADE = 30_000  # messages that are made beforehand and sent again and again under further ids
# '{"event_id":"' and eight digits; the rest of the id; the timestamp: fixed places in every message
_ID_REST, _TIME, _AFTER_TIME = 21, 64, 91


def main() -> None:
    """Produce `seconds` worth of messages at `rate` a second; save moments (monotonic, s) and counts as .npy."""
    told = told_pace(__doc__)
    made = messages(_MADE, seed=told.seed, start=datetime.now(UTC))
    parts = [(key, value[_ID_REST:_TIME], value[_AFTER_TIME:]) for key, value in made]
    producer = make_producer(told.bootstrap)
    producer.list_topics(told.topic, timeout=10)
    total = round(told.rate * told.seconds)
    timeline = []
    told_to_end = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: told_to_end.set())
    print("ready", flush=True)
    sys.stdin.readline()

    started = time.monotonic()
    number = 0
    while number < total and not told_to_end.is_set():
        now = time.monotonic()
        stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ").encode()
        due = min(total, int((now - started) * told.rate) + 1)
        for n in range(number, due):
            turn, place = divmod(n, _MADE)
            key, id_rest, tail = parts[place]
            value = b'{"event_id":"%08x' % turn + id_rest + stamp + tail
            producer.produce(told.topic, value, key=key, partition=n % told.partitions)
        number = due
        timeline.append((now, number))
        producer.poll(0)
        time.sleep(_TICK_SECONDS)
    left = producer.flush(30)
    if left:
        raise SystemExit(f"{left} messages were not acknowledged")
    np.save(told.sent, np.array(timeline))


if __name__ == "__main__":
    main()
