"""Rollup windows that fail a check stay visible and are marked, with all that was made of them, until they pass."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from lah_platform.quality.suites import run_suite
from lah_platform.rollups.windows import WINDOWS
from lah_platform.stores.failing_rows import failing_rows
from lah_platform.stores.postgres import Connection, connect
from lah_platform.stores.suspects import mark_suspects
from tests.quality.sample import DAY, NEXT_DAY


@pytest.fixture
def sample(sample_url: str) -> Iterator[Connection]:
    with connect(sample_url) as connection:
        yield connection


def _check(connection: Connection, url: str, hours: int) -> int:
    verdicts = run_suite(url, "rollup_15m", DAY, NEXT_DAY, rules=["moments_are_possible", "histograms_sum_to_count"])
    return mark_suspects(connection, verdicts, DAY, NEXT_DAY, at=NEXT_DAY + timedelta(hours=hours))


def _suspect(connection: Connection) -> dict[str, int]:
    found = {}
    for window in WINDOWS:
        rows = connection.execute(f"select count(*) from {window.view} where is_suspect".encode()).fetchone()
        found[window.name] = rows[0] if rows else 0
    return found


def test_a_window_that_fails_is_suspect_with_the_larger_ones_and_clear_again_when_it_passes(
    sample: Connection, sample_url: str
) -> None:
    rows = {view.name: sample.execute(f"select count(*) from {view.view}".encode()).fetchone() for view in WINDOWS}
    broken = (
        "where metric = 'latency_ms' and series_id = 2 and bucket_start = (select max(bucket_start) from rollup_15m"
        " where metric = 'latency_ms' and series_id = 2 and bucket_start < '2026-03-03')"
    )
    sample.execute(f"update rollup_15m set mean = mean + 1000 {broken}".encode())

    assert _check(sample, sample_url, 1) == 1
    assert _check(sample, sample_url, 2) == 0  # known already
    expected = {"1m": 0, "5m": 0, "15m": 1, "1h": 1, "6h": 1, "1d": 1, "1w": 1, "1M": 1}
    assert _suspect(sample) == expected
    assert {v.name: sample.execute(f"select count(*) from {v.view}".encode()).fetchone() for v in WINDOWS} == rows
    (suspect,) = sample.execute("select tenant, series_id, metric, check_name, advice <> '' from suspects").fetchall()
    assert suspect == ("acme", 2, "latency_ms", "moments_are_possible", True)

    sample.execute(f"update rollup_15m set mean = min {broken}".encode())
    assert _check(sample, sample_url, 3) == 0
    assert set(_suspect(sample).values()) == {0}
    assert sample.execute("select cleared_at from suspect_windows").fetchall() == [(NEXT_DAY + timedelta(hours=3),)]


def test_very_many_windows_are_marked_by_series_and_metric(sample: Connection, sample_url: str) -> None:
    sample.execute(
        "insert into rollup_15m select timestamptz '2026-03-02 00:00Z' + n * interval '0.008 s', 2, 'ttft_ms', 1, 1,"
        " null, 1, 1, 9, 0, 1, 1, 1, '{1}', '{1}', 1, '2026-03-03' from generate_series(0, 10000) n"
        " on conflict do nothing"
    )
    assert _check(sample, sample_url, 1) == 1
    assert sample.execute("select count(*) from suspects").fetchone() == (1,)
    assert _suspect(sample)["15m"] >= 10_000


def test_failing_rows_are_those_of_the_tenant_who_asks_and_no_more_than_asked_for(sample: Connection) -> None:
    sample.execute("update events set total_requests = 1, failed_requests = 2 where ts < '2026-03-03'")
    asked = ("events", "failed_requests_are_among_all_requests", DAY, NEXT_DAY)

    everyone = failing_rows(sample, *asked, limit=100)
    assert (len(everyone), {row["tenant"] for row in everyone}) == (12, {"acme", "globex"})
    assert {row["tenant"] for row in failing_rows(sample, *asked, limit=100, tenant="globex")} == {"globex"}
    assert len(failing_rows(sample, *asked, limit=3)) == 3
    assert failing_rows(sample, *asked, limit=3, tenant="nobody") == []

    sample.execute("update rollup_1m set m2 = -1")  # whose rows have a series and no tenant
    moments = ("rollup_1m", "moments_are_possible", DAY, NEXT_DAY)
    series = {row["series_id"] for row in failing_rows(sample, *moments, limit=1000, tenant="globex")}
    assert series == {5}
    sample.execute("delete from events")
    assert failing_rows(sample, "ledger", "stored_equals_events", DAY, NEXT_DAY, limit=9)
    assert failing_rows(sample, "ledger", "stored_equals_events", DAY, NEXT_DAY, limit=9, tenant="acme") == []
