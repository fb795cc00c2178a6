"""A campaign: rounds of faults, each on a fresh database and topic, each judged when everything produced is landed.

A round repeats by its own seed. Belongs here: the order of things and the report. Not: faults, messages, promises.
"""

import random
import shutil
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from lah_platform.settings import Settings
from lah_platform.stores.master_keys import hub_key_ring
from lah_platform.stores.rollups import tick
from tests.faults.brokers import Broker, start_broker
from tests.faults.database import AWAY, Database, PostgresServer, small_disk
from tests.faults.faults import FAULTS, NotInjected, Scene, skipped
from tests.faults.landers import Landers
from tests.faults.oracle import BrokenPromise, Logged, Place, Tally, judge, read_log
from tests.faults.workload import Workload
from tests.rollups.recount import assert_rollups_equal_recount

__all__ = ["FAULTS_PER_ROUND", "Report", "Rig", "rig", "run_round"]

FAULTS_PER_ROUND = 20
_PARTITIONS = 4
_RATE = 250  # events a second: traffic at every moment, and a recount in exact fractions that takes seconds
_TRIES = 4
_FLUSH_SECONDS = 60.0
_LANDED_SECONDS = 120.0
_BEGIN_SECONDS = 90.0
_TICK_SECONDS = 1.0


@dataclass(frozen=True)
class Rig:
    """What rounds share: the server, the broker, a folder for logs."""

    server: PostgresServer
    broker: Broker
    folder: Path

    def skipped(self) -> dict[str, str]:
        return skipped(self.broker, self.server.disk)


@dataclass
class Report:
    """One round: what was injected how often, what was produced, and what the oracle found."""

    seed: int
    injected: Counter[str] = field(default_factory=Counter)
    missed: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    tally: Tally = field(default_factory=Tally)
    ticks: int = 0
    seconds: float = 0.0


@contextmanager
def rig(kind: str) -> Iterator[Rig]:
    """Broker 'kafka' or 'embedded' and a PostgreSQL of their own; nothing of them is left afterwards.

    Raises BrokerUnavailable when this machine cannot run that broker.
    """
    folder = Path(tempfile.mkdtemp(prefix="lah-faults-"))
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        broker = start_broker(kind, folder / "broker")
        stack.callback(broker.destroy)
        disk = stack.enter_context(small_disk(PostgresServer.owner()))
        server = PostgresServer(folder / "postgres", disk)
        stack.callback(server.destroy)
        server.start()
        server.make_template()
        yield Rig(server, broker, folder)


def run_round(
    rig: Rig,
    *,
    seed: int,
    faults: int,
    dedup: str,
    rate: int = _RATE,
    say: Callable[[str], None] = lambda line: None,  # noqa: ARG005
) -> Report:
    """Inject `faults` faults into landing under traffic of `rate` events a second and judge what is stored.

    Raises BrokenPromise (or WaitedTooLong, when landing does not go on) with everything that does not hold.
    """
    started = time.monotonic()
    chance = random.Random(seed)
    report = Report(seed)
    name = f"faults_{seed}_{dedup}"
    folder = rig.folder / name
    folder.mkdir()
    _make_topic(rig.broker, name)
    with ExitStack() as stack:
        database = stack.enter_context(rig.server.database(name))
        stack.callback(database.close)
        landers = Landers(database.url, rig.broker, name, folder, dedup=dedup)
        stack.callback(landers.kill_all)
        workload = Workload(
            rig.broker.bootstrap, name, _PARTITIONS, seed=chance.getrandbits(64), rate=rate, base=datetime.now(UTC)
        )
        stack.callback(workload.stop, 0)
        ticks = stack.enter_context(_ticking(database))
        scene = Scene(rig.server, database, rig.broker, landers, workload, chance)
        for _ in range(2 if rig.broker.has_quick_groups else 1):
            landers.start()
        workload.start()
        scene.wait(lambda: database.landed() > 0, "landing begins", _BEGIN_SECONDS)
        for fault in _order(chance, rig, faults):
            _inject(scene, fault, report, rate, say)
        unacknowledged = workload.stop(_FLUSH_SECONDS)
        log = read_log(rig.broker.bootstrap, name, _PARTITIONS)
        end = {number: 1 + max(offset for partition, offset in log if partition == number) for number, _ in log}
        landers.wait(
            lambda: database.offsets() == end, seconds=_LANDED_SECONDS, what=f"landing reaches the log's end {end}"
        )
        for lander in list(landers.alive):
            landers.stop(lander)
        ticks.stop()
        landed_after = time.monotonic() - started
        report.ticks = ticks.count
        report.tally = _judge(name, log, database, workload, folder, strict=dedup == "strict")
        report.tally.check(not unacknowledged, f"BROKER: {unacknowledged} records were never acknowledged")
        report.tally.broken += landers.ended_by_themselves + ticks.broken
    report.kinds.update(workload.kinds)
    report.seconds = time.monotonic() - started
    say(f"  landed after {landed_after:.0f} s, recounted after {report.seconds:.0f} s")
    if report.tally.broken:
        raise BrokenPromise("\n".join(report.tally.broken))
    return report


def _order(chance: random.Random, rig: Rig, faults: int) -> list[str]:
    """Every kind once, shuffled, again and again."""
    possible = [name for name in FAULTS if name not in rig.skipped()]
    order: list[str] = []
    while len(order) < faults:
        chance.shuffle(possible)
        order += possible
    return order[:faults]


def _inject(scene: Scene, fault: str, report: Report, rate: int, say: Callable[[str], None]) -> None:
    for _ in range(_TRIES):
        scene.lands(scene.chance.randrange(1, rate), f"landing goes on before {fault}", _LANDED_SECONDS)
        began = time.monotonic()
        try:
            FAULTS[fault](scene)
        except NotInjected as missed:
            report.missed[fault] += 1
            say(f"  {fault}: not injected at this moment, {missed}")
            continue
        report.injected[fault] += 1
        say(
            f"  {sum(report.injected.values()):3} {fault} ({time.monotonic() - began:.1f} s;"
            f" {scene.workload.produced} produced, {scene.database.landed()} landed)"
        )
        return


def _judge(
    topic: str, log: Mapping[Place, Logged], database: Database, workload: Workload, home: Path, *, strict: bool
) -> Tally:
    keys = hub_key_ring(Settings(home=home))
    assert keys is not None
    with database.connect() as connection:
        tally = judge(connection, topic, log, workload, keys, strict=strict)
        while tick(connection, now=datetime.now(UTC)).partials:
            pass
        try:
            assert_rollups_equal_recount(connection)
        except AssertionError as error:
            tally.broken.append(f"rollups are not what a recount of the events says: {error}")
    return tally


def _make_topic(broker: Broker, topic: str) -> None:
    admin = AdminClient({"bootstrap.servers": broker.bootstrap, "log_level": 0})
    admin.create_topics([NewTopic(topic, _PARTITIONS, config={"max.message.bytes": str(4 << 20)})])[topic].result(30)


class _Ticks:
    """Rollups advance beside landing and its faults, as the hub's sensor makes them."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ticks", daemon=True)
        self.count = 0
        self.broken: list[str] = []
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(_TICK_SECONDS):
            try:
                with self._database.connect() as connection:
                    tick(connection, now=datetime.now(UTC))
                self.count += 1
            except AWAY:
                continue  # the server is away: the next tick does the work
            except Exception as error:  # said by the oracle, not lost in a thread
                self.broken.append(f"a rollup tick failed: {type(error).__name__}: {error}")


@contextmanager
def _ticking(database: Database) -> Iterator[_Ticks]:
    ticks = _Ticks(database)
    try:
        yield ticks
    finally:
        ticks.stop()
