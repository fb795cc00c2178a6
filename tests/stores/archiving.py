"""Landing, archiving and dropping as a test wants them, and what was landed as the test itself remembers it."""

from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from lah_platform.compliance.signing import Signer
from lah_platform.landing.batch import prepare
from lah_platform.landing.records import Outcome, Partition, Record
from lah_platform.rollups.windows import WINDOWS
from lah_platform.stack.landing_process import decode_now
from lah_platform.stores.archive import Archived, archive_day
from lah_platform.stores.cold_events import cold_rows
from lah_platform.stores.landing import PostgresLanding
from lah_platform.stores.postgres import Connection
from lah_platform.stores.retention import drop_archived_day
from lah_platform.stores.retention_drop import Drop
from lah_platform.stores.retention_rules import due_now
from lah_platform.stores.retention_run import run_retention
from lah_platform.stores.rollups import recompute_day, tick
from tests.landing.messages import NOW, message
from tests.rollups import naive

DAY = timedelta(days=1)
TODAY = NOW.date()
YESTERDAY = TODAY - DAY
_PARTITION = Partition("t", "one", 0)


SIGNER = Signer("bWFrZSBhIHNpZ25pbmcga2V5IG9mIDMyIGJ5dGVzISE=")


def drop_old_events(connection: Connection, before: date, folder: Path | None = None) -> list[Drop]:
    """What retention drops when all events before the UTC day `before` are due."""
    today = datetime.now(UTC).date()
    outcome = run_retention(
        connection,
        due_now(connection, today, most_days=(today - before).days),
        now=datetime.now(UTC),
        actor="maintenance",
        signer=lambda: SIGNER,
        archive_dir=folder,
        recompute=lambda _day: None,
    )
    assert not outcome.not_done
    return [drop for drop in outcome.drops if drop.rows_dropped]


@dataclass(frozen=True)
class Hub:
    """A database with a folder for its archive."""

    url: str
    connection: Connection
    folder: Path

    def land(self, values: Sequence[bytes], *, at: datetime = NOW) -> list[Outcome]:
        with closing(PostgresLanding(self.url)) as store:
            start = store.adopt(_PARTITION, 0)
            records = [Record(_PARTITION, start + i, None, value) for i, value in enumerate(values)]
            return list(store.land(prepare(records, {_PARTITION: start}, decoder=decode_now, received_at=at)).outcomes)

    def archive(self, day: date = YESTERDAY) -> Archived:
        return archive_day(self.connection, self.folder, day, now=NOW, recompute=self.recompute)

    def recompute(self, day: date) -> None:
        reader = partial(cold_rows, archive_dir=self.folder)
        recompute_day(self.connection, day, now=NOW, cold_rows=reader)

    def drop(self, day: date = YESTERDAY) -> str | None:
        return drop_archived_day(self.connection, self.folder, day, patience=timedelta(milliseconds=200))

    def tick(self) -> None:
        while tick(self.connection, now=NOW).partials:
            pass

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        return self.connection.execute(statement.encode()).fetchall()

    def files(self) -> list[Path]:
        return sorted(self.folder.glob("events/*/*.parquet"))

    def outcomes(self) -> tuple[int, int, int]:
        """Received, stored and duplicate, by the ledger."""
        ((received, stored, duplicate),) = self.rows(
            "select sum(received)::int, sum(stored)::int, sum(duplicate)::int from ledger"
        )
        return received, stored, duplicate


def event(number: int, *, days_ago: int = 1, hour: int = 11, **more: Any) -> bytes:
    """Event `number` of so many days before NOW; the same number is the same event when the rest is."""
    minutes = days_ago * 1440 + (12 - hour) * 60 - number % 40
    return message(number, minutes_ago=minutes, latency_ms=10.0 + number / 7, **more)


def assert_rollups_say(connection: Connection, events: Iterable[dict[str, Any]]) -> None:
    """Every window holds exactly the groups of `events`, with their counts, extremes and sums."""
    events = list(events)
    for window in WINDOWS:
        expected = naive.recompute(events, window.name)
        found = {
            row[:3]: row[3:]
            for row in connection.execute(
                f"select series_id, metric, bucket_start, count, min, max, sum from {window.view}".encode()
            )
        }
        assert found.keys() == expected.keys(), window.name
        for key, values in expected.items():
            count, low, high, total = found[key]
            assert (count, low, high) == (values.count, values.min, values.max), (window.name, key)
            assert float(total) == pytest.approx(float(values.sum), rel=1e-12), (window.name, key)
