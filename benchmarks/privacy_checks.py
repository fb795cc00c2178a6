"""What a check of data quality costs on a large day: the hub's suites against each rule as a validation of its own.

    python -m benchmarks.privacy_checks [--json] [--quick] [--events N]

Ours: `run_suite` of every asset, where the rules on single rows share one pass. Reference: Great Expectations with one
validation a rule, which is how its guides put a check behind an asset check. Both in one process each, after the import
of Great Expectations; its time and memory are in the figures of the process.
"""

import argparse
import json
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import mean
from typing import Any

from benchmarks.privacy_checks_data import DAY, NEXT_DAY, fill_day
from lah_platform.stores.embedded.ports import unused_port
from lah_platform.stores.embedded.postgres import EmbeddedPostgres
from lah_platform.stores.migrations import migrate
from lah_platform.stores.postgres import connect

__all__ = ["EVENTS", "QUICK_EVENTS", "measure_checks"]

EVENTS, QUICK_EVENTS = 5_000_000, 200_000
_MEGABYTE = 1024  # ru_maxrss is in kilobytes
_SETTINGS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "autovacuum": "off"}


def measure_checks(events: int = EVENTS, *, with_reference: bool = True) -> dict[str, Any]:
    """Make a day of so many events in a PostgreSQL of its own, and check everything of it.

    `check_seconds`: the slowest check; `mean_seconds`; `peak_megabytes` of the process that checks. By asset the
    seconds of the whole suite, and by `asset.rule` those of each check. The day takes 10 s a million events.
    """
    folder = Path(tempfile.mkdtemp(prefix="lah-checks-", dir="/var/tmp"))
    server = EmbeddedPostgres(folder, port=unused_port(), settings=_SETTINGS)
    server.start()
    try:
        with connect(server.url) as connection:
            migrate(connection)
            fill_day(connection, events)
        ours = _in_a_process(server.url, "ours")
        found: dict[str, Any] = {"events": events, "ours": ours}
        if with_reference:
            found["reference"] = _in_a_process(server.url, "reference")
        return found | {key: ours[key] for key in ("check_seconds", "mean_seconds", "peak_megabytes")}
    finally:
        server.destroy()
        shutil.rmtree(folder, ignore_errors=True)


def _in_a_process(url: str, who: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.privacy_checks", "--judge", who, "--url", url]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(done.stderr[-2000:])
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def _judge(url: str, who: str) -> dict[str, Any]:
    from lah_platform.quality.suites import ASSETS, run_suite

    started = time.monotonic()
    run_suite(url, "reports", DAY, NEXT_DAY)  # imports Great Expectations, and there are no reports
    imported = time.monotonic() - started
    seconds: dict[str, float] = {}
    suites: dict[str, float] = {}
    failed: list[str] = []
    for asset, spec in ASSETS.items():
        started = time.monotonic()
        if who == "ours":
            verdicts = run_suite(url, asset, DAY, NEXT_DAY)
            seconds |= {f"{asset}.{verdict.check_name}": verdict.seconds for verdict in verdicts}
        else:
            verdicts = []
            for rule in spec.rules:
                since = time.monotonic()
                verdicts += run_suite(url, asset, DAY, NEXT_DAY, rules=[rule.name], is_exhaustive=True)
                seconds[f"{asset}.{rule.name}"] = time.monotonic() - since
        suites[asset] = round(time.monotonic() - started, 3)
        failed += [f"{asset}.{verdict.check_name}" for verdict in verdicts if not verdict.passed]
    return {
        "check_seconds": round(max(seconds.values()), 3),
        "mean_seconds": round(mean(seconds.values()), 3),
        "total_seconds": round(sum(suites.values()), 1),
        "checks": len(seconds),
        "failed": failed,
        "peak_megabytes": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / _MEGABYTE),
        "import_seconds": round(imported, 1),
        "suites": suites,
        "seconds": {name: round(value, 3) for name, value in seconds.items()},
    }


def _told(found: Mapping[str, Any]) -> None:
    print(f"{found['events']:,} events of one day, {platform.machine()}, Python {platform.python_version()}")
    for who in ("ours", "reference"):
        if who in found:
            of = found[who]
            print(
                f"{who:>10}: slowest {of['check_seconds']} s, mean {of['mean_seconds']} s of {of['checks']} checks,"
                f" all of them {of['total_seconds']} s, {of['peak_megabytes']} MB,"
                f" import {of['import_seconds']} s, failed: {', '.join(of['failed']) or 'none'}"
            )
    slowest = sorted(found["ours"]["seconds"].items(), key=lambda each: -each[1])[:8]
    print("  slowest: " + ", ".join(f"{name} {value} s" for name, value in slowest))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--events", type=int)
    parser.add_argument("--judge", choices=["ours", "reference"], help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.judge:
        print(json.dumps(_judge(asked.url, asked.judge)))
        return
    found = measure_checks(asked.events or (QUICK_EVENTS if asked.quick else EVENTS))
    _told(found)
    if asked.json:
        ours, reference = found["ours"], found["reference"]
        ratios = {name: round(reference[name] / ours[name], 2) for name in ("check_seconds", "total_seconds")}
        scores = {name: found[name] for name in ("check_seconds", "mean_seconds", "peak_megabytes")}
        print(
            json.dumps(
                {
                    "name": "privacy_checks",
                    "ours": ours,
                    "references": {"one validation a rule": reference},
                    "ratios": ratios,
                    "scores": scores,
                }
            )
        )


if __name__ == "__main__":
    main()
