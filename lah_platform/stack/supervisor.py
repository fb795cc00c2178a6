"""The supervisor: starts the hub's processes in order, restarts what dies, stops everything it started.

One supervisor a LAH_HOME, held by a lock on a file that the kernel releases when it dies.
"""

import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psutil

from lah_platform.errors import ConfigurationError
from lah_platform.settings import PROJECT_ROOT, Settings
from lah_platform.stack.demo_key import ensure_demo_keys, revoke_demo_keys
from lah_platform.stack.endpoints import StackState, write_state
from lah_platform.stack.environment import child_environment
from lah_platform.stack.services import Service, hub_services
from lah_platform.stack.stopping import stop_orphans
from lah_platform.stores.costs import ensure_price_book
from lah_platform.stores.dbt_project import build_manifest, is_stale
from lah_platform.stores.embedded.broker import EmbeddedBroker
from lah_platform.stores.embedded.ports import free_port
from lah_platform.stores.embedded.postgres import EmbeddedPostgres
from lah_platform.stores.embedded.process import Child
from lah_platform.stores.kafka import ensure_topic
from lah_platform.stores.keys import server_secret
from lah_platform.stores.migrations import migrate
from lah_platform.stores.postgres import connect

__all__ = ["Supervisor"]

_READY_SECONDS = 90.0
_STOP_SECONDS = 25.0
_RESTART_FIRST_SECONDS = 1.0
_RESTART_MOST_SECONDS = 30.0
_MEMORY_SECONDS = 2.0
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Supervisor:
    """Everything of one hub. `report` gets one line per step, for a person to read."""

    def __init__(self, settings: Settings, report: Callable[[str], None]) -> None:
        self._settings = settings
        self._report = report
        self._services: list[Service] = []
        self._postgres: EmbeddedPostgres | None = None
        self._broker: EmbeddedBroker | None = None
        self._environment: dict[str, str] = {}
        self.database_url = ""
        self.bootstrap: str | None = None
        self.api_url = ""
        self.dagster_url = ""
        self.demo_keys: dict[str, str] = {}
        self.peak_resident_bytes = 0
        self._memory_noted_at = 0.0

    @contextmanager
    def running(self) -> Iterator["Supervisor"]:
        """The hub, up and ready inside the block; every process it started is stopped after it."""
        with self._only_one():
            try:
                self._start()
                yield self
            finally:
                self.stop()

    def watch(self, stop: Callable[[], bool], wait: Callable[[float], object]) -> None:
        """Until `stop()`: start again what died, with growing pauses, and say so."""
        while not stop():
            self.revive()
            wait(1.0)

    def revive(self) -> None:
        """Start again every process that has ended since the last look."""
        if self._postgres and self._postgres.has_ended:
            self._report("PostgreSQL ended, starting it again")
            self._postgres.start()
        if self._broker and self._broker.has_ended:
            self._report(
                "The embedded broker ended, starting it again; what it held in memory and was not landed is lost"
            )
            self._broker.start()
            ensure_topic(self._broker.bootstrap, self._settings.topic, self._settings.topic_partitions)
            for service in self._services:
                if service.name == "landing" and service.child:
                    service.child.stop()  # it holds the id of a topic that is no more
        now = time.monotonic()
        for service in self._services:
            if service.child is None or service.child.return_code is None:
                continue
            if service.restart_at == 0.0:
                pause = min(_RESTART_FIRST_SECONDS * 2**service.restarts, _RESTART_MOST_SECONDS)
                service.restart_at = now + pause
                self._report(f"{service.name} ended ({service.child.return_code}), starting it again in {pause:g} s")
            elif now >= service.restart_at:
                service.restarts += 1
                service.restart_at = 0.0
                self._launch(service)
        self._write_state()

    def pids(self) -> dict[str, int]:
        """Every process that was started, by name."""
        parts = {"postgres": self._postgres, "broker": self._broker} | {s.name: s.child for s in self._services}
        return {name: part.pid for name, part in parts.items() if part is not None and part.pid is not None}

    def log_of(self, name: str) -> Path:
        """The log file of a process."""
        return self._settings.home / "logs" / f"{name}.log"

    def note_memory(self) -> None:
        """Remember the most that is resident at once; looks at most every two seconds, for looking costs CPU."""
        now = time.monotonic()
        if now - self._memory_noted_at >= _MEMORY_SECONDS:
            self._memory_noted_at = now
            self.peak_resident_bytes = max(self.peak_resident_bytes, self._resident_bytes())

    def _resident_bytes(self) -> int:
        """Resident memory of everything that was started, children included, shared pages counted once (PSS)."""
        total = 0
        for pid in self.pids().values():
            try:
                process = psutil.Process(pid)
                for each in [process, *process.children(recursive=True)]:
                    total += each.memory_full_info().pss
            except psutil.NoSuchProcess:
                continue
        return total

    def stop(self) -> None:
        """Stop everything: doors first, then landing, which commits what it has read, the database last."""
        children = [service.child for service in reversed(self._services) if service.child is not None]
        if children:
            with ThreadPoolExecutor(len(children)) as pool:
                list(pool.map(lambda child: child.stop(seconds=_STOP_SECONDS), children))
        if self._broker:
            self._broker.stop()
        if self._postgres:
            self._postgres.stop()
        self._services.clear()
        write_state(self._settings, None)

    @contextmanager
    def _only_one(self) -> Iterator[None]:
        home = self._settings.home
        home.mkdir(parents=True, exist_ok=True)
        with (home / "lock").open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ConfigurationError(
                    f"A hub is already running in {home}", "Use it, or stop it with `lah down`"
                ) from None
            stop_orphans(self._settings)
            yield

    def _start(self) -> None:
        settings = self._settings
        taken: set[int] = set()

        def port(wanted: int, what: str) -> int:
            chosen = free_port(wanted, frozenset(taken))
            if chosen != wanted:
                self._report(f"Port {wanted} is taken, {what} uses {chosen}")
            taken.add(chosen)
            return chosen

        if settings.database_url is None:
            self._postgres = EmbeddedPostgres(
                settings.home / "postgres", port=port(settings.postgres_port, "the embedded PostgreSQL")
            )
            self._timed("PostgreSQL", self._postgres.start)
            self.database_url = self._postgres.url
        else:
            self.database_url = settings.database_url.get_secret_value()
        self._timed("Schema", self._migrate)
        if settings.has_embedded_broker:
            self._broker = EmbeddedBroker(
                settings.home / "broker", port=port(settings.broker_port, "the embedded broker")
            )
            self._timed("Broker", self._broker.start)
            self.bootstrap = self._broker.bootstrap
        elif settings.has_broker:
            self.bootstrap = settings.kafka_bootstrap
        if self.bootstrap:
            ensure_topic(self.bootstrap, settings.topic, settings.topic_partitions)
        code_port = port(settings.code_port, "Dagster's code server")
        marts_port = port(settings.code_port + 1, "the marts' code server")
        dagster_port = port(settings.dagster_port, "the Dagster UI")
        api_port = port(settings.api_port, "the API")
        self.dagster_url = f"http://127.0.0.1:{dagster_port}"
        self.api_url = f"{settings.api_scheme}://{settings.api_host}:{api_port}"
        self._environment = child_environment(
            settings,
            database_url=self.database_url,
            bootstrap=self.bootstrap,
            code_port=code_port,
            marts_port=marts_port,
        )
        self._environment |= {"LAH_API_HOST": settings.api_host, "LAH_API_PORT": str(api_port)}
        self._prepare_dagster_home()
        self._services = hub_services(
            has_broker=self.bootstrap is not None,
            code_port=code_port,
            marts_port=marts_port,
            dagster_port=dagster_port,
            dagster_url=self.dagster_url,
            api_url=self.api_url,
        )
        self._write_state()
        self._timed("Landing, Dagster and API", self._launch_all)

    def _migrate(self) -> None:
        with connect(self.database_url) as connection:
            migrate(connection)
            ensure_price_book(connection)
            if self._settings.api_host in _LOOPBACK:
                home, given = self._settings.home, self._settings.secret
                secret = server_secret(home, given.get_secret_value() if given else None)
                self.demo_keys = ensure_demo_keys(connection, secret, home)
            elif revoke_demo_keys(connection):
                self._report(f"The demo key is revoked: {self._settings.api_host} is not a loopback address")

    def _has_dagster_tables(self) -> bool:
        with connect(self.database_url) as connection:
            return connection.execute(
                "select to_regclass('dagster.asset_daemon_asset_evaluations') is not null"
            ).fetchone() == (True,)

    def _prepare_dagster_home(self) -> None:
        home = self._settings.home / "dagster"
        home.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(PROJECT_ROOT / "deploy" / "dagster.yaml", home / "dagster.yaml")

    def _launch_all(self) -> None:
        for service in self._services:
            if service.name == "marts" and is_stale():
                build_manifest(url=self.database_url)
            if service.name == "marts" and not self._has_dagster_tables():
                # the first of them makes Dagster's tables; two at once fail with "already exists"
                self._wait_ready(next(each for each in self._services if each.name == "code"))
            if service.name == "dagster-webserver":
                for location in self._services:
                    if location.name in ("code", "marts"):
                        self._wait_ready(location)
            self._launch(service)
        for service in self._services:
            self._wait_ready(service)

    def _wait_ready(self, service: Service) -> None:
        if service.child:
            service.child.wait_ready(service.is_ready, seconds=_READY_SECONDS)

    def _launch(self, service: Service) -> None:
        service.child = Child(
            service.name,
            service.command,
            log=self.log_of(service.name),
            env=self._environment,
            cwd=PROJECT_ROOT,
        )

    def _timed(self, what: str, step: Callable[[], None]) -> None:
        started = time.monotonic()
        step()
        self._report(f"{what} ready in {time.monotonic() - started:.1f} s")

    def _write_state(self) -> None:
        write_state(
            self._settings,
            StackState(
                supervisor_pid=os.getpid(),
                postgres_port=self._postgres.port if self._postgres else None,
                broker_port=self._broker.port if self._broker else None,
                api_url=self.api_url or None,
                dagster_url=self.dagster_url or None,
                pids=self.pids(),
            ),
        )
