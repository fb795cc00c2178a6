"""Stopping a hub from outside: the running supervisor, or what a killed one left behind."""

import os
import signal
from pathlib import Path

import psutil

from lah_platform.errors import StackError
from lah_platform.settings import Settings
from lah_platform.stack.endpoints import read_state, write_state
from lah_platform.stores.embedded.postgres import EmbeddedPostgres
from lah_platform.stores.embedded.process import wait_until

__all__ = ["data_paths", "stop_orphans", "stop_stack"]

_STOP_SECONDS = 25.0


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
