"""The long form: `python -m tests.faults`, also `make faults`."""

import argparse
import signal
import sys
import time
from collections import Counter
from collections.abc import Sequence

from lah_platform.errors import LahError
from tests.faults.brokers import BrokerUnavailable
from tests.faults.campaign import FAULTS_PER_ROUND, Report, Rig, rig, run_round
from tests.faults.database import SmallDisk

_EXAMPLE = """\
example:
  python -m tests.faults --faults 200 --seed 7 --broker both --dedup both

Each round has a database, a topic and a seed of its own; a broken promise prints the command that repeats its round.
The seed fixes which faults and messages come in which order; the operating system still decides the exact moments.
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults",
        description="Prove that landing counts every event exactly once, by killing, freezing, filling and locking.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--faults", type=int, default=200, help="how many in all (default 200)")
    parser.add_argument("--seed", type=int, help="of the first round; the next has the next (default: drawn)")
    parser.add_argument("--broker", choices=["kafka", "embedded", "both"], default="both", help="(default both)")
    parser.add_argument("--dedup", choices=["exact", "strict", "both"], default="both", help="(default both, in turn)")
    return parser


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _plan(faults: int, seed: int, dedup: str) -> list[tuple[int, int, str]]:
    """(seed, faults, dedup) of each round."""
    modes = ["exact", "strict"] if dedup == "both" else [dedup]
    sizes = [min(FAULTS_PER_ROUND, faults - done) for done in range(0, faults, FAULTS_PER_ROUND)]
    return [(seed + number, size, modes[number % len(modes)]) for number, size in enumerate(sizes)]


def _describe(on: Rig) -> None:
    disk = on.server.disk
    _say(f"broker: {on.broker.name}; small disk: {disk.kind if isinstance(disk, SmallDisk) else 'none'}")
    for fault, reason in on.skipped().items():
        _say(f"skipped here: {fault}, because {reason}")


def _summarise(reports: Sequence[tuple[str, Report]], seconds: float) -> None:
    for broker in dict.fromkeys(broker for broker, _ in reports):
        mine = [report for name, report in reports if name == broker]
        injected = sum((report.injected for report in mine), Counter[str]())
        kinds = sum((report.kinds for report in mine), Counter[str]())
        _say(f"\n{broker}: {injected.total()} faults in {len(mine)} rounds")
        _say("  injected: " + ", ".join(f"{name} {count}" for name, count in sorted(injected.items())))
        _say("  produced: " + ", ".join(f"{name} {count}" for name, count in kinds.most_common()))
    tallies = [report.tally for _, report in reports]
    _say(
        f"\n{sum(t.records for t in tallies)} records = {sum(t.stored for t in tallies)} stored"
        f" + {sum(t.duplicate for t in tallies)} duplicate + {sum(t.dead_lettered for t in tallies)} dead-lettered,"
        f" in {sum(t.batches for t in tallies)} batches; {sum(r.injected.total() for _, r in reports)} faults"
        f" in {seconds:.0f} s: every promise kept"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns 1 when a promise is broken or nothing could be injected, else 0."""
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that a terminated run cleans up too
    seed = options.seed if options.seed is not None else int(time.time())
    began = time.monotonic()
    _say(f"seed {seed}")
    kinds = ["kafka", "embedded"] if options.broker == "both" else [options.broker]
    shares = {kind: options.faults // len(kinds) for kind in kinds}
    shares[kinds[0]] += options.faults - sum(shares.values())
    reports: list[tuple[str, Report]] = []
    owed = 0
    for kind in kinds:
        try:
            with rig(kind) as on:
                _describe(on)
                for round_seed, faults, dedup in _plan(shares[kind] + owed, seed, options.dedup):
                    _say(f"round of {faults} faults, seed {round_seed}, dedup {dedup}")
                    try:
                        report = run_round(on, seed=round_seed, faults=faults, dedup=dedup, say=_say)
                    except (AssertionError, LahError) as error:
                        _say(f"BROKEN: {error}")
                        _say(
                            f"repeat it: python -m tests.faults --broker {kind} --dedup {dedup}"
                            f" --seed {round_seed} --faults {faults}"
                        )
                        return 1
                    reports.append((on.broker.name, report))
                    _say(
                        f"  {report.tally.records} records, {report.tally.conflicts} under another timestamp,"
                        f" {report.tally.batches} batches, {report.ticks} ticks beside them,"
                        f" {report.seconds:.0f} s: kept"
                    )
                    seed = round_seed + 1
                owed = 0
        except BrokerUnavailable as error:
            owed = shares[kind]
            _say(f"skipped: everything on {kind}, because {error}; its faults go to the other broker")
    injected = sum(report.injected.total() for _, report in reports)
    if injected:
        _summarise(reports, time.monotonic() - began)
    if injected < options.faults:
        _say(f"only {injected} of {options.faults} faults could be injected: that proves less than was asked for")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
