"""Landing processes: `lah land` as an operator runs it, started, frozen, killed, and started again.

Belongs here: the processes and who of them is in the group. Not: when to hurt them (faults).
"""

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import cast

from confluent_kafka import ConsumerGroupState, KafkaException
from confluent_kafka.admin import AdminClient, ConsumerGroupDescription  # type: ignore[attr-defined]

from lah_platform.settings import PROJECT_ROOT
from lah_platform.stack.landing_process import NOT_LANDED_STATUS
from lah_platform.stores.embedded.process import Child, wait_until
from tests.faults.brokers import Broker

__all__ = ["SESSION_SECONDS", "Lander", "Landers", "WaitedTooLong"]

SESSION_SECONDS = 3.0
_STOP_SECONDS = 30.0
_MOST_EARLY_ENDS = 30  # while a service is down a starting process may give up; more is a broken build
_BATCH_ROWS = 60  # small, so that many transactions are there to be hit


class WaitedTooLong(AssertionError):
    """Something that had to happen did not happen before its deadline."""


class Lander:
    """One `lah land`."""

    def __init__(self, name: str, child: Child, log: Path, *, is_grouped: bool) -> None:
        self.name = name
        self.child = child
        self.log = log
        self.is_grouped = is_grouped
        self.is_frozen = False

    @property
    def is_alive(self) -> bool:
        return self.child.return_code is None

    @property
    def has_begun(self) -> bool:
        """Whether it came as far as landing; before that it may give up when a service is away."""
        return b'"landing topic' in self.log.read_bytes()

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.child.pid, number)

    def freeze(self) -> None:
        self.signal(signal.SIGSTOP)
        self.is_frozen = True

    def thaw(self) -> None:
        self.is_frozen = False
        self.signal(signal.SIGCONT)


class Landers:
    """The landing processes of a round. `tend()` starts again what ended by itself, as a supervisor does."""

    def __init__(self, database_url: str, broker: Broker, topic: str, folder: Path, *, dedup: str) -> None:
        self._broker = broker
        self._topic = topic
        self._folder = folder
        self._group = f"group-{topic}"
        self._started = 0
        self._environment = os.environ | {
            "LAH_DATABASE_URL": database_url,
            "LAH_KAFKA_BOOTSTRAP": broker.bootstrap,
            "LAH_TOPIC": topic,
            "LAH_BATCH_ROWS": str(_BATCH_ROWS),
            "LAH_BATCH_SECONDS": "0.2",
            "LAH_DEDUP": dedup,
            "LAH_HOME": str(folder),
            "PYTHONFAULTHANDLER": "1",
        }
        self._environment.pop("LAH_METRICS_PORT", None)
        self.alive: list[Lander] = []
        self.ended_by_themselves: list[str] = []
        self._ended_early = 0

    def start(self, *, grouped: bool | None = None) -> Lander:
        """One more process; in the group where the broker's groups are quick, else owner of every partition."""
        is_grouped = self._broker.has_quick_groups if grouped is None else grouped
        self._started += 1
        name = f"lander-{self._started}"
        log = self._folder / f"{name}.log"
        kafka = {"client.id": name}
        if is_grouped and self._broker.has_quick_groups:
            kafka |= {"session.timeout.ms": str(int(SESSION_SECONDS * 1000)), "heartbeat.interval.ms": "500"}
        environment = self._environment | {"LAH_KAFKA_SETTINGS": json.dumps(kafka)}
        environment.pop("LAH_CONSUMER_GROUP", None)
        if is_grouped:
            environment["LAH_CONSUMER_GROUP"] = self._group
        command = [sys.executable, "-m", "lah_platform.cli", "land"]
        lander = Lander(
            name, Child(name, command, log=log, env=environment, cwd=PROJECT_ROOT), log, is_grouped=is_grouped
        )
        self.alive.append(lander)
        return lander

    def kill(self, lander: Lander) -> None:
        lander.child.kill()
        self.alive.remove(lander)

    def stop(self, lander: Lander) -> None:
        """SIGTERM, and wait: what it read is committed, and it ends with success.

        Or with NOT_LANDED_STATUS when the database is away: what it read and could not land is read again.
        """
        had_begun = lander.has_begun
        status = lander.child.stop(seconds=_STOP_SECONDS)
        self.alive.remove(lander)
        if status == NOT_LANDED_STATUS and "PostgreSQL is away" in lander.child.log_tail():
            return
        if status != 0 and had_begun:
            self.ended_by_themselves.append(f"{lander.name} answered SIGTERM with status {status}: {_tail(lander)}")

    def tend(self) -> None:
        for lander in list(self.alive):
            if not lander.is_alive:
                self.alive.remove(lander)
                if lander.has_begun:
                    status = lander.child.return_code
                    self.ended_by_themselves.append(f"{lander.name} ended with status {status}: {_tail(lander)}")
                else:
                    self._ended_early += 1
                if self._ended_early > _MOST_EARLY_ENDS:
                    raise WaitedTooLong(f"landing processes end before they begin: {_tail(lander)}")
                self.start(grouped=lander.is_grouped)

    def wait(self, condition: Callable[[], bool], *, seconds: float, what: str, poll_seconds: float = 0.1) -> None:
        """Until `condition` holds, tending the processes. Raises WaitedTooLong."""

        def tended() -> bool:
            self.tend()
            return condition()

        if not wait_until(tended, seconds=seconds, poll_seconds=poll_seconds):
            tails = " ‖ ".join(f"{each.name}: {each.child.log_tail(1)}" for each in self.alive)
            ended = "".join(f"\n{line}" for line in self.ended_by_themselves[:3])
            raise WaitedTooLong(f"{what}: not within {seconds:g} s. {tails}{ended}")

    def members(self) -> frozenset[str]:
        """Client ids of the group's members with partitions, once the group is stable; empty while it is not."""
        group = self._described()
        if group is None or group.state != ConsumerGroupState.STABLE:
            return frozenset()
        return frozenset(member.client_id for member in group.members if member.assignment.topic_partitions)

    def is_expelled(self, lander: Lander) -> bool:
        """Whether the group has members and `lander` is none of them; it may wait for the others to rejoin."""
        group = self._described()
        names = {member.client_id for member in group.members} if group is not None else set()
        return bool(names) and lander.name not in names

    def _described(self) -> ConsumerGroupDescription | None:
        # a new client each time: one that saw the broker die had not found the group again 90 s later
        admin = AdminClient({"bootstrap.servers": self._broker.bootstrap, "log_level": 0})
        try:
            described = admin.describe_consumer_groups([self._group], request_timeout=5)
            return cast("ConsumerGroupDescription", described[self._group].result(5))
        except (KafkaException, TimeoutError):
            return None

    def count_in_logs(self, text: str) -> int:
        """How often the logs of every process of this round say `text`."""
        return sum(log.read_bytes().count(text.encode()) for log in self._folder.glob("lander-*.log"))

    def kill_all(self) -> None:
        for lander in list(self.alive):
            self.kill(lander)


def _tail(lander: Lander) -> str:
    return lander.child.log_tail(40)[-3000:]
