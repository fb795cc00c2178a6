"""What the audit log costs: landing beside a busy log and beside a quiet one in turn; recording, verifying, signing.

Landing itself writes no entry. Busy is 10 readings of personal data a second, each in a transaction of its own, and a
head signed at the end. The rate tells what landing loses, the CPU what the log takes of the machine: where rates of
turns differ by more than a percent by themselves, the second is the finer measure.
"""

import argparse
import json
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import psutil

from benchmarks.landing_process import measure
from benchmarks.landing_services import Services, running
from benchmarks.landing_workload import messages
from benchmarks.report import machine, progress, seconds_of
from lah_platform.compliance.signing import Signer
from lah_platform.stores.audit import record_reading
from lah_platform.stores.audit_heads import sign_new_head
from lah_platform.stores.audit_verify import verify_log

__all__ = ["AuditCost", "audit_cost"]

_SEED = 20231116
_ENTRIES_A_SECOND = 10
_SIGNER = Signer("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")
_FILL = """
insert into audit_log (actor, action, object_type, object_id, tenant, details)
select 'key:0123456789ab', 'read', 'personal_data', 'subject ' || gen_random_uuid(), 'acme',
       jsonb_build_object('purpose', 'access request ' || n, 'rows', n %% 50)
from generate_series(1, %s) n
"""


@dataclass
class AuditCost:
    """Events a second of each turn, beside a busy log and a quiet one, and the share of the CPU that the log took."""

    busy: list[float] = field(default_factory=list)
    quiet: list[float] = field(default_factory=list)
    cpu_shares: list[float] = field(default_factory=list)

    @property
    def audit_cost_share(self) -> float:
        """The share of its rate that landing loses, by the medians; below zero where it lost less than turns differ."""
        return 1 - statistics.median(self.busy) / statistics.median(self.quiet)

    @property
    def audit_cpu_share(self) -> float:
        """CPU of recording and signing over that of landing and its backends in the same time."""
        return statistics.median(self.cpu_shares)


def audit_cost(services: Services, events: int, turns: int, *, ends_at: float = float("inf")) -> AuditCost:
    """Land the same topic with the log busy and quiet in turn; no turn begins after `ends_at` (monotonic)."""
    start = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=1)
    topic = services.topic("audit")
    services.fill(topic, messages(events, seed=_SEED, start=start))
    cost = AuditCost()
    for turn in range(turns + 1):
        for is_busy in (True, False) if turn % 2 else (False, True):
            if turn and time.monotonic() > ends_at and cost.busy and cost.quiet:
                return cost
            with services.connect() as connection:
                services.empty(connection)
            with _entries(services, is_busy) as written:
                landed = measure(services, topic, events)
            if turn:  # the first turn makes series and fills caches
                (cost.busy if is_busy else cost.quiet).append(landed.rate)
                state = f"{written.count} entries" if is_busy else "quiet"
                progress(f"audit log {state}: {landed.rate:,.0f} events/s")
                if is_busy:
                    spent = landed.cpu_seconds + (landed.backend_cpu_seconds or 0.0)
                    share = written.cpu_seconds / written.seconds / (spent / landed.seconds)
                    cost.cpu_shares.append(share)
    return cost


@dataclass
class _Written:
    count: int = 0
    cpu_seconds: float = 0.0
    seconds: float = 0.0


@contextmanager
def _entries(services: Services, is_busy: bool) -> Iterator[_Written]:
    """Ten entries a second for as long as the block takes, and a signed head."""
    written, stop = _Written(), threading.Event()

    def write() -> None:
        with services.connect() as connection:
            backend = psutil.Process(connection.info.backend_pid) if services.is_local else None
            before = sum(backend.cpu_times()[:2]) if backend else 0.0
            started, spent = time.monotonic(), time.thread_time()
            while not stop.wait(max(0.0, started + written.count / _ENTRIES_A_SECOND - time.monotonic())):
                written.count += 1
                what = f"subject {written.count}"
                record_reading(connection, "key:0123456789ab", tenant="acme", what=what, purpose="benchmark", rows=3)
            sign_new_head(connection, _SIGNER, datetime.now(UTC))
            written.seconds = time.monotonic() - started
            written.cpu_seconds = time.thread_time() - spent
            written.cpu_seconds += sum(backend.cpu_times()[:2]) - before if backend else 0.0

    thread = threading.Thread(target=write)
    if is_busy:
        thread.start()
    try:
        yield written
    finally:
        stop.set()
        if is_busy:
            thread.join()


def record_rate(services: Services, connections: int, entries: int) -> float:
    """Entries a second, each in a transaction of its own, from so many connections at once."""

    def write() -> None:
        with services.connect() as connection:
            for number in range(entries // connections):
                record_reading(connection, "key:1", tenant="acme", what=f"subject {number}", purpose="x", rows=1)

    threads = [threading.Thread(target=write) for _ in range(connections)]

    def run() -> None:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    return entries // connections * connections / seconds_of(run)


def verify_rates(services: Services, rows: int) -> tuple[float, float, float]:
    """Rows a second that the database chains in one statement, that verifying follows, and that signing follows."""
    with services.connect() as connection:
        before = verify_log(connection).rows
        chained = seconds_of(lambda: connection.execute(_FILL, [rows]))
        verified = seconds_of(lambda: verify_log(connection))
        signed = seconds_of(lambda: sign_new_head(connection, _SIGNER, datetime.now(UTC)))
    return rows / chained, (before + rows) / verified, rows / signed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--rows", type=int, default=200_000, help="of the log that is verified")
    parser.add_argument("--quick", action="store_true", help="200,000 events, one turn, 20,000 rows: a minute")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    events, turns, rows = (200_000, 1, 20_000) if chosen.quick else (chosen.events, chosen.turns, chosen.rows)
    ends_at = time.monotonic() + 400
    with running(None, None) as services:
        record_one, record_four = (record_rate(services, connections, 2_000) for connections in (1, 4))
        progress(f"recorded {record_one:,.0f} entries/s from one connection, {record_four:,.0f} from four")
        chained, verified, signed = verify_rates(services, rows)
        progress(f"chained {chained:,.0f}, verified {verified:,.0f}, signed {signed:,.0f} rows/s")
        cost = audit_cost(services, events, turns, ends_at=ends_at)
    print(f"privacy_audit on {machine()}; events a second, median (min to max) of the turns")
    for name, rates in (("busy", cost.busy), ("quiet", cost.quiet)):
        print(f"  {name:<6} {statistics.median(rates):>9,.0f}  ({min(rates):,.0f} to {max(rates):,.0f}; {len(rates)})")
    scores = {
        "audit_cost_share": cost.audit_cost_share,
        "audit_cpu_share": cost.audit_cpu_share,
        "record_entries_per_second_1": record_one,
        "record_entries_per_second_4": record_four,
        "chain_rows_per_second": chained,
        "verify_rows_per_second": verified,
        "sign_rows_per_second": signed,
    }
    for name, value in scores.items():
        print(f"  {name:<32} {value:>12,.4f}")
    if chosen.json:
        quiet = statistics.median(cost.quiet)
        ours = statistics.median(cost.busy)
        figures = {"ours": ours, "references": {"quiet": quiet}, "ratios": {"quiet": ours / quiet}, "scores": scores}
        print(json.dumps({"name": "privacy_audit", **figures}))


if __name__ == "__main__":
    main()
