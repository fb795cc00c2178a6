"""The whole hub for a benchmark, as `lah up` starts it: in a home of its own, on free ports, removed at the end.

Belongs here: starting, finding and removing it. Not: what is measured.
"""

import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from lah_platform.settings import Settings
from lah_platform.stack.stopping import data_paths
from lah_platform.stack.supervisor import Supervisor
from lah_platform.stores.embedded.ports import unused_port
from lah_platform.stores.postgres import Connection, connect

__all__ = ["Hub", "running_hub"]

_PORTS = ("postgres", "broker", "code", "dagster", "api")


class Hub:
    """A running hub. `settings` are those of every process of it."""

    def __init__(self, supervisor: Supervisor, settings: Settings) -> None:
        self._supervisor = supervisor
        self.settings = settings

    @property
    def bootstrap(self) -> str:
        assert self._supervisor.bootstrap is not None
        return self._supervisor.bootstrap

    @property
    def api_url(self) -> str:
        return self._supervisor.api_url

    @property
    def dagster_url(self) -> str:
        return self._supervisor.dagster_url

    def connect(self) -> Connection:
        """An autocommit connection of the benchmark's own."""
        return connect(self._supervisor.database_url, application_name="lah-benchmark")

    def pids(self) -> dict[str, int]:
        """The first process of each part, by name."""
        return self._supervisor.pids()

    def check(self) -> None:
        """Raises RuntimeError with a log's end when a process has ended: nothing is started again while measuring."""
        for name, pid in self.pids().items():
            if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                raise RuntimeError(f"{name} ended; its last lines: {self._tail(name)}")

    def _tail(self, name: str) -> str:
        log = self._supervisor.log_of(name)
        return " | ".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-8:]) if log.exists() else ""


@contextmanager
def running_hub(*, most_seconds: int, without_broker: bool = False) -> Iterator[Hub]:
    """The hub inside the block; stopped and removed after it, also on SIGTERM and when `most_seconds` have passed.

    The settings are the defaults: the caller's own LAH_ variables are not looked at. Raises TimeoutError.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGALRM, _too_long)
    signal.alarm(most_seconds)
    for name in [name for name in os.environ if name.startswith("LAH_")]:
        del os.environ[name]
    home = Path(tempfile.mkdtemp(prefix="lah-benchmark-"))
    told = {"LAH_HOME": str(home)} | {f"LAH_{part.upper()}_PORT": str(unused_port()) for part in _PORTS}
    if without_broker:
        told["LAH_KAFKA_BOOTSTRAP"] = "none"
    os.environ.update(told)
    settings = Settings()
    try:
        with Supervisor(settings, lambda line: print(f"  {line}", file=sys.stderr)).running() as supervisor:
            yield Hub(supervisor, settings)
    finally:
        signal.alarm(0)
        for path in data_paths(settings):
            shutil.rmtree(path, ignore_errors=True)


def _too_long(*_: object) -> None:
    raise TimeoutError("the benchmark took longer than it may; what it started is stopped")
