"""A year of days computed again in one run through the real daemon, and what live work and the doors feel of it.

`python -m benchmarks.backfill_year --json` (minutes; `--quick`: 30 days, within two): the hub as `lah up` starts it; a
generated day of events is copied to each day of the year, then `lah backfill rollups` asks for all of them at once,
while a producer goes on with 200 events/s of now.
"""

import argparse
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

import numpy as np
import psutil
from psycopg import sql

from benchmarks.freshness_watch import VISIBLE, Watcher, paced_producer
from benchmarks.hub import Hub, running_hub
from benchmarks.hub_spent import SensorTick, peak_rss_bytes, sensor_ticks
from benchmarks.landing_workload import messages
from benchmarks.report import report
from lah_platform.stack.lineage import materialized_at
from lah_platform.stores.backfill_progress import progress_of
from lah_platform.stores.embedded.process import wait_until
from lah_platform.stores.kafka import make_producer, produce_all
from lah_platform.stores.postgres import Connection
from lah_platform.stores.queries import queries

_MOST_SECONDS = 590
_SENSOR = "landing_progress"
_LIVE_RATE = 200.0
_BEFORE_SECONDS = 20.0
_ASK_SECONDS = 1.0
_COPY = """
insert into events ({columns})
select %(day)s::timestamp at time zone 'UTC' + (row_number() over () - 0.5) * interval '1 day' / %(events)s,
       gen_random_uuid(), {others}
from template
"""


@dataclass
class Door(threading.Thread):
    """Asks something once a second and keeps how long each answer took; what fails took for ever."""

    ask: Callable[[], object]
    answers: list[tuple[float, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(daemon=True)
        self._ended = threading.Event()

    __hash__ = threading.Thread.__hash__

    def run(self) -> None:
        while not self._ended.is_set():
            began = time.time()
            try:
                self.ask()
                self.answers.append((began, time.time() - began))
            except OSError:
                self.answers.append((began, float("inf")))
            self._ended.wait(_ASK_SECONDS)

    def stop(self) -> None:
        self._ended.set()
        self.join(30)

    def most_seconds(self, since: float, until: float) -> float:
        return max((took for began, took in self.answers if since <= began <= until), default=0.0)


@dataclass
class Backfill:
    """One backfill as it went: moments (Unix seconds) and the most memory of its run's process."""

    days: int
    asked: float
    computing: float = 0.0
    computed: float = 0.0
    ended: float = 0.0
    run_peak_bytes: int = 0
    seen: list[tuple[float, int]] = field(default_factory=list)


def main() -> None:
    """Measure and print; ends by itself within 10 minutes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true", help="30 days")
    parser.add_argument("--days", type=int, help="how many days (365)")
    parser.add_argument("--events", type=int, default=3000, help="events a day")
    parser.add_argument("--seed", type=int, default=1)
    told = parser.parse_args()
    days = told.days or (30 if told.quick else 365)
    with running_hub(most_seconds=_MOST_SECONDS) as hub, hub.connect() as connection:
        last = datetime.now(UTC).date() - timedelta(days=1)
        first = last - timedelta(days=days - 1)
        _fill(hub, connection, first, days, told.events, told.seed)
        _measure(hub, connection, first, last, told)


def _fill(hub: Hub, connection: Connection, first: date, days: int, events: int, seed: int) -> None:
    """A day's worth of events landed as any, then copied to every day of the range: no partials, no ledger."""
    began = time.monotonic()
    made = messages(events, seed=seed, start=datetime.now(UTC) - timedelta(minutes=10))
    produce_all(make_producer(hub.bootstrap), hub.settings.topic, made, timeout_seconds=60)
    landed = "select count(*) from events"
    if not wait_until(lambda: connection.execute(landed.encode()).fetchone() == (events,), seconds=60):
        raise RuntimeError("the events of the first day did not land")
    names = [
        name
        for (name,) in connection.execute(
            "select attname from pg_attribute where attrelid = 'lah.events'::regclass and attnum > 0"
            " and not attisdropped order by attnum"
        )
    ]
    others = [sql.Identifier(name) for name in names if name not in ("ts", "event_id")]
    columns = [sql.Identifier("ts"), sql.Identifier("event_id"), *others]
    copy = sql.SQL(_COPY).format(columns=sql.SQL(", ").join(columns), others=sql.SQL(", ").join(others))
    connection.execute("create temporary table template as select * from events")
    for number in range(days):
        day = first + timedelta(days=number)
        connection.execute(queries("retention")["ensure_partition"], {"day": day})
        connection.execute(copy, {"day": day, "events": events})
    print(f"{days * events:,} events in {days} days are there after {time.monotonic() - began:.1f} s")


def _measure(hub: Hub, connection: Connection, first: date, last: date, told: argparse.Namespace) -> None:
    watcher = Watcher(hub, VISIBLE.format(view="metrics_1m"), [datetime.now(UTC)])
    doors = {
        "GET /ready": Door(lambda: _read(f"{hub.api_url}/ready")),
        "lineage by GraphQL": Door(lambda: materialized_at(hub.dagster_url)),
    }
    with paced_producer(hub, _LIVE_RATE, _MOST_SECONDS, told.seed + 1) as (producer, saved):
        assert producer.stdin is not None
        producer.stdin.write("\n")
        producer.stdin.flush()
        for thread in (watcher, *doors.values()):
            thread.start()
        began = time.time()
        time.sleep(_BEFORE_SECONDS)
        done = _backfill(hub, connection, first, last)
        producer.terminate()
        producer.wait(30)
        produced = np.load(saved)
        total = int(produced[-1, 1])
        if not wait_until(lambda: watcher.most >= total or watcher.error is not None, seconds=90):
            raise RuntimeError(f"{watcher.most} of {total} live events became visible")
        for thread in (watcher, *doors.values()):
            thread.stop()
    if watcher.error is not None:
        raise RuntimeError(f"the rollups cannot be watched: {watcher.error}") from watcher.error
    ticks = [each for each in sensor_ticks(connection, began, time.time() - began) if each.sensor == _SENSOR]
    waits = watcher.behind_seconds(produced, skip_seconds=10)
    scores = _scores(done, doors, ticks, began) | {
        f"live_events_rolled_up_p{each}_s": float(np.percentile(waits, each)) for each in (50, 95, 100)
    }
    report(
        "backfill_year",
        [done.days / (done.computed - done.computing)],
        {},
        unit=f"days a second, {done.days} days of {told.events:,} events in one run",
        as_json=told.json,
        scores=scores,
    )


def _backfill(hub: Hub, connection: Connection, first: date, last: date) -> Backfill:
    done = Backfill((last - first).days + 1, time.time())
    command = [sys.executable, "-m", "lah_platform.cli", "backfill", "rollups", f"--from={first}", f"--to={last}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as asked:
        try:
            request = None
            while asked.poll() is None:
                hub.check()
                row = connection.execute("select request_id from backfill_requests").fetchone()
                request = row[0] if row else None
                if request is not None:
                    _note(done, progress_of(connection, request).days_done)
                done.run_peak_bytes = max([done.run_peak_bytes, *map(peak_rss_bytes, _runs(hub))])
                time.sleep(0.25)
        finally:
            asked.kill()
        said = asked.stdout.read() if asked.stdout else ""
    done.ended = time.time()
    if asked.returncode or request is None:
        raise RuntimeError(f"the backfill ended with status {asked.returncode}: {said}")
    _note(done, progress_of(connection, request).days_done)
    print(said.strip())
    return done


def _note(done: Backfill, days_done: int) -> None:
    now = time.time()
    if days_done and not done.computing:
        done.computing = now
    if days_done == done.days and not done.computed:
        done.computed = now
    seen = done.seen[-1][1] if done.seen else 0
    if days_done > seen and (days_done - seen >= done.days / 10 or days_done == done.days):
        done.seen.append((now, days_done))
        print(f"  after {now - done.asked:6.1f} s: {days_done} of {done.days} days", flush=True)


def _runs(hub: Hub) -> list[int]:
    """The processes of runs: the code server starts them, and nothing else that is large."""
    return [process.pid for process in psutil.Process(hub.pids()["code"]).children(recursive=True)]


def _scores(done: Backfill, doors: dict[str, Door], ticks: list[SensorTick], began: float) -> dict[str, float]:
    scores = {
        "seconds_from_request_to_first_day": done.computing - done.asked,
        "seconds_of_computing": done.computed - done.computing,
        "ms_a_day": 1000 * (done.computed - done.computing) / max(done.days - 1, 1),
        "seconds_from_last_day_to_end": done.ended - done.computed,
        "seconds_in_all": done.ended - done.asked,
        "run_peak_mb": done.run_peak_bytes / 1e6,
        "sensor_gap_before_most_s": _gap(ticks, began, done.asked),
        "sensor_gap_during_most_s": _gap(ticks, done.asked, done.ended),
        "sensor_tick_during_most_s": max((t.seconds for t in ticks if t.began >= done.asked), default=0.0),
        "sensor_ticks_failed": float(sum(t.status == "FAILURE" for t in ticks)),
    }
    for name, door in doors.items():
        scores[f"{name}_before_most_s"] = door.most_seconds(began, done.asked)
        scores[f"{name}_during_most_s"] = door.most_seconds(done.asked, done.ended)
    return scores


def _gap(ticks: list[SensorTick], since: float, until: float) -> float:
    """The longest time without an evaluation, from the end of one to the beginning of the next."""
    ends = [since, *(min(t.began + t.seconds, until) for t in ticks if since <= t.began + t.seconds)]
    begins = [*(t.began for t in ticks if since <= t.began + t.seconds), until]
    return max((begin - end for end, begin in zip(ends, begins, strict=True) if begin <= until), default=0.0)


def _read(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=30) as response:
        return bytes(response.read())


if __name__ == "__main__":
    main()
