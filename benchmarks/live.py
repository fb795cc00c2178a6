"""From produce to a live stream's reader, through the running hub, beside polling the rollups by SQL in the same run.

`python -m benchmarks.live --json` (2 minutes; `--quick` within one): 10,000 events/s that happen now; one reader of
`/api/v1/stream?open=true` adds up the minutes it is told, 19 more read what they are sent and one reads nothing at all.

The k-th event produced has reached the reader when the minutes it was told count k. `noted` is from the note in
the database to the reader.
"""

import argparse
import json
import selectors
import socket
import threading
import time
from datetime import UTC, datetime
from urllib.parse import urlsplit

import numpy as np
import psutil

from benchmarks.freshness_watch import VISIBLE, Watcher, paced_producer
from benchmarks.hub import Hub, running_hub
from benchmarks.hub_spent import cpu_seconds_by_part
from benchmarks.report import report
from lah_platform.stores.keys import create_key, server_secret

_MOST_SECONDS = 300
_DRAIN_SECONDS = 60
_SKIP_SECONDS = 5
_OTHERS = 19
_PERCENTILES = (50, 95, 99)


class StreamReader(threading.Thread):
    """Adds up the minutes that a stream tells, as a `Watcher` does those it looks at."""

    def __init__(self, hub: Hub, key: str) -> None:
        super().__init__(daemon=True)
        self._socket = _opened(hub, key)
        self.seen: list[tuple[float, int]] = []
        self.noted_seconds: list[float] = []
        self.messages = self.gaps = 0
        self.error: Exception | None = None

    def run(self) -> None:
        counts: dict[tuple[str, int], int] = {}
        total, event, began = 0, "", f"{datetime.now(UTC):%Y-%m-%dT%H:%M:00Z}"
        try:
            for line in self._socket.makefile("rb"):
                if line.startswith(b"event: "):
                    event = line[7:].strip().decode()
                elif line.startswith(b"data: "):
                    self.messages += 1
                    self.gaps += event == "gap"
                    said = json.loads(line[6:])
                    if event != "rollup" or said["window"] != "1m" or said["bucket_start"] < began:
                        continue
                    noted = datetime.fromisoformat(said["noted_at"]).timestamp()
                    self.noted_seconds.append(time.time() - noted)
                    key, count = (said["bucket_start"], said["series_id"]), said["item"]["measures"]["count"]
                    total += count - counts.get(key, 0)
                    counts[key] = count
                    if not self.seen or total > self.seen[-1][1]:
                        self.seen.append((time.monotonic(), total))
        except Exception as error:
            self.error = error

    @property
    def most(self) -> int:
        return self.seen[-1][1] if self.seen else 0


def _opened(hub: Hub, key: str, query: str = "open=true&metric=events&window=1m") -> socket.socket:
    where = urlsplit(hub.api_url)
    opened = socket.create_connection((where.hostname, where.port), timeout=60)
    opened.sendall(f"GET /api/v1/stream?{query} HTTP/1.0\r\nHost: x\r\nX-API-Key: {key}\r\n\r\n".encode())
    return opened


def _read_on(sockets: list[socket.socket], ended: threading.Event, counted: list[int]) -> None:
    with selectors.DefaultSelector() as selector:
        for each in sockets:
            selector.register(each, selectors.EVENT_READ)
        while not ended.is_set():
            for key, _ in selector.select(0.5):
                counted[0] += len(key.fileobj.recv(1 << 20))  # type: ignore[union-attr]


def main() -> None:
    """Measure and print; ends by itself within five minutes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true", help="20 seconds instead of 60")
    parser.add_argument("--rate", type=float, default=10_000, help="events a second")
    parser.add_argument("--seconds", type=float, help="how long is produced")
    parser.add_argument("--seed", type=int, default=1)
    told = parser.parse_args()
    seconds = told.seconds or (20 if told.quick else 60)
    with running_hub(most_seconds=_MOST_SECONDS) as hub:
        elapsed, scores = _measure(hub, told.rate, seconds, told.seed)
    report(
        "live",
        [told.rate * seconds / elapsed],
        {},
        unit=f"events/s from the first produced to the last told, {told.rate:,.0f}/s produced",
        as_json=told.json,
        scores=scores,
    )


def _measure(hub: Hub, rate: float, seconds: float, seed: int) -> tuple[float, dict[str, float]]:
    secret = server_secret(hub.settings.home)
    with hub.connect() as connection:
        keys = [
            create_key(connection, secret, tenant="*", role="viewer", label=f"{n}", actor="benchmark")[1]
            for n in range(3)
        ]
    reader = StreamReader(hub, keys[0])
    others = [_opened(hub, keys[1 + n // 10]) for n in range(_OTHERS)]
    idle = _opened(hub, keys[0])
    watcher = Watcher(hub, VISIBLE.format(view="metrics_1m"), [datetime.now(UTC)])
    ended, counted, total = threading.Event(), [0], round(rate * seconds)
    drain = threading.Thread(target=_read_on, args=(others, ended, counted), daemon=True)
    with paced_producer(hub, rate, seconds, seed) as (producer, saved):
        before, began = cpu_seconds_by_part(hub, {}), time.monotonic()
        for each in (reader, watcher, drain):
            each.start()
        assert producer.stdin is not None
        producer.stdin.write("\n")
        producer.stdin.flush()
        while min(reader.most, watcher.most) < total:
            hub.check()
            if reader.error or watcher.error or producer.poll():
                raise RuntimeError(f"it ended early: {reader.error}, {watcher.error}, producer {producer.poll()}")
            if time.monotonic() > began + seconds + _DRAIN_SECONDS:
                raise RuntimeError(f"{reader.most} of {total} were told, {watcher.most} are in the rollup")
            time.sleep(0.2)
        elapsed = time.monotonic() - began
        after, memory = cpu_seconds_by_part(hub, {}), psutil.Process(hub.pids()["api"]).memory_info().rss
        ended.set()
        drain.join()
        watcher.stop()
        produced = np.load(saved)
    idle.close()
    scores: dict[str, float] = {}
    for name, waits in (
        ("stream", Watcher.behind_seconds(reader, produced, _SKIP_SECONDS)),  # type: ignore[arg-type]
        ("sql_polled", watcher.behind_seconds(produced, _SKIP_SECONDS)),
        ("noted", np.array(reader.noted_seconds)),
    ):
        scores |= {f"{name}_p{percent}_s": float(np.percentile(waits, percent)) for percent in _PERCENTILES}
        scores[f"{name}_most_s"] = float(waits.max())
    return elapsed, scores | {
        "messages_a_second": reader.messages / elapsed,
        "gaps": float(reader.gaps),
        "readers": float(len(others) + 2),
        "others_mb": counted[0] / 1e6,
        "api_cpu_s": after["api"] - before["api"],
        "api_memory_mb": memory / 1e6,
    }


if __name__ == "__main__":
    main()
