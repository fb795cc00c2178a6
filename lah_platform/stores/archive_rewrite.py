"""Files of the archive without some of their rows, or with some of them changed: for days that PostgreSQL has no more.

What was taken out is written to a file of its own for as long as it takes to sum it up, so that rows before = rows
taken + rows kept is shown by number and checksum and not assumed.
"""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from psycopg.types.json import Jsonb

from lah_platform.errors import ArchiveError
from lah_platform.stores import archive_files as files
from lah_platform.stores.archive import archived_files
from lah_platform.stores.archive_columns import parquet_schema
from lah_platform.stores.archive_files import ArchiveFile, Summary
from lah_platform.stores.postgres import Connection
from lah_platform.stores.queries import queries

__all__ = ["Rewritten", "rewrite_cold_files"]

_Q = queries("archive")
_BATCH_ROWS = 32_768
Chosen = Callable[[pl.DataFrame], pl.Series]
Changed = Callable[[pl.DataFrame], pl.DataFrame]


@dataclass(frozen=True)
class Rewritten:
    """One file and what stands for it: None when none of its rows stayed. `taken` are the rows chosen, as they were."""

    before: ArchiveFile
    after: ArchiveFile | None
    taken: Summary


def rewrite_cold_files(
    connection: Connection, folder: Path, day: date, *, chosen: Chosen, change: Changed | None, now: datetime
) -> list[Rewritten]:
    """Take the `chosen` rows of a UTC day out of its files, or put `change` of them in their place; all or nothing.

    Only files whose rows PostgreSQL has no more; those without a chosen row are left alone. Call it while `day_lock`
    is held, inside a transaction; remove the files before once that is committed. Raises ArchiveError when a file is
    missing or altered, or when what was written is not what was meant.
    """
    done = []
    recorded = archived_files(connection, day, day)
    number = max([each.number for each in recorded] + files.numbers_on_disk(folder, day), default=0)
    for file in recorded:
        if not file.is_dropped:
            continue
        path = files.check_file(folder, file)
        written = _write(path, folder / files.file_path(day, number + 1), file, chosen, change)
        if written is None:
            continue
        number += 1
        after, taken, arrivals = written
        if after is not None:
            after = replace(after, number=number, path=files.file_path(day, number), created_at=now, is_dropped=True)
            files.write_manifest(folder, after)
            connection.execute(_Q["record_file"], {**vars(after), "columns": Jsonb(dict(after.columns))})
            connection.execute(_Q["note_file_dropped"], {"day": day, "number": number})
            places = {"day": day, "old": file.number, "new": number}
            connection.execute(_Q["carry_arrivals"], {**places, **arrivals})
        connection.execute(_Q["forget_files"], {"day": day, "numbers": [file.number]})
        done.append(Rewritten(file, after, taken))
    return done


def _write(
    source: Path, target: Path, file: ArchiveFile, chosen: Chosen, change: Changed | None
) -> tuple[ArchiveFile | None, Summary, dict[str, list[object]]] | None:
    columns = {name: file.columns[name] for name in pq.read_schema(source).names}  # checksums depend on their order
    schema = parquet_schema(columns)
    parts = {name: target.with_name(f"{target.name}.{name}.partial") for name in ("kept", "taken", "put")}
    gone: list[pl.DataFrame] = []
    try:
        with ExitStack() as stack:
            writers = {
                name: stack.enter_context(pq.ParquetWriter(path, schema, compression="zstd"))
                for name, path in parts.items()
            }
            for batch in stack.enter_context(pq.ParquetFile(source)).iter_batches(_BATCH_ROWS):
                frame = pl.from_arrow(pa.Table.from_batches([batch]))
                assert isinstance(frame, pl.DataFrame)
                is_chosen = chosen(frame)
                if not is_chosen.any():
                    writers["kept"].write_table(_table(frame, schema))
                    continue
                taken = frame.filter(is_chosen)
                writers["taken"].write_table(_table(taken, schema))
                if change is None:
                    gone.append(taken.select("topic", "partition", "received_at"))
                    kept = frame.filter(~is_chosen)
                else:
                    put = change(taken)
                    writers["put"].write_table(_table(put, schema))
                    kept = pl.concat([frame.filter(~is_chosen), put]).sort("ts", "tenant", "event_id")
                writers["kept"].write_table(_table(kept, schema))
        taken_sum, put_sum, kept_sum = (files.summary_of(parts[name], columns) for name in ("taken", "put", "kept"))
        if not taken_sum.rows:
            return None
        is_whole = (file.rows, file.checksum) == (
            kept_sum.rows + taken_sum.rows - put_sum.rows,
            kept_sum.checksum + taken_sum.checksum - put_sum.checksum,
        )
        if not is_whole or put_sum.rows not in (0, taken_sum.rows):
            raise ArchiveError(f"{source} written anew is not what was meant", "Nothing was changed; check the disk")
        if kept_sum.min_ts is None or kept_sum.max_ts is None:
            return None, taken_sum, _arrivals(gone)
        files.put_in_place(parts["kept"], target)
        after = replace(
            file,
            columns=columns,
            rows=kept_sum.rows,
            min_ts=kept_sum.min_ts,
            max_ts=kept_sum.max_ts,
            checksum=kept_sum.checksum,
            file_bytes=target.stat().st_size,
            sha256=files.sha256_of(target),
        )
        return after, taken_sum, _arrivals(gone)
    finally:
        for path in parts.values():
            path.unlink(missing_ok=True)


def _table(frame: pl.DataFrame, schema: pa.Schema) -> pa.Table:
    return frame.to_arrow().cast(schema)


def _arrivals(gone: list[pl.DataFrame]) -> dict[str, list[object]]:
    """Rows that went, by topic, partition and the minute they landed in, as parallel lists."""
    names = ["topic", "partition", "minute", "row_count"]
    if not gone:
        return {name: [] for name in names}
    counted = (
        pl.concat(gone)
        .group_by("topic", "partition", pl.col("received_at").dt.truncate("1m").alias("minute"))
        .agg(pl.len().cast(pl.Int64).alias("row_count"))
    )
    return {name: counted[name].to_list() for name in names}
