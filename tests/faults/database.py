"""The PostgreSQL server of the harness, which is killed, filled up and locked; a fresh database per round.

Belongs here: the server, its small disk, and looking at landing's backends. Not: what a fault is, nor what must hold.
"""

import os
import pwd
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import psycopg

from lah_platform.errors import LahError
from lah_platform.stores.embedded.ports import unused_port
from lah_platform.stores.embedded.postgres import EmbeddedPostgres
from lah_platform.stores.embedded.process import wait_until
from lah_platform.stores.migrations import migrate
from lah_platform.stores.postgres import Connection, connect

__all__ = ["Database", "PostgresServer", "SmallDisk", "small_disk"]

AWAY = (psycopg.OperationalError, LahError)  # what a client sees while the server is down or coming back
_DISK_MEGABYTES = 384
_LOCK_TIMEOUT = "1s"
_LANDING = "application_name = 'lah-landing' and datname = current_database()"


class SmallDisk:
    """A mounted file system of a few hundred megabytes that `fill` leaves without a free block."""

    def __init__(self, mount: Path, kind: str) -> None:
        self.mount = mount
        self.kind = kind
        self._ballast = mount / "ballast"

    def fill(self) -> None:
        with self._ballast.open("ab", buffering=0) as file, suppress(OSError):
            for block in (bytes(1 << 20), bytes(1 << 12)):
                with suppress(OSError):  # no space is left for a block of this size
                    while file.write(block) == len(block):
                        pass

    def free(self) -> None:
        self._ballast.unlink(missing_ok=True)


@contextmanager
def small_disk(owner: int | None) -> Iterator[SmallDisk | str]:
    """A small tmpfs, else a loop file, that user `owner` may write; or the reason why this machine has neither."""
    if os.geteuid() != 0:
        yield "mounting a small disk needs root"
        return
    mount = Path(tempfile.mkdtemp(prefix="lah-faults-disk-"))
    image = mount.with_name(f"{mount.name}.img")
    mount.chmod(0o755)
    kind = ""
    try:
        tmpfs = ["mount", "-t", "tmpfs", "-o", f"size={_DISK_MEGABYTES}m", "tmpfs", str(mount)]
        if _succeeds(tmpfs):
            kind = "tmpfs"
        else:
            image.touch()
            os.truncate(image, _DISK_MEGABYTES << 20)
            if _succeeds(["mkfs.ext4", "-q", "-m", "0", str(image)]) and _succeeds(
                ["mount", "-o", "loop", str(image), str(mount)]
            ):
                kind = "loop file"
        if not kind:
            yield "neither a tmpfs nor a loop file can be mounted"
            return
        space = mount / "space"
        space.mkdir()
        if owner is not None:
            os.chown(space, owner, owner)
        yield SmallDisk(mount, kind)
    finally:
        if kind:
            subprocess.run(["umount", str(mount)], check=False, capture_output=True)
        image.unlink(missing_ok=True)
        with suppress(OSError):
            mount.rmdir()


def _succeeds(command: list[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, timeout=30).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


class PostgresServer:
    """A server with PostgreSQL's durable defaults, whose databases live on the small disk where there is one."""

    def __init__(self, folder: Path, disk: SmallDisk | str) -> None:
        self._server = EmbeddedPostgres(folder, port=unused_port())
        self.log = folder / "postgres.log"
        self.disk = disk

    @property
    def pid(self) -> int:
        assert self._server.pid is not None
        return self._server.pid

    @staticmethod
    def owner() -> int | None:
        """The user that the server runs as when root starts it."""
        return pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else None

    def start(self) -> None:
        self._server.start()

    def stop_immediately(self) -> None:
        """SIGQUIT: no checkpoint, no goodbye; the next start is a crash recovery."""
        os.kill(self.pid, signal.SIGQUIT)
        assert wait_until(lambda: self._server.has_ended, seconds=30), "PostgreSQL ignored SIGQUIT"

    def kill(self) -> None:
        """SIGKILL to every process of the server: backends are sessions of their own, so each by its id."""
        backends = psutil.Process(self.pid).children(recursive=True)
        self._server.kill()
        for backend in backends:
            with suppress(psutil.NoSuchProcess):
                backend.kill()
        _, left = psutil.wait_procs(backends, timeout=30)
        assert not left, f"processes of PostgreSQL survived SIGKILL: {left}"

    def destroy(self) -> None:
        self._server.destroy()

    def count_in_log(self, text: str) -> int:
        return self.log.read_bytes().count(text.encode())

    def make_template(self) -> None:
        """A migrated database that each round clones."""
        with connect(self._server.url) as admin:
            if isinstance(self.disk, SmallDisk):
                admin.execute(f"create tablespace small location '{self.disk.mount / 'space'}'".encode())
            tablespace = " tablespace small" if isinstance(self.disk, SmallDisk) else ""
            admin.execute(f"create database template_lah{tablespace}".encode())
        with connect(self._url("template_lah")) as connection:
            migrate(connection)

    @contextmanager
    def database(self, name: str) -> Iterator["Database"]:
        """A fresh, migrated database; dropped at the end."""
        with connect(self._server.url) as admin:
            tablespace = " tablespace small" if isinstance(self.disk, SmallDisk) else ""
            admin.execute(f"create database {name} template template_lah{tablespace}".encode())
            admin.execute(f"alter database {name} set lock_timeout = '{_LOCK_TIMEOUT}'".encode())
        try:
            yield Database(self._url(name))
        finally:
            with suppress(*AWAY), connect(self._server.url) as admin:
                admin.execute(f"drop database {name} with (force)".encode())

    def _url(self, database: str) -> str:
        return self._server.url.rsplit("/", 1)[0] + "/" + database


class Database:
    """What the harness sees of one database, through a server that comes and goes."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._connection: Connection | None = None

    def connect(self) -> Connection:
        """A new connection that waits for locks as long as it takes."""
        connection = connect(self.url, application_name="faults")
        connection.execute("set lock_timeout = 0")
        return connection

    def landed(self) -> int:
        """Records in the ledger; -1 while the server is away."""
        (count,) = self._ask("select coalesce(sum(received), 0)::bigint from ledger") or (-1,)
        return int(count)

    def offsets(self) -> dict[int, int]:
        """The next offset of each partition as stored; empty while the server is away."""
        row = self._ask("select array_agg(partition), array_agg(next_offset) from landing_offsets")
        return dict(zip(row[0], row[1], strict=True)) if row and row[0] else {}

    def landing_backend(self, *, at_work: bool) -> int | None:
        """The process id of one of landing's backends; with `at_work`, of one inside a transaction."""
        inside = " and xact_start is not null and wait_event_type is distinct from 'Lock'" if at_work else ""
        row = self._ask(f"select pid from pg_stat_activity where {_LANDING}{inside} order by pid limit 1")
        return int(row[0]) if row else None

    def has_waiting_landing(self) -> bool:
        """Whether a landing transaction waits for a lock."""
        row = self._ask(f"select count(*) from pg_stat_activity where {_LANDING} and wait_event_type = 'Lock'")
        return bool(row and row[0])

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()

    def _ask(self, statement: str) -> tuple[Any, ...] | None:
        try:
            if self._connection is None or self._connection.closed:
                self._connection = self.connect()
                self._connection.execute("set statement_timeout = '5s'")
            return self._connection.execute(statement.encode()).fetchone()
        except AWAY:
            return None
