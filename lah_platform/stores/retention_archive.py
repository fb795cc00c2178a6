"""Retention in files of the archive whose rows PostgreSQL has no more."""

import shutil
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import polars as pl

from lah_platform.privacy.holds import Hold, due_rows, held_rows
from lah_platform.privacy.retention import Due
from lah_platform.stores.archive import archived_files
from lah_platform.stores.archive_files import ArchiveFile, Summary, check_file
from lah_platform.stores.archive_rewrite import rewrite_cold_files
from lah_platform.stores.postgres import Connection
from lah_platform.stores.queries import queries
from lah_platform.stores.retention_drop import Drop

__all__ = ["Expiry", "clear_unknown_days", "expire_rows", "without_personal"]

_Q = queries("retention_run")
_TOKEN = '"enc:v1:[^"]*"'
_EXPIRED = '"[expired]"'


@dataclass(frozen=True)
class Expiry:
    """What is due of a class of events, what is held of it, and whether it is only to be counted."""

    class_: str
    dues: Sequence[Due]
    holds: Sequence[Hold]
    now: datetime
    dry_run: bool


def expire_rows(connection: Connection, folder: Path, day: date, expiry: Expiry) -> tuple[list[Drop], list[Path]]:
    """Take the day's rows that are due and not held out of its files, or their personal content.

    Returns what went, and the files to remove once the caller's transaction is committed.
    """
    held = 0
    gone: list[pl.DataFrame] = []

    def chosen(frame: pl.DataFrame) -> pl.Series:
        nonlocal held
        if "subject_id" not in frame.columns:  # a file from before events named their subject
            frame = frame.with_columns(subject_id=pl.lit(None, pl.String))
        found = frame.select(is_due=due_rows(expiry.dues), is_held=held_rows(expiry.holds, expiry.class_))
        is_due = found["is_due"]
        if expiry.class_ == "personal":
            is_due &= frame.select(pl.any_horizontal(pl.col("payload", "tags").str.contains(_TOKEN))).to_series()
        held += int((is_due & found["is_held"]).sum())
        goes = is_due & ~found["is_held"]
        if expiry.class_ == "events":
            gone.append(frame.filter(goes).select("ts", "tenant", "event_id"))
        return goes

    if expiry.dry_run:
        drops = []
        for file in archived_files(connection, day, day):
            if file.is_dropped:
                frame = pl.read_parquet(check_file(folder, file), hive_partitioning=False)
                held = 0
                rows = int(chosen(frame).sum())
                drops.append(_drop(expiry.class_, file, rows, file, Summary(rows, None, None, 0), held))
        return drops, []
    change = without_personal if expiry.class_ == "personal" else None
    done = rewrite_cold_files(connection, folder, day, chosen=chosen, change=change, now=expiry.now)
    if done and gone:
        connection.execute(_Q["forget_named_of"], pl.concat(gone).to_dict(as_series=False))
    drops = [_drop(expiry.class_, each.before, each.taken.rows, each.after, each.taken, held) for each in done]
    return drops, [folder / each.before.path for each in done]


def without_personal(frame: pl.DataFrame) -> pl.DataFrame:
    """The rows with each encrypted personal text of payload and tags replaced; as SQL's `lah_without_personal`."""
    return frame.with_columns(pl.col("payload", "tags").str.replace_all(_TOKEN, _EXPIRED))


def clear_unknown_days(folder: Path, before: date, known: Collection[date]) -> None:
    """Remove folders of days before `before` that no file is recorded of: what a crash or a rewriting left."""
    names = {f"day={day}" for day in known}
    for found in folder.glob("events/day=*"):
        if found.name < f"day={before}" and found.name not in names:
            shutil.rmtree(found)


def _drop(class_: str, before: ArchiveFile, rows: int, after: ArchiveFile | None, taken: Summary, held: int) -> Drop:
    return Drop(
        "archive",
        "events",
        class_,
        before.day,
        before.rows,
        rows,
        after.rows if after else 0,
        held,
        f"{before.checksum}",
        f"{taken.checksum}",
        f"{after.checksum}" if after else "0",
    )
