"""Checks on a day whose events are in the archive: in health they pass, and they find what the archive can tell."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lah_platform.quality.suites import run_suite
from lah_platform.stores.archive import archive_day
from lah_platform.stores.postgres import Connection, connect
from lah_platform.stores.retention import drop_archived_day
from tests.quality.sample import DAY, NEXT_DAY


@pytest.fixture
def archived(sample_url: str, tmp_path: Path) -> Iterator[Connection]:
    """The sample, with its day in the archive and no longer in PostgreSQL."""
    with connect(sample_url) as connection:
        archive_day(connection, tmp_path, DAY.date(), now=NEXT_DAY, recompute=lambda _: None)
        assert drop_archived_day(connection, tmp_path, DAY.date()) is None
        yield connection


def _failing(url: str, asset: str) -> list[str]:
    return [verdict.check_name for verdict in run_suite(url, asset, DAY, NEXT_DAY) if not verdict.passed]


@pytest.mark.parametrize("asset", ["ledger", "rollup_1m", "cost_daily", "correlations"])
def test_what_is_compared_with_events_holds_when_these_are_in_the_archive(
    asset: str, archived: Connection, sample_url: str
) -> None:
    assert archived.execute("select count(*) from events").fetchone() == (2,)
    assert _failing(sample_url, asset) == []


def test_events_that_the_rollups_of_an_archived_day_miss_or_have_twice_are_found(
    archived: Connection, sample_url: str
) -> None:
    archived.execute("update rollup_1m set count = count + 1 where metric = 'events' and bucket_start = %s", (DAY,))
    assert "equals_events" in _failing(sample_url, "rollup_1m")
    archived.execute("delete from rollup_1m where metric = 'events' and bucket_start = %s", (DAY,))
    assert "equals_events" in _failing(sample_url, "rollup_1m")


def test_rows_that_the_ledger_has_and_neither_postgresql_nor_the_archive_are_found(
    archived: Connection, sample_url: str
) -> None:
    archived.execute("delete from archive_arrivals where minute = (select min(minute) from archive_arrivals)")
    assert _failing(sample_url, "ledger") == ["stored_equals_events"]
