"""The faults. Each is injected into work in progress and returns once its effect was seen, or says why not.

Belongs here: what is hurt, how, and how one sees that it was. Not: the order of faults, nor what must hold after them.
"""

import os
import random
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import psycopg

from tests.faults.brokers import Broker
from tests.faults.database import AWAY, Database, PostgresServer, SmallDisk
from tests.faults.landers import SESSION_SECONDS, Lander, Landers, WaitedTooLong
from tests.faults.workload import BAD_KINDS, Workload

__all__ = ["FAULTS", "NotInjected", "Scene", "skipped"]

_SEEN_SECONDS = 30.0
_FENCED_SECONDS = 10.0
_LANDERS = 2
_LOCK_TIMED_OUT = "due to lock timeout"
_DISK_FULL = "No space left on device"
_BACKENDS_RESTART = "terminating any other active server processes"


class NotInjected(Exception):
    """There was nothing to hurt at that moment; the fault does not count."""


@dataclass
class Scene:
    """Everything a fault can reach. `chance` is the round's own."""

    server: PostgresServer
    database: Database
    broker: Broker
    landers: Landers
    workload: Workload
    chance: random.Random

    def wait(self, condition: Callable[[], bool], what: str, seconds: float = _SEEN_SECONDS) -> None:
        self.landers.wait(condition, seconds=seconds, what=what)

    def lands(self, records: int, what: str, seconds: float = 90.0) -> None:
        """Wait until so many more records are landed."""
        target = max(self.database.landed(), 0) + records
        self.wait(lambda: self.database.landed() >= target, what, seconds)

    def victim(self) -> Lander:
        """One of the landing processes that is at work."""
        candidates = [each for each in self.landers.alive if each.has_begun and each.is_alive]
        if not candidates:
            raise NotInjected("no landing process was at work")
        return self.chance.choice(candidates)


def kill_landing(scene: Scene) -> None:
    """SIGKILL of a landing process inside a transaction; another takes its place."""
    _backend_at_work(scene)
    victim = scene.victim()
    scene.landers.kill(victim)
    scene.landers.start(grouped=victim.is_grouped)


def kill_broker(scene: Scene) -> None:
    """SIGKILL of the broker, started again on its log."""
    scene.broker.kill()
    scene.broker.start()


def kill_backend(scene: Scene) -> None:
    """SIGKILL of the server process behind a landing transaction: PostgreSQL restarts all of them and recovers."""
    recoveries = scene.server.count_in_log(_BACKENDS_RESTART)
    with suppress(ProcessLookupError):  # it ended by itself in between: seen below
        os.kill(_backend_at_work(scene), signal.SIGKILL)
    scene.wait(
        lambda: scene.server.count_in_log(_BACKENDS_RESTART) > recoveries,
        "PostgreSQL notices its killed backend",
    )


def terminate_backend(scene: Scene) -> None:
    """pg_terminate_backend of a landing session."""
    pid = _backend_at_work(scene)
    try:
        with scene.database.connect() as connection:
            row = connection.execute("select pg_terminate_backend(%s)", (pid,)).fetchone()
    except AWAY as error:
        raise NotInjected("PostgreSQL was away") from error
    if row != (True,):
        raise NotInjected("the session had ended")


def stop_server(scene: Scene) -> None:
    """Immediate stop of the whole server (SIGQUIT), then a crash recovery."""
    _backend_at_work(scene)
    scene.server.stop_immediately()
    scene.server.start()


def kill_server(scene: Scene) -> None:
    """SIGKILL of every process of the server, then a crash recovery."""
    _backend_at_work(scene)
    scene.server.kill()
    scene.server.start()


def freeze_consumer(scene: Scene) -> None:
    """SIGSTOP until the others own its partitions, then SIGCONT: a zombie with a batch in its hands."""
    if scene.broker.has_quick_groups:
        if len(scene.landers.alive) < _LANDERS:
            scene.landers.start()
        scene.wait(lambda: len(scene.landers.members()) >= _LANDERS, "a second member joins the group", 60)
        _backend_at_work(scene)
        victim = scene.victim()
        victim.freeze()
        try:
            scene.wait(
                lambda: scene.landers.is_expelled(victim),
                f"the group expels a consumer that is frozen for longer than {SESSION_SECONDS:g} s",
                60,
            )
        finally:
            victim.thaw()
        return
    with _rival(scene):
        _backend_at_work(scene)
        victim = scene.landers.alive[0]
        timeouts = scene.server.count_in_log(_LOCK_TIMED_OUT)
        victim.freeze()
        target = max(scene.database.landed(), 0) + 50
        try:
            scene.wait(
                lambda: scene.database.landed() >= target or scene.server.count_in_log(_LOCK_TIMED_OUT) > timeouts + 1,
                "the other owner lands while one is frozen, or waits for the locks that it holds",
            )
        finally:
            victim.thaw()


def add_consumer(scene: Scene) -> None:
    """One more consumer: partitions move to it while their batches are in flight."""
    added = scene.landers.start(grouped=True)
    scene.wait(lambda: added.name in scene.landers.members(), "the added consumer gets partitions", 90)


def remove_consumer(scene: Scene) -> None:
    """SIGTERM of a consumer: it commits what it read and its partitions move."""
    if len(scene.landers.alive) < _LANDERS:
        scene.landers.start()
        scene.wait(lambda: len(scene.landers.members()) >= _LANDERS, "a second member joins the group", 60)
    _backend_at_work(scene)
    scene.landers.stop(scene.victim())


def two_owners(scene: Scene) -> None:
    """A process without a group takes every partition beside their owners: only the offset fence parts them."""
    fenced = scene.landers.count_in_logs("landing fenced")
    with _rival(scene):
        try:
            scene.wait(
                lambda: scene.landers.count_in_logs("landing fenced") > fenced, "one of two is fenced", _FENCED_SECONDS
            )
        except WaitedTooLong as error:
            raise NotInjected("neither of two owners was fenced") from error
        scene.lands(scene.chance.randrange(50, 400), "two owners land side by side")


def lock_tables(scene: Scene) -> None:
    """Another session locks what landing writes, until a landing transaction gives up on lock_timeout."""
    statement = scene.chance.choice(
        [
            "lock table events in access exclusive mode",
            "lock table ledger in exclusive mode",
            "lock table landing_batches in exclusive mode",
            "select from landing_offsets for update",
        ]
    )
    timeouts = scene.server.count_in_log(_LOCK_TIMED_OUT)
    try:
        with scene.database.connect() as connection, connection.transaction():
            connection.execute("set local statement_timeout = '20s'")
            connection.execute(statement.encode())
            scene.wait(scene.database.has_waiting_landing, f"landing waits for the lock of '{statement}'")
            scene.wait(
                lambda: scene.server.count_in_log(_LOCK_TIMED_OUT) > timeouts,
                f"landing gives up on the lock of '{statement}'",
            )
    except psycopg.errors.QueryCanceled as error:
        raise NotInjected("landing held the lock itself all the time") from error
    except AWAY as error:
        raise NotInjected("PostgreSQL was away") from error


def fill_disk(scene: Scene) -> None:
    """Not a free block where the database lives, until a landing transaction fails for it; then it is freed."""
    disk = scene.server.disk
    assert isinstance(disk, SmallDisk)
    failures = scene.server.count_in_log(_DISK_FULL)
    disk.fill()
    try:
        scene.wait(lambda: scene.server.count_in_log(_DISK_FULL) > failures, "PostgreSQL runs out of disk", 60)
    finally:
        disk.free()


def duplicates(scene: Scene) -> None:
    """Events again at other offsets and in other partitions."""
    scene.workload.burst("duplicate", scene.chance.randint(50, 300))


def conflicts(scene: Scene) -> None:
    """The same event_id under another timestamp."""
    scene.workload.burst("conflict", scene.chance.randint(20, 100))


def late_and_reordered(scene: Scene) -> None:
    """Events days late, and events newest first."""
    scene.workload.burst("late", scene.chance.randint(20, 100))
    scene.workload.burst("reordered", scene.chance.randint(50, 200))


def bad_records(scene: Scene) -> None:
    """Every kind of record that must be refused, among good ones."""
    kinds = list(BAD_KINDS)
    scene.chance.shuffle(kinds)
    for kind in kinds:
        scene.workload.burst(kind, 1 if kind == "oversized" else scene.chance.randint(1, 12))


FAULTS: dict[str, Callable[[Scene], None]] = {
    fault.__name__: fault
    for fault in (
        kill_landing,
        kill_broker,
        kill_backend,
        terminate_backend,
        stop_server,
        kill_server,
        freeze_consumer,
        add_consumer,
        remove_consumer,
        two_owners,
        lock_tables,
        fill_disk,
        duplicates,
        conflicts,
        late_and_reordered,
        bad_records,
    )
}


def skipped(broker: Broker, disk: SmallDisk | str) -> dict[str, str]:
    """The faults that this broker or machine cannot take, and why."""
    reasons = {}
    if not broker.can_be_killed:
        reasons["kill_broker"] = "the embedded broker keeps its log in memory"
    if not broker.has_quick_groups:
        slow = "joining a group takes the embedded broker about 24 s; two_owners takes its place"
        reasons |= dict.fromkeys(("add_consumer", "remove_consumer"), slow)
    if isinstance(disk, str):
        reasons["fill_disk"] = disk
    return reasons


def _backend_at_work(scene: Scene) -> int:
    """The server process of a landing transaction in progress."""
    found: list[int] = []

    def is_at_work() -> bool:
        pid = scene.database.landing_backend(at_work=True)
        if pid is not None:
            found.append(pid)
        return bool(found)

    try:
        # a transaction takes some 10 ms of every 200
        scene.landers.wait(
            is_at_work, seconds=_SEEN_SECONDS, what="a landing transaction is in progress", poll_seconds=0.002
        )
    except WaitedTooLong as error:
        raise NotInjected(str(error)) from error
    return found[-1]


@contextmanager
def _rival(scene: Scene) -> Iterator[Lander]:
    rival = scene.landers.start(grouped=False)
    try:
        scene.wait(lambda: rival.has_begun, "a second owner begins", 60)
        yield rival
    finally:
        if rival in scene.landers.alive:
            if scene.chance.random() < 0.5:
                scene.landers.kill(rival)
            else:
                scene.landers.stop(rival)
