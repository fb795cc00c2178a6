"""Where a subject is told of: rows in PostgreSQL, rows in files of the archive, bytes of dead letters."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import duckdb
import polars as pl
from psycopg.rows import dict_row

from lah_platform.errors import ArchiveError, LahError
from lah_platform.privacy.mentions import names_person
from lah_platform.stores.archive import archived_files
from lah_platform.stores.archive_files import read_only_duckdb
from lah_platform.stores.dead_letters import opened
from lah_platform.stores.keyring import KeyRing
from lah_platform.stores.postgres import Connection
from lah_platform.stores.queries import queries

__all__ = ["ColdRows", "Letter", "cold_events", "cold_reach", "cold_rows_of", "letters_naming", "subject_files"]

_Q = queries("rights")
_PARQUET = {name: text.decode() for name, text in queries("rights_parquet").items()}


@dataclass(frozen=True)
class ColdRows:
    """Rows of one file that tell of a subject: how many, from when to when (UTC), and of which types."""

    path: str
    sha256: str
    rows: int
    first: datetime
    last: datetime
    event_types: Sequence[str]


@dataclass(frozen=True)
class Letter:
    """A dead letter whose bytes or reason name a person."""

    dead_letter_id: int
    names_in_reason: bool
    text: str


def subject_files(connection: Connection, folder: Path | None) -> list[tuple[Path, str, str]]:
    """Files that may have rows of subjects and whose rows PostgreSQL has no more: where, relative path, SHA-256.

    Raises ArchiveError when there are such files and no folder, or when one is missing.
    """
    cold = [file for file in archived_files(connection, date.min, date.max) if file.is_dropped]
    if cold and folder is None:
        raise ArchiveError("Files of the archive hold events", "Set LAH_ARCHIVE_DIR to its folder")
    found = []
    for file in cold:
        if "subject_id" not in file.columns:
            continue  # from before events named their subject
        assert folder is not None
        path = folder / file.path
        if not path.is_file():
            raise ArchiveError(f"The archive's file {path} is not there", "Restore it from a backup")
        found.append((path, file.path, file.sha256))
    return found


def cold_reach(connection: Connection, folder: Path | None, tenant: str, subject_id: UUID) -> list[ColdRows]:
    """What files of the archive hold of a subject."""
    files = subject_files(connection, folder)
    if not files:
        return []
    by_path = {str(path): (name, sha256) for path, name, sha256 in files}
    with _looking(connection, tenant, subject_id) as database:
        rows = _read(database, "reach", files, tenant, subject_id).fetchall()
    return [ColdRows(*by_path[path], rows, first, last, sorted(types)) for path, rows, first, last, types in rows]


def cold_rows_of(
    connection: Connection, folder: Path | None, tenant: str, subject_id: UUID, limit: int
) -> list[tuple[str, str, str]]:
    """Event id, tags and payload as text of some rows of each file that are a subject's own."""
    files = subject_files(connection, folder)
    found: list[tuple[str, str, str]] = []
    with read_only_duckdb() as database:
        for file in files:
            asked = {"files": [str(file[0])], "tenant": tenant, "subject_id": f"{subject_id}", "limit": limit}
            found += database.execute(_PARQUET["sample"], asked).fetchall()
    return found


def cold_events(
    connection: Connection, folder: Path | None, tenant: str, subject_id: UUID, batch: int
) -> Iterator[dict[str, Any]]:
    """Every row of the archive that tells of a subject, by time; tags and payload are JSON text."""
    files = subject_files(connection, folder)
    if not files:
        return
    with _looking(connection, tenant, subject_id) as database:
        found = _read(database, "rows", files, tenant, subject_id)
        names = [column[0] for column in found.description]
        while rows := found.fetchmany(batch):
            yield from (dict(zip(names, row, strict=True)) for row in rows)


@contextmanager
def _looking(connection: Connection, tenant: str, subject_id: UUID) -> Iterator[duckdb.DuckDBPyConnection]:
    """DuckDB with the events that name the subject besides their own in table `further`."""
    further = connection.execute(_Q["further_events"], {"tenant": tenant, "subject_id": subject_id}).fetchall()
    with read_only_duckdb() as database:
        frame = pl.DataFrame(further, {"ts": pl.Datetime("us", "UTC"), "event_id": pl.String}, orient="row").to_arrow()
        database.register("further", frame)
        yield database


def _read(
    database: duckdb.DuckDBPyConnection,
    name: str,
    files: Sequence[tuple[Path, str, str]],
    tenant: str,
    subject_id: UUID,
) -> duckdb.DuckDBPyConnection:
    asked = {"files": [str(path) for path, _, _ in files], "tenant": tenant, "subject_id": f"{subject_id}"}
    return database.execute(_PARQUET[name], asked)


def letters_naming(connection: Connection, ring: KeyRing, tenant: str, identifier: str) -> Iterator[Letter]:
    """Dead letters of a tenant, or of nobody known, whose bytes name the person; those that do not open are passed."""
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(_Q["letters"], {"tenant": tenant}).fetchall()
    for row in rows:
        try:
            letter = row | opened(connection, row, ring)
        except LahError:
            continue
        parts = [bytes(letter[part]).decode("utf-8", "replace") for part in ("record_key", "raw") if letter[part]]
        is_named = names_person(f"{letter['reason']}\n{letter['field']}", identifier)
        if is_named or names_person("\n".join([*parts, json.dumps(letter["headers"])]), identifier):
            yield Letter(letter["dead_letter_id"], is_named, parts[-1] if parts else "")
