"""What privacy costs: erasing a person among millions of events, and what encryption, audit and checks take.

    python -m benchmarks.privacy [--json] [--quick]

Erasing: a person with 100,000 events among 1.25, 2.5 and 5 million others, by `erase` (key and link destroyed, rows
counted, table vacuumed, receipt signed). Reference, in the same tables: a second such person's rows deleted and the
events vacuumed, as hubs without field encryption do it; that one leaves archive files and backups as they are.
The other scores are those of the benchmarks named after them, in the sizes that fit into the time.
"""

import argparse
import json
import shutil
import statistics
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.privacy_data import TENANT, fill, fill_person
from benchmarks.report import machine, progress
from lah_platform.compliance.signing import Signer
from lah_platform.privacy.erasure import Expiry
from lah_platform.privacy.master_key import HeldKeys, new_held_key, read_held_keys
from lah_platform.privacy.subjects import Person
from lah_platform.stores.embedded.ports import unused_port
from lah_platform.stores.embedded.postgres import EmbeddedPostgres
from lah_platform.stores.erasure import erase
from lah_platform.stores.erasure_verify import verify
from lah_platform.stores.keyring import KeyRing
from lah_platform.stores.migrations import migrate
from lah_platform.stores.postgres import Connection, connect
from lah_platform.stores.subjects import subject_of_person

__all__ = ["Step", "erasures"]

_SIZES, _QUICK_SIZES = (1_250_000, 2_500_000, 5_000_000), (25_000, 50_000, 100_000)
_PERSON, _QUICK_PERSON = 100_000, 5_000
_WORKLOADS = ("standard", "persons")
_SECONDS = 480  # no further turn of another benchmark begins afterwards
_BROKER = Expiry(None, "no broker in this benchmark")
_SETTINGS = {"max_wal_size": "4GB", "shared_buffers": "256MB"}


class Step(NamedTuple):
    """Seconds at one size of the table: ours, the proof afterwards, and the reference."""

    events: int
    erase_s: float
    verify_s: float
    delete_s: float


def erasures(connection: Connection, sizes: Sequence[int], person: int) -> list[Step]:
    """Erase and delete persons of `person` events while the table grows to each of `sizes`."""
    ring = KeyRing(HeldKeys("file", read_held_keys(new_held_key(), "benchmark")))
    signer = Signer("bWFrZSBhIHNpZ25pbmcga2V5IG9mIDMyIGJ5dGVzISE=")
    steps, stored = [], 0
    for size in sizes:
        connection.execute("set synchronous_commit = off")
        started = time.perf_counter()
        fill(connection, ring, size - stored - 2 * person, offset=stored)
        took = time.perf_counter() - started
        names = [f"{who}-{size}@example.org" for who in ("erased", "deleted")]
        for name in names:
            fill_person(connection, ring, name, person)
        stored = size
        connection.execute("vacuum analyze events")
        connection.execute("set synchronous_commit = on")
        connection.execute("checkpoint")
        progress(f"{size:,} events (filled in {took:.0f} s)")
        started = time.perf_counter()
        document = erase(connection, ring, TENANT, names[0], now=datetime.now(UTC), actor="benchmark", signer=signer,
                         archive_dir=None, broker=_BROKER)  # fmt: skip
        erase_s = time.perf_counter() - started
        assert document["receipt"]["unreadable_rows"]["events"] == person
        started = time.perf_counter()
        assert all(each.passed for each in verify(connection, ring, document, signer=signer, archive_dir=None))
        verify_s = time.perf_counter() - started
        started = time.perf_counter()
        _delete(connection, ring, names[1])
        delete_s = time.perf_counter() - started
        steps.append(Step(size, erase_s, verify_s, delete_s))
        progress(f"erased in {erase_s:.2f} s, proved in {verify_s:.2f} s; deleting rows takes {delete_s:.2f} s")
    return steps


def _delete(connection: Connection, ring: KeyRing, identifier: str) -> None:

    found = subject_of_person(connection, ring, Person(TENANT, identifier))
    assert found is not None
    connection.execute("delete from events where subject_id = %s", [found.subject_id])
    connection.execute("vacuum events")


def _others(is_quick: bool, ends_at: float) -> dict[str, float]:
    """The scores that other benchmarks measure; one that is missing is an error."""
    from benchmarks.landing_services import running
    from benchmarks.privacy_audit import audit_cost
    from benchmarks.privacy_checks import EVENTS, QUICK_EVENTS, measure_checks
    from benchmarks.privacy_landing import landing_rates_kept

    checks = measure_checks(QUICK_EVENTS if is_quick else EVENTS, with_reference=False)
    progress(f"slowest check {checks['check_seconds']} s, {checks['peak_megabytes']} MB")
    with running(None, None) as services:
        names = _WORKLOADS[:1] if is_quick else _WORKLOADS
        kept = landing_rates_kept(services, 60_000 if is_quick else 300_000, 1, names=names, ends_at=ends_at)
        cost = audit_cost(services, 60_000 if is_quick else 300_000, 1 if is_quick else 2, ends_at=ends_at)
    return {
        "landing_rate_kept": min(each.ratio for each in kept.values()),
        "audit_cost_share": cost.audit_cost_share,
        "audit_cpu_share": cost.audit_cpu_share,
        "check_seconds": checks["check_seconds"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true", help="100,000 events: within a minute")
    parser.add_argument("--erasure-only", action="store_true", help="without the other benchmarks' scores")
    asked = parser.parse_args()
    sizes, person = (_QUICK_SIZES, _QUICK_PERSON) if asked.quick else (_SIZES, _PERSON)
    began = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="lah-privacy-", dir="/var/tmp"))
    server = EmbeddedPostgres(folder, port=unused_port(), settings=_SETTINGS)
    server.start()
    try:
        with connect(server.url) as connection:
            migrate(connection)
            steps = erasures(connection, sizes, person)
    finally:
        server.destroy()
        shutil.rmtree(folder, ignore_errors=True)
    scores: dict[str, Any] = {"erase_seconds": steps[-1].erase_s, "verify_seconds": steps[-1].verify_s}
    scores |= {f"erase_seconds_at_{step.events}": step.erase_s for step in steps}
    if not asked.erasure_only:
        scores |= _others(asked.quick, began + _SECONDS)
    deleted = [step.delete_s for step in steps]
    print(f"privacy on {machine()}; a person with {person:,} events, erased and proved against deleted row by row")
    for step in steps:
        print(f"  among {step.events:>9,}: erased {step.erase_s:6.2f} s, proved {step.verify_s:5.2f} s; "
              f"deleted {step.delete_s:6.2f} s ({step.delete_s / step.erase_s:.1f} times)")  # fmt: skip
    for name, value in scores.items():
        print(f"  {name:<32} {value:>10.3f}")
    if asked.json:
        ratio = statistics.median(step.delete_s / step.erase_s for step in steps)
        told = {"ours": scores["erase_seconds"], "references": {"delete_rows_seconds": deleted[-1]}}
        print(json.dumps({"name": "privacy", **told, "ratios": {"delete_rows": ratio}, "scores": scores}))


if __name__ == "__main__":
    main()
