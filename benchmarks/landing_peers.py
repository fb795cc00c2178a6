"""What a user would pick instead, each in the way its own documentation shows: no deduplication, no ledger, no rollups.

The peers live in an environment of their own, made on demand from `peers.lock` with pip's hash checking. A peer joins
its consumer group on a topic with a few messages (the embedded broker takes about 25 s for that, which is not
ingestion) and then waits, idle, for its turns. Its clock starts when the first message of the turn is produced, which
the waiting peer receives at once, and ends when its table has the last row.
"""

import json
import os
import subprocess
import sys
import time
import venv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Self

import psutil
from psycopg import errors, sql

from benchmarks.landing_services import Services
from lah_platform.settings import Settings
from lah_platform.stores.embedded.process import Child
from lah_platform.stores.postgres import Connection

__all__ = ["PEERS", "Peer", "PeerMissing", "environment", "paused"]

PEERS = ("quixstreams", "pathway")

_HERE = Path(__file__).resolve().parent
_HOME = _HERE.parent / ".venv-peers"
_LOCK = _HERE / "peers.lock"
_JOIN_SECONDS = 90.0
_WARM_UP = 1000
_POLL_SECONDS = 0.02
_RESUMED_SECONDS = 1.0


class PeerMissing(Exception):
    """A peer cannot run here; the text says why."""


def environment(*, may_install: bool, seconds: float) -> Path:
    """The interpreter of the peers' environment, installed when it is missing. Raises PeerMissing."""
    python = _HOME / "bin" / "python"
    ready = _HOME / ".ready"
    if ready.exists() and ready.read_bytes() == _LOCK.read_bytes():
        return python
    if not may_install:
        raise PeerMissing("the peers are not installed; `python -m benchmarks.landing --only peers` does it")
    print(f"Installing the peers into {_HOME.name} (1.6 GB, about a minute) ...", file=sys.stderr, flush=True)
    venv.create(_HOME, clear=True, with_pip=True)
    (_HOME / ".gitignore").write_text("*\n", encoding="ascii")
    command = [str(python), "-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes", "-r", str(_LOCK)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds)
    except subprocess.TimeoutExpired as error:
        raise PeerMissing(f"the peers were not installed in {seconds:.0f} s") from error
    if done.returncode:
        raise PeerMissing(f"the peers cannot be installed: {done.stderr.strip().splitlines()[-1]}")
    ready.write_bytes(_LOCK.read_bytes())
    return python


class Peer:
    """One peer, started in its group and waiting; `turn` gives it messages."""

    def __init__(self, name: str, python: Path, services: Services) -> None:
        self.name = name
        self._services = services
        self._topic = services.topic(name)
        self._table = f"peer_{name}"
        self._database = services.database_parts()
        told = {
            "bootstrap": services.bootstrap,
            "topic": self._topic,
            "database": self._database,
            "table": self._table,
            "batch_rows": Settings.model_fields["batch_rows"].default,  # as ours
            "batch_seconds": Settings.model_fields["batch_seconds"].default,
        }
        self._env: Mapping[str, str] = os.environ | {"PEER": json.dumps(told), "DO_NOT_TRACK": "1"}
        self._command = [str(python), str(_HERE / "peers" / f"{name}_to_postgres.py")]
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        log = self._services.folder / f"{self._topic}.log"
        self._child = Child(self.name, self._command, log=log, env=self._env, cwd=self._services.folder)
        self._stack.callback(self._child.kill)  # it has nothing to lose, and a stop takes up to 10 s
        self._connection = self._stack.enter_context(self._services.connect())
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def pid(self) -> int:
        return self._child.pid

    def send_warm_up(self, messages: Sequence[tuple[bytes, bytes]]) -> None:
        """Something to find when it has joined; several peers join at once."""
        self._services.fill(self._topic, messages[:_WARM_UP])

    def wait_joined(self) -> None:
        """Until the warm-up has arrived in its table. Raises PeerMissing when it does not."""
        _wait_rows(self._connection, self._table, self._child, _WARM_UP, seconds=_JOIN_SECONDS)

    def turn(self, messages: Sequence[tuple[bytes, bytes]], *, seconds: float) -> float:
        """Messages per second, from an empty table. Raises PeerMissing when not all arrive in time."""
        self._connection.execute(sql.SQL("truncate public.{}").format(sql.Identifier(self._table)))
        self._connection.execute("checkpoint")
        started = time.monotonic()
        self._services.fill(self._topic, messages)
        ended = _wait_rows(self._connection, self._table, self._child, len(messages), seconds=seconds)
        return len(messages) / (ended - started)


@contextmanager
def paused(peers: Iterable[Peer]) -> Iterator[None]:
    """Stopped meanwhile, for a turn that is not theirs: while they wait for messages they take 8 % of it.

    Afterwards they get a moment to tell the broker that they live.
    """
    stopped = [process for peer in peers for process in _tree(peer.pid)]
    for process in stopped:
        process.suspend()
    try:
        yield
    finally:
        for process in stopped:
            process.resume()
        time.sleep(_RESUMED_SECONDS)


def _tree(pid: int) -> list[psutil.Process]:
    """The process and everything below it."""
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def _wait_rows(connection: Connection, table: str, child: Child, rows: int, *, seconds: float) -> float:
    """Until the table has so many rows; returns that moment. Counting takes a twentieth of one core at most."""
    query = sql.SQL("select count(*) from public.{}").format(sql.Identifier(table))
    deadline = time.monotonic() + seconds
    while True:
        asked = time.monotonic()
        try:
            row = connection.execute(query).fetchone()
        except errors.UndefinedTable:
            row = None
        now = time.monotonic()
        if row is not None and row[0] >= rows:
            return now
        if child.return_code is not None or now > deadline:
            raise PeerMissing(f"{child.name} landed {row[0] if row else 0} of {rows} messages: {child.log_tail(2)}")
        time.sleep(max(_POLL_SECONDS, 20 * (now - asked)))
