"""The supervisor: starts the hub's processes in order, restarts what dies, stops everything it started.

One supervisor a LAH_HOME, held by a lock on a file that the kernel releases when it dies.
"""

import fcntl
import os
import shutil
import signal
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from lah_platform.errors import ConfigurationError, StackError
from lah_platform.settings import PROJECT_ROOT, Settings
from lah_platform.stack.demo_key import ensure_demo_keys, revoke_demo_keys
from lah_platform.stack.endpoints import StackState, read_state, write_state
from lah_platform.stack.environment import child_environment
from lah_platform.stores.dbt_project import build_manifest, is_stale
from lah_platform.stores.embedded.broker import EmbeddedBroker
from lah_platform.stores.embedded.ports import free_port, is_free
from lah_platform.stores.embedded.postgres import EmbeddedPostgres
from lah_platform.stores.embedded.process import Child, wait_until
from lah_platform.stores.kafka import ensure_topic
from lah_platform.stores.keys import server_secret
from lah_platform.stores.migrations import migrate
from lah_platform.stores.postgres import connect

__all__ = ["Supervisor", "stop_stack"]

_READY_SECONDS = 90.0
_STOP_SECONDS = 25.0
_RESTART_FIRST_SECONDS = 1.0
_RESTART_MOST_SECONDS = 30.0
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass
class _Service:
    """A process that is started again when it dies; `is_ready` is asked after each start."""

    name: str
    command: list[str]
    is_ready: Callable[[], bool]
    child: Child | None = None
    restarts: int = 0
    restart_at: float = 0.0


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return bool(response.status < 500)
    except (urllib.error.URLError, OSError):
        return False


class Supervisor:
    """Everything of one hub. `report` gets one line per step, for a person to read."""

    def __init__(self, settings: Settings, report: Callable[[str], None]) -> None:
        self._settings = settings
        self._report = report
        self._services: list[_Service] = []
        self._postgres: EmbeddedPostgres | None = None
        self._broker: EmbeddedBroker | None = None
        self._environment: dict[str, str] = {}
        self.database_url = ""
        self.bootstrap: str | None = None
        self.api_url = ""
        self.dagster_url = ""
        self.demo_keys: dict[str, str] = {}

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
            next(service for service in self._services if service.name == "landing").child.stop()  # type: ignore[union-attr]
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

    def resident_bytes(self) -> int:
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
        self.api_url = f"http://{settings.api_host}:{api_port}"
        self._environment = child_environment(
            settings,
            database_url=self.database_url,
            bootstrap=self.bootstrap,
            code_port=code_port,
            marts_port=marts_port,
        )
        self._environment |= {"LAH_API_HOST": settings.api_host, "LAH_API_PORT": str(api_port)}
        self._prepare_dagster_home()
        self._declare_services(code_port, marts_port, dagster_port)
        self._write_state()
        self._timed("Landing, Dagster and API", self._launch_all)

    def _migrate(self) -> None:
        with connect(self.database_url) as connection:
            migrate(connection)
            for schema in (b"dagster", b"marts"):
                connection.execute(b"create schema if not exists " + schema)
            if self._settings.api_host in _LOOPBACK:
                home, given = self._settings.home, self._settings.secret
                secret = server_secret(home, given.get_secret_value() if given else None)
                self.demo_keys = ensure_demo_keys(connection, secret, home)
            elif revoke_demo_keys(connection):
                self._report(f"The demo key is revoked: {self._settings.api_host} is not a loopback address")

    def _prepare_dagster_home(self) -> None:
        home = self._settings.home / "dagster"
        home.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(PROJECT_ROOT / "deploy" / "dagster.yaml", home / "dagster.yaml")

    def _declare_services(self, code_port: int, marts_port: int, dagster_port: int) -> None:
        python = [sys.executable, "-m"]
        workspace = ["-w", str(PROJECT_ROOT / "workspace.yaml")]
        code = [*python, "dagster", "api", "grpc", "--host", "127.0.0.1"]
        if self.bootstrap:
            self._add("landing", [*python, "lah_platform.cli", "land"], lambda: True)
        self._add("code", [*code, "-p", str(code_port), "-m", "assets.definitions"], lambda: not is_free(code_port))
        self._add(
            "marts", [*code, "-p", str(marts_port), "-m", "assets.marts_definitions"], lambda: not is_free(marts_port)
        )
        self._add(
            "dagster-webserver",
            [*python, "dagster_webserver", "-h", "127.0.0.1", "-p", str(dagster_port), *workspace],
            lambda: _answers(f"{self.dagster_url}/server_info"),
        )
        self._add("dagster-daemon", [*python, "dagster._daemon", "run", *workspace], lambda: True)
        self._add(
            "api",
            [*python, "api.main"],
            lambda: _answers(f"{self.api_url}/health"),
        )

    def _add(self, name: str, command: list[str], is_ready: Callable[[], bool]) -> None:
        self._services.append(_Service(name, command, is_ready))

    def _launch_all(self) -> None:
        first = ("landing", "code", "api")
        for service in self._services:
            if service.name in first:
                self._launch(service)
        if is_stale():
            build_manifest(url=self.database_url)
        later = [service for service in self._services if service.name not in first]
        for name in (
            "marts",
            "dagster-webserver",
            "dagster-daemon",
        ):  # the last two load their locations once, at start
            service = next(each for each in later if each.name == name)
            if name == "dagster-webserver":
                for code in self._services:
                    if code.name in ("code", "marts") and code.child:
                        code.child.wait_ready(code.is_ready, seconds=_READY_SECONDS)
            self._launch(service)
        for service in self._services:
            if service.child:
                service.child.wait_ready(service.is_ready, seconds=_READY_SECONDS)

    def _launch(self, service: _Service) -> None:
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


def stop_orphans(settings: Settings) -> list[str]:
    """End processes that a killed supervisor left behind; returns their names."""
    state = read_state(settings)
    if state is None:
        return []
    left = []
    for name, pid in reversed(state.pids.items()):
        if str(settings.home) not in _environment_of(pid):
            continue
        left.append(name)
        os.kill(pid, signal.SIGINT if name == "postgres" else signal.SIGTERM)
        if not wait_until(lambda pid=pid: _has_ended(pid), seconds=_STOP_SECONDS):  # type: ignore[misc]
            os.kill(pid, signal.SIGKILL)
    write_state(settings, None)
    return left


def _has_ended(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def _environment_of(pid: int) -> str:
    try:
        process = psutil.Process(pid)
        return " ".join([*process.environ().values(), *process.cmdline()])
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return ""


def stop_stack(settings: Settings) -> bool:
    """Ask the running supervisor to stop, wait for it, and end what it left. Returns whether anything ran."""
    state = read_state(settings)
    if state is None:
        return False
    if not _has_ended(state.supervisor_pid):
        os.kill(state.supervisor_pid, signal.SIGTERM)
        if not wait_until(lambda: _has_ended(state.supervisor_pid), seconds=2 * _STOP_SECONDS):
            raise StackError(
                f"The hub (process {state.supervisor_pid}) did not stop in {2 * _STOP_SECONDS:g} s",
                f"Read {settings.home / 'logs'}, or `kill -9 {state.supervisor_pid}` and run `lah down` again",
            )
        return True
    stop_orphans(settings)
    return True


def data_paths(settings: Settings) -> list[Path]:
    """Folders that hold the embedded parts' data."""
    return [settings.home, EmbeddedPostgres(settings.home / "postgres", port=settings.postgres_port).data]
