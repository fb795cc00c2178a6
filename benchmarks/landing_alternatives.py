"""What was tried for landing's hot path, each by the CPU time it takes: redo the choice on your own machine.

Belongs here: the command, the order of a run and the table of all. `landing_variants` has the database's side,
`landing_clients` the client's. Backend and client are CPU microseconds an event, user and system, never wall time: a
machine that does something else meanwhile adds some per cent, so the first line is measured twice. Not counted: the
server's background processes and the kernel's writes. WAL is the whole server's, where nothing else runs.
"""

import argparse
import gc
import json
import os
import signal
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack, suppress
from pathlib import Path

os.environ["POLARS_MAX_THREADS"] = "1"  # as in `lah land`; read at import

from benchmarks.landing_clients import client_alternatives
from benchmarks.landing_one_by_one import STEPS
from benchmarks.landing_prepared import Workload
from benchmarks.landing_spent import Alternative, Spent
from benchmarks.landing_variant_server import Server
from benchmarks.landing_variants import WHOLE, database_alternatives, whole_alternatives
from benchmarks.report import machine
from lah_platform.stores.embedded.ports import unused_port


class Table:
    """All runs so far, in the order of the first."""

    def __init__(self) -> None:
        self.runs: dict[str, list[Spent]] = {}
        self.skipped: dict[str, str] = {"TimescaleDB direct compress": "the embedded server has no TimescaleDB"}

    def take(self, alternative: Alternative, *, counts: bool) -> None:
        try:
            found = alternative()
        except ImportError as error:
            self.skipped[str(error.name)] = (
                "is not in the peers' environment; `python -m benchmarks.landing --only peers` installs it"
            )
            return
        for name, spent in found.items() if counts else ():
            self.runs.setdefault(name, []).append(spent)

    def figures(self, name: str) -> dict[str, list[float]]:
        """Microseconds an event by run: backend, client and both, of the sides there are."""
        runs = self.runs[name]
        sides = {
            "backend": [run.backend_seconds / run.events * 1e6 for run in runs if run.backend_seconds is not None],
            "client": [run.client_seconds / run.events * 1e6 for run in runs if run.client_seconds is not None],
        }
        sides = {side: values for side, values in sides.items() if values}
        return sides | {"both": [sum(values) for values in zip(*sides.values(), strict=True)]}

    def show(self) -> None:
        print(f"{'':<56} {'backend':>8} {'client':>7} {'both, min to max':>17} {'WAL':>6}")
        print(f"{'':<56} {'µs':>8} {'µs':>7} {'µs':>17} {'bytes':>6}   an event")
        for name, runs in self.runs.items():
            figures = self.figures(name)
            backend, client = (
                f"{statistics.median(figures[side]):.2f}" if side in figures else "" for side in ("backend", "client")
            )
            spread = f"{min(figures['both']):.2f} to {max(figures['both']):.2f}"
            wal = [run.wal_bytes / run.events for run in runs if run.wal_bytes is not None]
            size = f"{statistics.median(wal):.0f}" if wal else ""
            print(f"{name:<56} {backend:>8} {client:>7} {spread:>17} {size:>6}   {runs[-1].note}".rstrip())
        for name, reason in self.skipped.items():
            print(f"  skipped: {name} ({reason})")

    def as_json(self) -> str:
        """Whole ways from message to commit as events per CPU second; every line's median µs among the scores."""
        medians = {
            name: {side: statistics.median(values) for side, values in self.figures(name).items()} for name in self.runs
        }
        totals = {name: sides["both"] for name, sides in medians.items() if name.startswith("whole transaction")}
        with suppress(KeyError):
            totals["one by one, no deduplication, no rollups"] = sum(medians[step]["both"] for step in STEPS)
        rates = {_slug(name): 1e6 / total for name, total in totals.items()}
        ours = rates.pop(_slug(WHOLE))
        scores = {
            f"{_slug(name)}_{side}_us": value
            for name, sides in medians.items()
            for side, value in sides.items()
            if side != "both"
        }
        figures = {
            "references": {name: round(rate) for name, rate in rates.items()},
            "ratios": {name: round(ours / rate, 3) for name, rate in rates.items()},
            "scores": {name: round(score, 3) for name, score in scores.items()},
        }
        return json.dumps({"name": "landing_alternatives", "ours": round(ours)} | figures)


def _slug(name: str) -> str:
    return "_".join("".join(c if c.isalnum() else " " for c in name.replace("%", "percent")).split()).lower()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.landing_alternatives",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="within a minute: two runs of each, fewer events")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    parser.add_argument("--events", type=int, help="events of a run; default 40,000, with --quick 20,000")
    parser.add_argument("--runs", type=int, help="runs of each that count; default 5, with --quick 2")
    chosen = parser.parse_args()
    chosen.started = time.monotonic()
    chosen.seconds = 58.0 if chosen.quick else 295.0
    chosen.events = chosen.events or (20_000 if chosen.quick else 40_000)
    chosen.runs = chosen.runs or (2 if chosen.quick else 5)
    return chosen


def _out_of_time(*_: object) -> None:
    raise TimeoutError


def _run(chosen: argparse.Namespace, folder: Path, stack: ExitStack, table: Table) -> None:
    server = Server(folder / "postgres", unused_port(), stack)
    work = Workload(chosen.events)
    server.migrate_base(work.start)
    gc.collect()
    gc.freeze()  # as in `lah land`
    gc.set_threshold(200_000, 20, 20)
    alternatives = [
        *database_alternatives(server, work, is_quick=chosen.quick),
        *whole_alternatives(server, work),
        *client_alternatives(server, work, folder),
    ]
    for run in range(chosen.runs + 1):
        began = time.monotonic()
        for alternative in alternatives:
            table.take(alternative, counts=run > 0)
        now = time.monotonic()
        print(f"  {f'run {run}' if run else 'warm-up'}: done after {now - chosen.started:.0f} s", flush=True)
        if run and 2 * now - began > chosen.started + chosen.seconds:
            break  # a slow machine: fewer runs


def main() -> None:
    """Every alternative once to warm up, then in turn as often as time allows."""
    chosen = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that a terminated run cleans up too
    signal.signal(signal.SIGALRM, _out_of_time)
    signal.alarm(round(chosen.seconds))
    table = Table()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lah-benchmark-")))
        with suppress(TimeoutError):
            _run(chosen, folder, stack, table)
        signal.alarm(0)
    print(f"{machine()}; {chosen.events:,} events of 500 bytes, up to {chosen.runs} runs in turn; CPU time")
    if WHOLE not in table.runs:
        sys.exit("The time ended before one run did: try --quick, fewer --events, or a machine with less to do")
    table.show()
    if chosen.json:
        print(table.as_json())


if __name__ == "__main__":
    main()
