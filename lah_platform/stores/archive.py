"""The archive: closed days of events in Parquet, verified, and the days that have left PostgreSQL for it.

A row of archive_files says that a file was read back and equals rows of events. While its `dropped_at` is null, events
holds these rows still; from then on the file alone does.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from lah_platform.errors import ArchiveError, ConfigurationError
from lah_platform.landing.ledger import LedgerEntry
from lah_platform.stores import archive_files as files
from lah_platform.stores.archive_columns import postgres_row_hash
from lah_platform.stores.archive_files import ArchiveFile, Summary
from lah_platform.stores.audit import record
from lah_platform.stores.frames import copy_frame, read_frame
from lah_platform.stores.landing import add_to_ledger
from lah_platform.stores.postgres import Connection
from lah_platform.stores.queries import queries

__all__ = [
    "Archived",
    "archive_day",
    "archived_files",
    "cold_days",
    "day_lock",
    "due_days",
    "event_columns",
    "is_sum_of",
    "start_of",
    "stored_summary",
]

_log = logging.getLogger("lah.archive")
_Q = queries("archive")
_ACTOR = "archive"
_DAY = timedelta(days=1)
_SLICE = timedelta(minutes=10)  # keys of so much are compared at once
_KEYS = {"ts": pl.Int64, "tenant": pl.String, "event_id": pl.String}
_FILE_COLUMNS = [field.name for field in fields(ArchiveFile)]
_WHOLE_DAY = sql.SQL("(select * from events where ts >= {start} and ts < {end}) e")
_NEW = sql.SQL(
    "(select d.* from events d join archive_keys k using (ts, tenant, event_id)"
    " where not k.is_repeat and d.ts >= {start} and d.ts < {end}) e"
)
_REPEATED = sql.SQL(
    "(select d.* from events d join archive_keys k using (ts, tenant, event_id)"
    " where k.is_repeat and d.ts >= {start} and d.ts < {end}) e"
)
_NOT_REPEATED = sql.SQL(
    "(select d.* from events d left join archive_keys k"
    " on k.is_repeat and (k.ts, k.tenant, k.event_id) = (d.ts, d.tenant, d.event_id)"
    " where d.ts >= {start} and d.ts < {end} and k.ts is null) e"
)


@dataclass(frozen=True)
class Archived:
    """What archiving a day did: the file written, if any, and how many rows repeated an event archived before."""

    day: date
    file: ArchiveFile | None
    repeats: int


def archive_day(
    connection: Connection, folder: Path, day: date, *, now: datetime, recompute: Callable[[date], object]
) -> Archived:
    """Bring the day's files up to what events holds: the whole day the first time, later a further file of what is new.

    `connection` must be in autocommit mode. Rows that repeat an event which has left PostgreSQL are removed and moved
    in the ledger from stored to duplicate, after `recompute(day)` has replaced the day's rollups without them. When
    rows were erased or changed since the last file, the files of what PostgreSQL holds are written anew. A crash at
    any moment leaves files without a record; the next call puts theirs in their place.

    Raises ConfigurationError for a day that has not ended, ArchiveError when a written file does not read back as its
    rows (nothing is recorded then) or a file that is all there is of some rows was altered.
    """
    if now < start_of(day) + _DAY:
        raise ConfigurationError(f"{day} has not ended", "Name a day before today (UTC)")
    with day_lock(connection, day):
        files.clear_leftovers(folder, day)
        connection.execute(_Q["stage_keys"])
        connection.execute(_Q["clear_keys"])
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        try:
            with connection.transaction():
                file, replaced, repeats = _Snapshot(connection, folder, day, now).archive()
        finally:
            connection.isolation_level = None
        if replaced:  # a snapshot cannot see the audit log's newest row, so this has a transaction of its own
            numbers = [old.number for old in replaced]
            details = {"day": f"{day}", "replaced": numbers, "by": file.number if file else None}
            record(connection, _ACTOR, "rewrite", "table", "archive_files", "*", details)
        for old in replaced:
            files.remove(folder / old.path)
        if repeats:
            recompute(day)
            _move_repeats(connection, day)
        return Archived(day, file, repeats)


class _Snapshot:
    """One day in one snapshot of the database."""

    def __init__(self, connection: Connection, folder: Path, day: date, now: datetime) -> None:
        self._connection = connection
        self._folder = folder
        self._day = day
        self._now = now
        self._start = start_of(day)
        self._columns = event_columns(connection)
        recorded = archived_files(connection, day, day)
        self._dropped = [file for file in recorded if file.is_dropped]
        self._kept = [file for file in recorded if not file.is_dropped]

    def archive(self) -> tuple[ArchiveFile | None, Sequence[ArchiveFile], int]:
        """The file written, the files it stands for from now on, and how many rows are repeats."""
        stored = self._summary(_WHOLE_DAY)
        intact = [file for file in self._kept if self._is_intact(file)]
        if intact == self._kept and is_sum_of(stored, self._kept):
            return None, [], 0
        repeats = self._stage_keys([*self._dropped, *intact])
        new = self._summary(_NEW)
        if intact == self._kept and is_sum_of(stored, [*self._kept, new, self._summary(_REPEATED)]):
            return self._write(_NEW, new), [], repeats
        return self._write_anew(), self._kept, repeats

    def _write_anew(self) -> ArchiveFile | None:
        """One file instead of those whose rows PostgreSQL holds: some were erased or changed, or a file was damaged."""
        file = self._write(_NOT_REPEATED, self._summary(_NOT_REPEATED))
        numbers = [old.number for old in self._kept]
        self._connection.execute(_Q["forget_files"], {"day": self._day, "numbers": numbers})
        _log.warning("the files %s of %s were no longer what PostgreSQL holds: written anew", numbers, self._day)
        return file

    def _is_intact(self, file: ArchiveFile) -> bool:
        try:
            files.check_file(self._folder, file)
        except ArchiveError as error:
            _log.warning("%s", error)
            return False
        return True

    def _stage_keys(self, known: Sequence[ArchiveFile]) -> int:
        """Put what no file has, and what repeats a dropped row, into archive_keys; returns how many rows repeat."""
        paths = {
            is_repeat: [files.check_file(self._folder, file) for file in known if file.is_dropped == is_repeat]
            for is_repeat in (True, False)
        }
        repeats = 0
        for number in range(_DAY // _SLICE):
            start = self._start + number * _SLICE
            stored = read_frame(self._connection, _Q["keys"], {"start": start, "end": start + _SLICE}, schema=_KEYS)
            for is_repeat in (True, False):
                if paths[is_repeat] and len(stored):
                    archived = files.known_keys(paths[is_repeat], stored, start, start + _SLICE)
                    if is_repeat:
                        repeats += self._stage(archived, is_repeat=True)
                    stored = stored.join(archived, on=list(_KEYS), how="anti")
            self._stage(stored, is_repeat=False)
        self._connection.execute(_Q["analyze_keys"])
        return repeats

    def _stage(self, keys: pl.DataFrame, *, is_repeat: bool) -> int:
        if keys.is_empty():
            return 0
        marked = keys.with_columns(pl.col("ts").cast(pl.Datetime("us", "UTC")), is_repeat=pl.lit(is_repeat))
        return copy_frame(self._connection, "archive_keys", marked, marked.columns)

    def _source(self, of: sql.SQL) -> sql.Composed:
        return of.format(start=sql.Literal(self._start), end=sql.Literal(self._start + _DAY))

    def _summary(self, of: sql.SQL) -> Summary:
        return summary(self._connection, self._columns, self._source(of))

    def _write(self, of: sql.SQL, rows: Summary) -> ArchiveFile | None:
        """Write, read back and record a file of the rows of `of`, which are `rows`; none for no rows."""
        if rows.min_ts is None or rows.max_ts is None:
            return None
        recorded = [*self._dropped, *self._kept]
        number = 1 + max([file.number for file in recorded] + files.numbers_on_disk(self._folder, self._day), default=0)
        path = self._folder / files.file_path(self._day, number)
        names = sql.SQL(", ").join(sql.Identifier("e", name) for name in self._columns)
        statement = sql.SQL(_text("rows")).format(columns=names, source=self._source(of))
        with self._connection.cursor() as cursor, cursor.copy(statement) as lines:
            files.write_file(path, lines, self._columns)
        read_back = files.summary_of(path, self._columns)
        if read_back != rows:
            raise ArchiveError(
                f"{path} reads back as {read_back.rows} rows of checksum {read_back.checksum}, "
                f"PostgreSQL has {rows.rows} of checksum {rows.checksum}",
                "Nothing was recorded and no row is lost; check the disk, then archive the day again",
            )
        (version,) = self._connection.execute(_Q["schema_version"]).fetchone() or (0,)
        file = ArchiveFile(
            day=self._day,
            number=number,
            path=files.file_path(self._day, number),
            rows=rows.rows,
            min_ts=rows.min_ts,
            max_ts=rows.max_ts,
            checksum=rows.checksum,
            file_bytes=path.stat().st_size,
            sha256=files.sha256_of(path),
            columns=self._columns,
            schema_version=version,
            created_at=self._now,
        )
        files.write_manifest(self._folder, file)
        self._connection.execute(_Q["record_file"], {**vars(file), "columns": Jsonb(dict(file.columns))})
        arrivals = sql.SQL(_text("record_arrivals")).format(source=self._source(of))
        self._connection.execute(arrivals, {"day": self._day, "number": number})
        return file


def archived_files(connection: Connection, first: date, last: date) -> list[ArchiveFile]:
    """The verified files of the UTC days `first` to `last`, both included, in the order they were written."""
    rows = connection.execute(_Q["files"], {"first": first, "last": last}).fetchall()
    return [ArchiveFile(**dict(zip(_FILE_COLUMNS, row, strict=True))) for row in rows]


def cold_days(connection: Connection, first: date, last: date) -> list[date]:
    """The UTC days of `first` to `last`, both included, that have rows in the archive alone."""
    return [day for (day,) in connection.execute(_Q["cold_days"], {"first": first, "last": last})]


def due_days(connection: Connection, since: date, today: date) -> list[date]:
    """The UTC days of [since, today) whose files do not hold as many events as the rollups have counted."""
    return [day for (day,) in connection.execute(_Q["due_days"], {"since": since, "today": today})]


def summary(connection: Connection, columns: Mapping[str, str], source: sql.Composed) -> Summary:
    """What the rows of `source`, a from-item called e, are compared by."""
    statement = sql.SQL(_text("summary")).format(row_hash=postgres_row_hash(columns), source=source)
    rows, first, last, checksum = connection.execute(statement).fetchone() or (0, None, None, 0)
    return Summary(rows, first, last, int(checksum))


def stored_summary(connection: Connection, day: date) -> Summary:
    """What the rows that PostgreSQL has of a day are compared by."""
    start = start_of(day)
    source = _WHOLE_DAY.format(start=sql.Literal(start), end=sql.Literal(start + _DAY))
    return summary(connection, event_columns(connection), source)


def is_sum_of(rows: Summary, parts: Sequence[Summary | ArchiveFile]) -> bool:
    """Whether rows are exactly those of the parts together: by number and checksum."""
    return (rows.rows, rows.checksum) == (sum(part.rows for part in parts), sum(part.checksum for part in parts))


def event_columns(connection: Connection) -> dict[str, str]:
    """The columns of events with their PostgreSQL types, in order."""
    return dict(connection.execute(_Q["columns"]).fetchall())


def start_of(day: date) -> datetime:
    """The day's first moment, UTC."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


@contextmanager
def day_lock(connection: Connection, day: date) -> Iterator[None]:
    """Nobody else writes or drops the day's rows of the archive meanwhile."""
    connection.execute(_Q["lock_day"], {"day": day})
    try:
        yield
    finally:
        if not connection.closed:
            connection.execute(_Q["unlock_day"], {"day": day})


def _move_repeats(connection: Connection, day: date) -> None:
    """Take the repeats out of events, and in the ledger from stored to duplicate where they are booked."""
    start = start_of(day)
    with connection.transaction():
        booked = connection.execute(_Q["delete_repeats"], {"start": start, "end": start + _DAY}).fetchall()
        add_to_ledger(
            connection,
            [
                LedgerEntry(topic, partition, minute, tenant, 0, -rows, rows, 0)
                for topic, partition, minute, tenant, rows in booked
            ],
        )


def _text(name: str) -> str:
    return _Q[name].decode()
