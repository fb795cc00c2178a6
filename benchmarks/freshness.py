"""From produce to visible in the 1m rollup, through the running system, and what Dagster spends on it.

`python -m benchmarks.freshness --json` (2.5 minutes; `--quick` within one): the hub as `lah up` starts it (broker,
PostgreSQL, `lah land`, both code servers, daemon, webserver, API), beside a producer that keeps a pace with events that
happen now.

How a wait is measured is in `freshness_watch`.
"""

import argparse
import json
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from benchmarks.freshness_watch import LANDED, VISIBLE, Watcher, paced_producer
from benchmarks.hub import Hub, running_hub
from benchmarks.hub_spent import DagsterCost, SensorTick, cpu_seconds_by_part, dagster_cost, sensor_ticks
from benchmarks.report import report
from lah_platform.stores.backfills import request_backfill, state_of
from lah_platform.stores.embedded.process import wait_until
from lah_platform.stores.postgres import Connection

_SENSOR = "landing_progress"
_MOST_SECONDS = 570
_DRAIN_SECONDS = 90
_MARTS_SECONDS = 120
_PERCENTILES = (50, 95, 99)


@dataclass(frozen=True)
class Measured:
    """One run: the waits by what was watched, and what was spent while events were produced and merged."""

    produced: int
    seconds: float
    waits: dict[str, NDArray[np.float64]]
    watchers: dict[str, Watcher]
    ticks: list[SensorTick]
    cpu_seconds: dict[str, float]
    dagster: DagsterCost


def main() -> None:
    """Measure and print; ends by itself within ten minutes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true", help="20 seconds at 5,000 events/s")
    parser.add_argument("--rate", type=float, help="events a second (20,000)")
    parser.add_argument("--seconds", type=float, help="how long is produced (90)")
    parser.add_argument("--skip", type=float, help="seconds at the beginning that do not count (10)")
    parser.add_argument("--seed", type=int, default=1)
    told = parser.parse_args()
    rate = told.rate or (5_000 if told.quick else 20_000)
    seconds = told.seconds or (20 if told.quick else 90)
    skip = told.skip if told.skip is not None else (5 if told.quick else 10)
    with running_hub(most_seconds=_MOST_SECONDS) as hub:
        measured = measure(
            hub, rate=rate, seconds=seconds, skip_seconds=skip, seed=told.seed, builds_marts=not told.quick
        )
    _print(measured, rate, skip)
    report(
        "freshness",
        [measured.produced / measured.seconds],
        {},
        unit=f"events/s from the first produced to the last visible, {rate:,.0f}/s produced",
        as_json=told.json,
        scores=_scores(measured),
    )


def measure(hub: Hub, *, rate: float, seconds: float, skip_seconds: float, seed: int, builds_marts: bool) -> Measured:
    """Produce at `rate` events/s; afterwards one build of the marts, to see what its run leaves in the event log.

    Raises RuntimeError when a process ends or an event never becomes visible.
    """
    with hub.connect() as connection, paced_producer(hub, rate, seconds, seed) as (producer, saved):
        watchers = _watchers(hub)
        spent_before = cpu_seconds_by_part(hub, {"producer": producer.pid})
        began_at, began = time.time(), time.monotonic()
        for watcher in watchers.values():
            watcher.start()
        assert producer.stdin is not None
        producer.stdin.write("\n")
        producer.stdin.flush()
        total = round(rate * seconds)
        spent = spent_before
        while min(watcher.most for watcher in watchers.values()) < total:
            hub.check()
            if producer.poll() is None:
                spent = cpu_seconds_by_part(hub, {"producer": producer.pid})
            elif producer.returncode:
                raise RuntimeError(f"the producer ended with status {producer.returncode}")
            for name, watcher in watchers.items():
                if watcher.error is not None:
                    raise RuntimeError(f"{name} cannot be watched: {watcher.error}") from watcher.error
                if time.monotonic() > began + seconds + _DRAIN_SECONDS:
                    raise RuntimeError(f"{watcher.most} of {total} events became visible in {name}")
            time.sleep(0.5)
        for watcher in watchers.values():
            watcher.stop()
        elapsed = time.monotonic() - began
        after = cpu_seconds_by_part(hub, {})
        ticks = sensor_ticks(connection, began_at, elapsed)
        if builds_marts:
            _build_marts(connection)
        dagster = dagster_cost(connection, began_at, elapsed, len(ticks))
        produced = np.load(saved)
    cpu = {name: (after | {"producer": spent["producer"]})[name] - spent_before[name] for name in spent_before}
    waits = {name: watcher.behind_seconds(produced, skip_seconds) for name, watcher in watchers.items()}
    return Measured(total, elapsed, waits, watchers, ticks, cpu, dagster)


def _build_marts(connection: Connection) -> None:
    request, today = uuid.uuid4(), datetime.now(UTC).date()
    request_backfill(connection, request, table="marts", start=today, end=today, actor="benchmark")
    ended = wait_until(
        lambda: state_of(connection, request)[0] in ("succeeded", "failed"), seconds=_MARTS_SECONDS, poll_seconds=0.5
    )
    if not ended or state_of(connection, request)[0] == "failed":
        raise RuntimeError("the marts were not built")


def _watchers(hub: Hub) -> dict[str, Watcher]:
    now = datetime.now(UTC)
    found = {
        "landed": Watcher(hub, LANDED, []),
        "rolled_up": Watcher(hub, VISIBLE.format(view="metrics_1m"), [now]),
    }
    with hub.connect() as connection:
        if connection.execute("select to_regclass('metrics_1m_live') is not null").fetchone() == (True,):
            found["live"] = Watcher(hub, VISIBLE.format(view="metrics_1m_live"), [now])
    return found


def _merges(measured: Measured) -> list[SensorTick]:
    return [tick for tick in measured.ticks if tick.sensor == _SENSOR]


def _scores(measured: Measured) -> dict[str, float]:
    scores = {}
    for name, waits in measured.waits.items():
        for percentile in _PERCENTILES:
            scores[f"{name}_p{percentile}_s"] = float(np.percentile(waits, percentile))
    ticks, minutes, dagster = _merges(measured), measured.seconds / 60, measured.dagster
    steps = measured.watchers["rolled_up"].seen
    gaps = [after[0] - before[0] for before, after in pairwise(steps)]
    began = sorted(tick.began for tick in ticks)
    idle = [tick.began - (before.began + before.seconds) for before, tick in pairwise(ticks)]
    scores |= {
        "ticks_per_minute": len(ticks) / minutes,
        "seconds_a_tick_median": float(np.median([tick.seconds for tick in ticks])),
        "seconds_a_tick_most": max(tick.seconds for tick in ticks),
        "seconds_between_ticks_begun_median": float(np.median(np.diff(began))) if len(began) > 1 else 0.0,
        "seconds_between_ticks_idle_median": float(np.median(idle)) if idle else 0.0,
        "merges_seen_per_minute": len(steps) / minutes,
        "seconds_between_merges_seen_most": max(gaps, default=0.0),
        "event_log_rows_without_run": float(dagster.runless_rows),
        "event_log_bytes_a_row": dagster.event_bytes,
        "event_log_lineage_mb_a_day": dagster.lineage_mb_a_day,
        "event_log_marts_mb_a_day": dagster.runs_mb_a_day,
        "event_log_mb_a_day": dagster.lineage_mb_a_day + dagster.runs_mb_a_day,
        "sensor_ticks_mb_a_day": dagster.ticks_mb_a_day,
    }
    return scores | {f"{part}_cpu_s": spent for part, spent in measured.cpu_seconds.items()}


def _print(measured: Measured, rate: float, skip_seconds: float) -> None:
    minutes = measured.seconds / 60
    print(f"{measured.produced:,} events at {rate:,.0f}/s; the first {skip_seconds:g} s do not count in the waits")
    print("seconds from produce until      p50    p95    p99   most")
    for name, waits in measured.waits.items():
        figures = [float(np.percentile(waits, each)) for each in _PERCENTILES]
        print(f"  {name:<24} " + " ".join(f"{each:>6.2f}" for each in [*figures, float(waits.max())]))
    for name, watcher in measured.watchers.items():
        print(f"a look at {name}: {1000 * watcher.seconds / watcher.looks:.1f} ms, {watcher.looks} looks")
    print("sensor                    a minute  median s  most s  how they ended")
    for name in sorted({tick.sensor for tick in measured.ticks}):
        mine = [tick for tick in measured.ticks if tick.sensor == name]
        taken = [tick.seconds for tick in mine]
        ends = {status: sum(tick.status == status for tick in mine) for status in sorted({t.status for t in mine})}
        ended = ", ".join(f"{count} {status}" for status, count in ends.items())
        print(f"  {name:<24} {len(mine) / minutes:>7.1f} {np.median(taken):>9.2f} {max(taken):>7.2f}  {ended}")
    for tick in _merges(measured):
        print(f"    {_SENSOR} took {tick.seconds:.2f} s, {tick.status}: {tick.said or 'reported'}")
    print(f"CPU in {measured.seconds:.1f} s: " + json.dumps({k: round(v, 2) for k, v in measured.cpu_seconds.items()}))


if __name__ == "__main__":
    main()
