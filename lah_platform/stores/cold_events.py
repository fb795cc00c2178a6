"""Events of any day: read from PostgreSQL, and from the archive's files where PostgreSQL has them no more."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path

import polars as pl
from psycopg import sql

from lah_platform.errors import ConfigurationError
from lah_platform.rollups.aggregate import ROWS_SCHEMA
from lah_platform.stores.archive import archived_files, cold_days
from lah_platform.stores.archive_files import ArchiveFile, check_file, known_keys, read_rows
from lah_platform.stores.frames import read_frame
from lah_platform.stores.postgres import Connection

__all__ = ["cold_rows", "event_rows", "refuse_cold_days"]

_KEYS = {"key_us": pl.Int64(), "tenant": pl.String(), "event_id": pl.String()}
_EXPRESSIONS = {
    "key_us": "(extract(epoch from ts) * 1000000)::bigint as key_us",
    "event_id": "event_id::text as event_id",
}
_MICROSECOND = timedelta(microseconds=1)


def event_rows(connection: Connection, start: datetime, end: datetime, *, archive_dir: Path | None) -> pl.DataFrame:
    """The events of [start, end) UTC in ROWS_SCHEMA, each once, by ts, tenant and event_id.

    The order is the same wherever they lie, because sums of doubles depend on it; what has landed since its day left
    PostgreSQL comes last, and a row that repeats an archived event is left out. Within a repeatable-read transaction
    the hot rows and the list of files are of one moment. Raises ConfigurationError when days are in the archive and no
    folder is given, ArchiveError when one of their files is missing or altered.
    """
    rows = cold_rows(connection, start, end, archive_dir=archive_dir)
    return _stored(connection, ROWS_SCHEMA, start, end) if rows is None else rows


def cold_rows(
    connection: Connection, start: datetime, end: datetime, *, archive_dir: Path | None
) -> pl.DataFrame | None:
    """The same, or None when PostgreSQL has all of them itself."""
    cold = [file for file in archived_files(connection, start.date(), _last_day(end)) if file.is_dropped]
    if not cold:
        return None
    if archive_dir is None:
        raise ConfigurationError(
            f"Events of {cold[0].day} have left PostgreSQL for the archive", "Set LAH_ARCHIVE_DIR to its folder"
        )
    paths = [check_file(archive_dir, file) for file in cold]
    stored = _stored(connection, {**ROWS_SCHEMA, **_KEYS}, start, end)
    if len(stored):
        repeats = known_keys(paths, stored.select(*_KEYS).rename({"key_us": "ts"}), start, end)
        stored = stored.join(repeats.rename({"ts": "key_us"}), on=list(_KEYS), how="anti")
    return pl.concat([_archived(paths, cold, start, end), stored.drop(*_KEYS)])


def refuse_cold_days(connection: Connection, first: date, last: date, *, what: str) -> None:
    """Raises ConfigurationError when one of the UTC days `first` to `last` has rows in the archive alone.

    For whatever is computed from the events that PostgreSQL holds: it would take the day for empty.
    """
    if cold := cold_days(connection, first, last):
        raise ConfigurationError(
            f"{what} is computed from the events in PostgreSQL, and those of {cold[0]} are in the archive",
            "Name later days, or put the day back first (docs/operations.md, Archive)",
        )


def _stored(connection: Connection, schema: Mapping[str, pl.DataType], start: datetime, end: datetime) -> pl.DataFrame:
    columns = [sql.SQL(_EXPRESSIONS[name]) if name in _EXPRESSIONS else sql.Identifier(name) for name in schema]
    statement = sql.SQL(
        "select {} from events where ts >= %(start)s and ts < %(end)s order by ts, tenant, events.event_id"
    ).format(sql.SQL(", ").join(columns))
    return read_frame(connection, statement, {"start": start, "end": end}, schema=schema)


def _archived(paths: Sequence[Path], cold: Sequence[ArchiveFile], start: datetime, end: datetime) -> pl.DataFrame:
    known = {name for file in cold for name in file.columns}
    found = read_rows(paths, list(ROWS_SCHEMA), known, start, end)
    return found.select(pl.col(name).cast(dtype) for name, dtype in ROWS_SCHEMA.items())


def _last_day(end: datetime) -> date:
    return (end - _MICROSECOND).date()
