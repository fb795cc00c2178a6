"""Closed days of events in Parquet: written, read back, and recorded; only then may maintenance drop them."""

import time
from datetime import UTC, datetime, timedelta
from functools import partial

import dagster as dg

from assets.partitions import DAILY, days_of
from assets.progress import day_reporter
from assets.resources import Hub
from assets.tables import table_spec
from lah_platform.errors import ConfigurationError
from lah_platform.stores.archive import archive_day
from lah_platform.stores.cold_events import cold_rows
from lah_platform.stores.rollups import recompute_day

__all__ = ["events_archive"]

_DAY = timedelta(days=1)
_SPEC = table_spec(
    "archive_files",
    "Each closed day of events in Parquet, verified by reading it back; late rows in further files.",
    group="archive",
    deps=["events"],
    key="events_archive",
    partitions_def=DAILY,
)


@dg.multi_asset(name="write_events_archive", specs=[_SPEC], backfill_policy=dg.BackfillPolicy.single_run())
def events_archive(context: dg.AssetExecutionContext, hub: Hub) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """Bring the files of the run's days up to what events holds; days that are whole already are only verified."""
    if hub.archive is None:
        raise ConfigurationError("There is no archive", "Set LAH_ARCHIVE_DIR to its folder")
    first, last = days_of(context)
    started, now = time.monotonic(), datetime.now(UTC)
    written, repeats = [], 0
    with hub.connection() as connection:
        report = day_reporter(context, connection)
        again = partial(recompute_day, connection, now=now, cold_rows=partial(cold_rows, archive_dir=hub.archive))
        for number in range((last - first).days + 1):
            done = archive_day(connection, hub.archive, first + number * _DAY, now=now, recompute=again)
            repeats += done.repeats
            if done.file is not None:
                written.append(done.file)
            report(done.day)
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": sum(file.rows for file in written),
            "bytes": sum(file.file_bytes for file in written),
            "files": len(written),
            "repeats_removed": repeats,
            "watermark": f"{last}",
            "seconds": round(time.monotonic() - started, 3),
        }
    )
