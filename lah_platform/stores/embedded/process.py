"""A child process with a log file, a readiness condition and an orderly end."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from lah_platform.errors import StackError

__all__ = ["Child", "wait_until"]


def wait_until(condition: Callable[[], bool], *, seconds: float, poll_seconds: float = 0.05) -> bool:
    """Ask `condition` until it holds or `seconds` have passed; returns whether it held."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(poll_seconds)
    return True


class Child:
    """One started program. It runs in a session of its own, so that Ctrl-C reaches only its starter."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        log: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        user: int | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
    ) -> None:
        self.name = name
        self.log = log
        self._stop_signal = stop_signal
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(env) if env is not None else None,
                cwd=cwd,
                start_new_session=True,
                user=user,
                group=user,
                extra_groups=[] if user is not None else None,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def return_code(self) -> int | None:
        return self._process.poll()

    def wait_ready(self, condition: Callable[[], bool], *, seconds: float) -> None:
        """Wait until `condition` holds. Raises StackError with the log's tail when the program ends or never is."""
        ready = wait_until(lambda: self.return_code is not None or condition(), seconds=seconds)
        if self.return_code is not None:
            raise StackError(f"{self.name} ended with status {self.return_code}: {self.log_tail()}", self._advice)
        if not ready:
            raise StackError(f"{self.name} was not ready after {seconds:g} s: {self.log_tail()}", self._advice)

    def stop(self, *, seconds: float = 20.0) -> int:
        """Ask the program to end, wait, and end its whole session by force when it does not. Returns its status."""
        if self.return_code is None:
            self._process.send_signal(self._stop_signal)
            try:
                self._process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.kill()
        self._end_session()
        return self._process.wait()

    def kill(self) -> None:
        """End the program's whole session at once (SIGKILL)."""
        if self.return_code is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def _end_session(self) -> None:
        with suppress(ProcessLookupError):  # nobody of its session is left
            os.killpg(self._process.pid, signal.SIGKILL)

    def log_tail(self, lines: int = 5) -> str:
        """The last lines of its log, joined by ' | '."""
        text = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return " | ".join(text[-lines:]) or "its log is empty"

    @property
    def _advice(self) -> str:
        return f"Read {self.log}, then try again"
