"""The migration runner: applies `sql/migrations/NNNN_name.sql` in order, once each, under an advisory lock.

Belongs here: what is applied and what is missing. The schema itself is SQL, in `sql/`.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from lah_platform.errors import SchemaError
from lah_platform.settings import SQL_ROOT
from lah_platform.stores.audit import record
from lah_platform.stores.postgres import Connection

__all__ = ["Migration", "MigrationStatus", "has_timescaledb", "migrate", "schema_snapshot", "status"]

_FILE = re.compile(r"^(\d{4})_([a-z0-9_]+)\.sql$")
_CHAINING = "audit_chain"  # the migration that made the audit log's chain
_LOCK = "select pg_advisory_lock(hashtextextended('lah.migrations', 0))"
_UNLOCK = "select pg_advisory_unlock(hashtextextended('lah.migrations', 0))"
_BOOKKEEPING = """
create schema if not exists lah;
create schema if not exists dagster;
create schema if not exists marts;
create table if not exists lah.schema_migrations (
    version integer primary key, name text not null, sha256 text not null, applied_at timestamptz not null default now()
);
"""
OLDEST_SERVER_VERSION = 150000  # PostgreSQL 15: security_invoker views


@dataclass(frozen=True)
class Migration:
    """One file of `sql/migrations`."""

    version: int
    name: str
    sql: bytes

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.sql).hexdigest()


@dataclass(frozen=True)
class MigrationStatus:
    """A migration and when (UTC) it was applied here; None: not yet."""

    version: int
    name: str
    applied_at: datetime | None


def _migrations(folder: Path) -> list[Migration]:
    found = [(match, path) for path in sorted(folder.glob("*.sql")) if (match := _FILE.match(path.name))]
    return [Migration(int(match[1]), match[2], path.read_bytes()) for match, path in found]


def has_timescaledb(connection: Connection) -> bool:
    """Whether the server offers TimescaleDB: installed and preloaded."""
    row = connection.execute(
        "select exists (select from pg_available_extensions where name = 'timescaledb')"
        # its preloaded library defines this; shared_preload_libraries itself is for superusers' eyes only
        " and current_setting('timescaledb.max_background_workers', true) is not null"
    ).fetchone()
    return bool(row and row[0])


def _applied(connection: Connection) -> dict[int, tuple[str, str, datetime]]:
    if connection.execute("select to_regclass('lah.schema_migrations')").fetchone() == (None,):
        return {}
    rows = connection.execute("select version, name, sha256, applied_at from lah.schema_migrations").fetchall()
    return {version: (name, sha256, applied_at) for version, name, sha256, applied_at in rows}


def status(connection: Connection, folder: Path = SQL_ROOT / "migrations") -> list[MigrationStatus]:
    """Every migration of this version with its state in the database, in order."""
    applied = _applied(connection)
    return [
        MigrationStatus(m.version, m.name, applied[m.version][2] if m.version in applied else None)
        for m in _migrations(folder)
    ]


def migrate(connection: Connection, folder: Path = SQL_ROOT / "migrations") -> list[Migration]:
    """Bring the schema to this version; returns what was applied. Safe to rerun and to run twice at once.

    `connection` must be in autocommit mode. Raises SchemaError when the server is too old, the database was
    migrated by a newer version, or an applied migration's text has changed.
    """
    if connection.info.server_version < OLDEST_SERVER_VERSION:
        raise SchemaError(f"PostgreSQL {connection.info.server_version // 10000} is too old", "Use PostgreSQL 15 to 18")
    connection.execute(_LOCK)
    try:
        if has_timescaledb(connection):
            connection.execute("create extension if not exists timescaledb")
        connection.execute(_BOOKKEEPING)
        known = {migration.version: migration for migration in _migrations(folder)}
        applied = _applied(connection)
        for version, (name, sha256, _) in applied.items():
            if version not in known:
                raise SchemaError(
                    f"The database has migration {version:04d}_{name}, which this version does not know",
                    "Install the version of the hub that migrated it, or a newer one",
                )
            if known[version].sha256 != sha256:
                raise SchemaError(
                    f"Migration {version:04d}_{name} was changed after it had been applied",
                    "Put the file back as it was released and add a new migration instead",
                )
        missing = [migration for version, migration in sorted(known.items()) if version not in applied]
        for migration in missing:
            before = _applied(connection)
            with connection.transaction():
                connection.execute(migration.sql)
                connection.execute(
                    "insert into lah.schema_migrations (version, name, sha256) values (%s, %s, %s)",
                    (migration.version, migration.name, migration.sha256),
                )
                _note(connection, migration, before=before)
        return missing
    finally:
        connection.execute(_UNLOCK)


def _note(connection: Connection, migration: Migration, before: Mapping[int, tuple[str, str, datetime]]) -> None:
    """Say it in the audit log, from the migration on that made its chain, which also says what came before it."""
    if connection.execute("select to_regclass('lah.audit_chain')").fetchone() == (None,):
        return
    details: dict[str, object] = {"sha256": migration.sha256}
    if migration.name == _CHAINING:
        details["before"] = {f"{version:04d}_{name}": sha256 for version, (name, sha256, _) in sorted(before.items())}
    record(connection, "migrate", "apply", "schema", f"{migration.version:04d}_{migration.name}", "*", details)


def schema_snapshot(connection: Connection) -> str:
    """The schema `lah` as sorted lines, one per column, constraint, index, view and function.

    Event partitions and chunks are left out: they come and go with the data.
    """
    rows = connection.execute((SQL_ROOT / "queries" / "schema_snapshot.sql").read_bytes()).fetchall()
    return "".join(f"{line}\n" for (line,) in rows)
