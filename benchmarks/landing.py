"""Landing, Kafka to committed rows, beside the database's own limit and beside what a user would pick instead.

ours: the real `lah land` process; clock from the adoption of the last partition, just before the first message.
copy_ceiling: one connection, binary COPY of every table ours wrote, encoded beforehand, same transactions, durable.
quixstreams, pathway: their documented pipelines into PostgreSQL; no deduplication, no ledger, no rollups.

In turn on one machine: same broker, same server (fsync and synchronous_commit on), same messages of 500 bytes.
"""

import argparse
import signal
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

import numpy as np

from benchmarks.landing_ceiling import Capture, capture, replay
from benchmarks.landing_latency import latencies_ms
from benchmarks.landing_peers import PEERS, Peer, PeerMissing, environment, paused
from benchmarks.landing_process import Landed, measure
from benchmarks.landing_scores import (
    identity_bytes_per_million,
    rate_of_real_traces,
    rate_with_duplicates,
    rate_with_rows_there,
    rates_of_processes,
)
from benchmarks.landing_services import Services, running
from benchmarks.landing_workload import messages
from benchmarks.report import report

PARTS = ("peers", "latency", "duplicates", "traces", "scaling", "preloaded")
_SEED = 20231116
_ROWS_THERE = 10_000_000
_SHARES_PERCENT = (0, 0.1, 1, 10)
_START_SECONDS = 8.0  # of a landing process, its end, and the emptying of the tables before it
_JOIN_SECONDS = 30.0
_GRACE_SECONDS = 2.0  # beyond it whatever still runs is given up
_WARM_UP_EVENTS = 5000  # all the series of the workload: each is given its id once in its life


class Benchmark:
    """One run: what it has found so far, and how much of its time is left."""

    def __init__(self, services: Services, chosen: argparse.Namespace) -> None:
        self.services = services
        self.chosen = chosen
        self.ends_at = chosen.started + chosen.seconds
        noon = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0)
        self.start = noon - timedelta(days=1)  # whole within one daily partition, whenever it runs
        self.messages = messages(chosen.events, seed=_SEED, start=self.start)
        self.topic = services.topic("turns")
        self.turns: list[Landed] = []
        self.ceiling: list[float] = []
        self.peers: dict[str, list[float]] = {}
        self.scores: dict[str, float] = {}
        self.captured: Capture | None = None
        self.failures: list[str] = []

    @property
    def rate(self) -> float:
        return statistics.median(turn.rate for turn in self.turns)

    def wants(self, part: str) -> bool:
        return part in self.chosen.only if self.chosen.only else part in self.chosen.parts

    def skip(self, part: str, reason: str) -> None:
        print(f"  skipped: {part} ({reason})", flush=True)

    def attempt(self, part: str, seconds: float, run: Callable[[], None]) -> None:
        """Run a part when it is wanted and fits into the time that is left."""
        left = self.ends_at - time.monotonic()
        if not self.wants(part):
            if not self.chosen.only:
                self.skip(part, f"`--only {part}` runs it")
        elif seconds > left:
            self.skip(part, f"takes about {seconds:.0f} s, {left:.0f} s are left; `--only {part}` runs it")
        else:
            started = time.monotonic()
            try:
                run()
            except RuntimeError as error:
                self.failures.append(f"{part}: {error}")
                return
            print(f"  {part}: done in {time.monotonic() - started:.0f} s", flush=True)

    def take_turns(self) -> None:
        """Every side in turn; in the quick form the peers take part in the last turn only, and join before it."""
        with ExitStack() as stack:
            peers = self._start_peers(stack)
            self.services.fill(self.topic, self.messages)
            warm_up = self.services.topic("warm-up")
            self.services.fill(warm_up, self.messages[:_WARM_UP_EVENTS])
            measure(self.services, warm_up, min(_WARM_UP_EVENTS, len(self.messages)))
            if not self.chosen.quick:
                self._wait_joined(peers)
            for turn in range(self.chosen.turns):
                began = time.monotonic()
                with paused(peers):
                    self._ours(turn)
                if not self.chosen.quick:
                    self._peers_turn(peers)
                next_ends_at = 2 * time.monotonic() - began
                if next_ends_at > self.ends_at - self.chosen.after_turns_seconds:
                    break  # a slow machine: fewer turns
            if self.chosen.quick:
                self._wait_joined(peers)
                self._peers_turn(peers)

    def _ours(self, turn: int) -> None:
        with self.services.connect() as connection:
            self.services.empty(connection)
            landed = measure(self.services, self.topic, len(self.messages))
            self.turns.append(landed)
            if self.captured is None:
                self.scores["bytes_per_million_identities"] = identity_bytes_per_million(connection)
                self.captured = capture(connection, len(self.messages))
        self.ceiling.append(replay(self.services, self.captured))
        print(
            f"  turn {turn + 1}: ours {landed.rate:,.0f}, {landed.transactions} transactions of"
            f" {landed.batch_rows:,.0f} events; copy_ceiling {self.ceiling[-1]:,.0f}",
            flush=True,
        )

    def _start_peers(self, stack: ExitStack) -> list[Peer]:
        if not self.wants("peers"):
            return []
        try:
            python = environment(may_install=not self.chosen.quick, seconds=min(240.0, self.chosen.seconds / 2))
        except PeerMissing as error:
            self.skip("peers", str(error))
            return []
        peers = []
        for name in PEERS:
            peer = stack.enter_context(Peer(name, python, self.services))
            peer.send_warm_up(self.messages)
            peers.append(peer)
        return peers

    def _wait_joined(self, peers: list[Peer]) -> None:
        for peer in list(peers):
            try:
                peer.wait_joined()
            except PeerMissing as error:
                peers.remove(peer)
                self.skip(peer.name, str(error))

    def _peers_turn(self, peers: list[Peer]) -> None:
        for peer in list(peers):
            left = self.ends_at - time.monotonic()
            try:
                with paused(other for other in peers if other is not peer):
                    rate = peer.turn(self.messages[: self.chosen.peer_events], seconds=max(5.0, left))
            except PeerMissing as error:
                peers.remove(peer)
                self.skip(peer.name, str(error))
                continue
            self.peers.setdefault(peer.name, []).append(rate)
            print(f"    {peer.name} {rate:,.0f}", flush=True)

    def latency(self) -> None:
        found = latencies_ms(self.services, rate=self.rate / 2, seconds=self.chosen.latency_seconds, seed=_SEED + 1)
        for percent in (50, 95, 99):
            self.scores[f"latency_p{percent}_ms"] = float(np.percentile(found, percent))

    def duplicates(self) -> None:
        for percent in _SHARES_PERCENT:
            rate = rate_with_duplicates(
                self.services, percent / 100, events=self.chosen.part_events, start=self.start, seed=_SEED + 2
            )
            self.scores[f"duplicates_{percent:g}_percent_events_per_s"] = rate

    def traces(self) -> None:
        rate = rate_of_real_traces(self.services, events=self.chosen.part_events // 2)
        if rate is None:
            self.skip("traces", "the real traces are not on this machine (set LAH_TRACES)")
        else:
            self.scores["sparse_trace_events_per_s"] = rate

    def scaling(self) -> None:
        one, two = (rates_of_processes(self.services, self.messages[: self.chosen.part_events], n) for n in (1, 2))
        self.scores["scaling_one_process_events_per_s"] = one
        self.scores["scaling_two_processes_events_per_s"] = two
        self.scores["scaling_two_processes"] = two / one

    def preloaded(self) -> None:
        for name, among in {"rate_at_10_million_rows": False, "rate_among_10_million_rows": True}.items():
            rate = rate_with_rows_there(self.services, self.topic, len(self.messages), rows=_ROWS_THERE, among=among)
            self.scores[f"{name}_events_per_s"] = rate
            self.scores[name] = rate / self.rate

    def run(self) -> None:
        """Everything that is wanted and fits. Raises RuntimeError when not even one turn was whole."""
        try:
            self.take_turns()
        except RuntimeError as error:
            if not self.ceiling:
                raise
            self.failures.append(f"turn {len(self.ceiling) + 1}: {error}")
        chosen = self.chosen
        of_part, of_turn = (_START_SECONDS + events / self.rate for events in (chosen.part_events, chosen.events))
        self.attempt("latency", _START_SECONDS + chosen.latency_seconds + 5, self.latency)
        self.attempt("duplicates", 1.5 * len(_SHARES_PERCENT) * of_part, self.duplicates)
        self.attempt("traces", of_part, self.traces)
        self.attempt("scaling", 2 * (of_part + _JOIN_SECONDS), self.scaling)
        self.attempt("preloaded", 2 * (2 * of_turn + _ROWS_THERE / 160_000), self.preloaded)
        events = [turn.events for turn in self.turns]
        self.scores["cpu_us_per_event"] = _median_us([turn.cpu_seconds for turn in self.turns], events)
        backends = [turn.backend_cpu_seconds for turn in self.turns if turn.backend_cpu_seconds is not None]
        if backends:
            self.scores["backend_cpu_us_per_event"] = _median_us(backends, events)
        self.scores["peak_rss_mb"] = max(turn.peak_rss_mb for turn in self.turns)


def _median_us(seconds: Sequence[float], events: Sequence[int]) -> float:
    return statistics.median(s / n * 1e6 for s, n in zip(seconds, events, strict=False))


def _out_of_time(*_: object) -> None:
    raise RuntimeError("the time is over")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.landing",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Example: python -m benchmarks.landing --quick --json",
    )
    parser.add_argument(
        "--quick", action="store_true", help="within a minute: two turns of 100,000 events, fewer parts"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    parser.add_argument("--only", action="append", choices=PARTS, default=[], help="one turn, and this part (repeat)")
    parser.add_argument("--bootstrap", help="a broker to use; default: an embedded one")
    parser.add_argument("--database", help="URL of a server's superuser; default: an embedded server")
    parser.add_argument("--events", type=int, help="messages of a turn")
    parser.add_argument("--turns", type=int, help="turns of each side")
    chosen = parser.parse_args()
    chosen.started = time.monotonic()
    chosen.seconds = 55.0 if chosen.quick else 570.0
    chosen.events = chosen.events or (100_000 if chosen.quick else 500_000)
    chosen.turns = chosen.turns or (1 if chosen.only and chosen.only != ["peers"] else 2 if chosen.quick else 5)
    chosen.part_events = min(chosen.events, 200_000)
    chosen.peer_events = min(chosen.events, 50_000 if chosen.quick else 100_000)
    chosen.latency_seconds = 5.0 if chosen.quick else 12.0
    chosen.after_turns_seconds = 20.0 if chosen.quick else 340.0  # the peers' only turn; all the parts
    chosen.parts = PARTS[:2] if chosen.quick else PARTS
    return chosen


def main() -> None:
    """Run what was asked for and print it."""
    chosen = _options()
    signal.signal(signal.SIGALRM, _out_of_time)
    signal.alarm(round(chosen.seconds + _GRACE_SECONDS))
    with running(chosen.bootstrap, chosen.database) as services:
        print(f"{services.describe}; {chosen.events:,} messages a turn", flush=True)
        benchmark = Benchmark(services, chosen)
        try:
            benchmark.run()
        except RuntimeError as error:
            sys.exit(f"The benchmark is void: {error}")
        finally:
            signal.alarm(0)
    ours = [turn.rate for turn in benchmark.turns]
    references = {"copy_ceiling": benchmark.ceiling} | benchmark.peers
    report("landing", ours, references, unit="events/s", as_json=chosen.json, scores=benchmark.scores)
    if benchmark.failures:
        sys.exit("Failed: " + "; ".join(benchmark.failures))


if __name__ == "__main__":
    main()
