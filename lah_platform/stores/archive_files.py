"""Files of the archive: Parquet written from rows of events, read back through DuckDB, and their manifests.

Belongs here: files. Does not: which rows belong into them, and what the database remembers of them (`archive`).
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import cast

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from lah_platform.errors import ArchiveError
from lah_platform.stores.archive_columns import duckdb_row_hash, parquet_schema
from lah_platform.stores.queries import queries

__all__ = [
    "ArchiveFile",
    "Summary",
    "check_file",
    "clear_leftovers",
    "file_path",
    "known_keys",
    "numbers_on_disk",
    "put_in_place",
    "read_only_duckdb",
    "read_rows",
    "remove",
    "sha256_of",
    "summary_of",
    "write_file",
    "write_manifest",
]

Buffer = bytes | bytearray | memoryview

_Q = {name: text.decode() for name, text in queries("archive_parquet").items()}
_PARTIAL = ".partial"  # what a writer that was killed leaves behind
_SLICE_ROWS = 32_768  # a row group; bounded in bytes too, because payloads differ in size
_SLICE_BYTES = 16 << 20
_DUCKDB: dict[str, str | bool | int | float | list[str]] = {
    "memory_limit": "256MB",
    "threads": 2,
    "autoinstall_known_extensions": False,  # nothing is fetched
}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_SORTED_BY = ("ts", "tenant", "event_id")


@dataclass(frozen=True)
class Summary:
    """What a set of rows is compared by: their number, earliest and latest ts (UTC), and the sum of their checksums."""

    rows: int
    min_ts: datetime | None
    max_ts: datetime | None
    checksum: int


@dataclass(frozen=True)
class ArchiveFile:
    """A verified file of one UTC day, as table archive_files has it; `path` is relative to the archive's folder."""

    day: date
    number: int
    path: str
    rows: int
    min_ts: datetime
    max_ts: datetime
    checksum: int
    file_bytes: int
    sha256: str
    columns: Mapping[str, str]
    schema_version: int
    created_at: datetime
    is_dropped: bool = False

    def manifest(self) -> str:
        """The file beside the file: the same facts as JSON, checksums as text because they exceed doubles."""
        facts = {
            "rows": self.rows,
            "min_ts": self.min_ts.isoformat(),
            "max_ts": self.max_ts.isoformat(),
            "sha256": self.sha256,
            "rows_checksum": f"{self.checksum}",
            "file_bytes": self.file_bytes,
            "columns": dict(self.columns),
            "schema_version": self.schema_version,
            "created_at": self.created_at.isoformat(),
        }
        return json.dumps(facts, indent=2) + "\n"


def file_path(day: date, number: int) -> str:
    """Where file `number` of a day lies, relative to the archive's folder."""
    return f"events/day={day}/{number}.parquet"


def write_file(path: Path, rows: Iterable[Buffer], columns: Mapping[str, str]) -> None:
    """Write lines of PostgreSQL's CSV, one an item, to `path`: complete and on disk, or not there at all.

    Memory holds one slice of rows, however many there are.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + _PARTIAL)
    schema = parquet_schema(columns)
    order = [pq.SortingColumn(schema.get_field_index(name)) for name in _SORTED_BY]
    with pq.ParquetWriter(partial, schema, compression="zstd", sorting_columns=order) as writer:
        for lines in _slices(rows):
            writer.write_table(_table(lines, schema))
    put_in_place(partial, path)


def put_in_place(partial: Path, path: Path) -> None:
    """Rename a written file to its name once its bytes are on disk, and have the name on disk too."""
    _to_disk(partial)
    partial.replace(path)
    _to_disk(path.parent)


def write_manifest(folder: Path, file: ArchiveFile) -> None:
    """Put the manifest beside its file."""
    path = (folder / file.path).with_suffix(".json")
    partial = path.with_name(path.name + _PARTIAL)
    partial.write_text(file.manifest(), encoding="utf-8")
    put_in_place(partial, path)


def clear_leftovers(folder: Path, day: date) -> None:
    """Remove what a killed writer left of a day."""
    for partial in (folder / file_path(day, 0)).parent.glob(f"*{_PARTIAL}"):
        partial.unlink()


def numbers_on_disk(folder: Path, day: date) -> list[int]:
    """Numbers of the day's files, recorded or not: a file that another record may stand for is never written over."""
    found = (folder / file_path(day, 0)).parent.glob("*.parquet")
    return [int(path.stem) for path in found if path.stem.isdecimal()]


def remove(path: Path) -> None:
    """Remove a file and its manifest, if they are there."""
    path.unlink(missing_ok=True)
    path.with_suffix(".json").unlink(missing_ok=True)


def summary_of(path: Path, columns: Mapping[str, str]) -> Summary:
    """What the file on disk holds. Raises ArchiveError when it cannot be read as Parquet with these columns."""
    statement = _Q["summary"].replace("{row_hash}", duckdb_row_hash(columns))
    with read_only_duckdb() as database, _told_of_damage(path):
        rows, first, last, checksum = database.execute(statement, {"files": [str(path)]}).fetchall()[0]
    return Summary(int(rows), _moment(first), _moment(last), int(checksum or 0))


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_file(folder: Path, file: ArchiveFile) -> Path:
    """The file's path. Raises ArchiveError when it is missing or its bytes are not those that were verified."""
    path = folder / file.path
    if not path.is_file():
        raise ArchiveError(f"The archive's file {path} is not there", _advice(file))
    if path.stat().st_size != file.file_bytes or sha256_of(path) != file.sha256:
        raise ArchiveError(f"The archive's file {path} was altered after it had been verified", _advice(file))
    return path


def known_keys(paths: Sequence[Path], keys: pl.DataFrame, start: datetime, end: datetime) -> pl.DataFrame:
    """Those of `keys` that the files hold: ts in µs since 1970 UTC within [start, end), tenant, event_id as text."""
    with read_only_duckdb() as database, _told_of_damage(paths[0]):
        database.register("stored", keys.to_arrow())
        return database.execute(_Q["known_keys"], _parameters(paths, start, end)).pl()


def read_rows(
    paths: Sequence[Path], columns: Sequence[str], known: Iterable[str], start: datetime, end: datetime
) -> pl.DataFrame:
    """Some columns of [start, end) by ts, tenant and event_id; those that no file has, being younger, are null."""
    known = set(known)
    order = "order by ts, tenant, event_id" if len(paths) > 1 else ""
    chosen = ", ".join(f'"{name}"' if name in known else f'null as "{name}"' for name in columns)
    with read_only_duckdb() as database, _told_of_damage(paths[0]):
        statement = _Q["rows"].replace("{columns}", chosen).replace("{order}", order)
        found = database.execute(statement, _parameters(paths, start, end)).to_arrow_table()
        return cast(pl.DataFrame, pl.from_arrow(found, rechunk=False))  # one copy of a day's columns, not two


def _parameters(paths: Sequence[Path], start: datetime, end: datetime) -> dict[str, list[str] | int]:
    return {"files": [str(path) for path in paths], "start_us": _micros(start), "end_us": _micros(end)}


@contextmanager
def read_only_duckdb() -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB in memory that reads files, in UTC, within bounds of memory and threads."""
    with (
        tempfile.TemporaryDirectory(prefix="lah-archive-") as spill,
        duckdb.connect(config={**_DUCKDB, "temp_directory": spill}) as database,
    ):
        database.execute("set TimeZone = 'UTC'")
        yield database


@contextmanager
def _told_of_damage(path: Path) -> Iterator[None]:
    try:
        yield
    except duckdb.Error as error:
        reason = str(error).strip().splitlines()[0]
        raise ArchiveError(
            f"The archive's file {path} cannot be read ({reason})", "Restore it from a backup, or write the day again"
        ) from error


def _slices(rows: Iterable[Buffer]) -> Iterator[bytes]:
    lines: list[Buffer] = []
    size = 0
    for line in rows:
        lines.append(line)
        size += len(line)
        if len(lines) >= _SLICE_ROWS or size >= _SLICE_BYTES:
            yield b"".join(lines)
            lines, size = [], 0
    if lines:
        yield b"".join(lines)


def _table(lines: bytes, schema: pa.Schema) -> pa.Table:
    return pa_csv.read_csv(
        pa.BufferReader(lines),
        read_options=pa_csv.ReadOptions(column_names=schema.names, use_threads=False, block_size=len(lines) + 1),
        parse_options=pa_csv.ParseOptions(newlines_in_values=True),
        convert_options=pa_csv.ConvertOptions(
            column_types=schema,
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,  # PostgreSQL writes an empty text quoted and a null bare
        ),
    ).combine_chunks()


def _to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _moment(micros: int | None) -> datetime | None:
    return None if micros is None else _EPOCH + micros * _MICROSECOND


def _micros(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND


def _advice(file: ArchiveFile) -> str:
    if file.is_dropped:
        return "Its rows are nowhere else: restore the file from a backup (docs/operations.md, Archive)"
    return f"PostgreSQL holds its rows still: `lah backfill events_archive --from {file.day} --to {file.day}`"
