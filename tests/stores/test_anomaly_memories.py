"""Days judged one after the other, from what is remembered, tell what judging each from the beginning tells."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from assets.hourly_anomalies import Judged, judge_days
from lah_platform.stores.frames import copy_frame
from lah_platform.stores.postgres import Connection
from tests.stores.event_rows import add_series

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
FIRST = datetime(2026, 3, 12, tzinfo=UTC)
_OTHER_BEGINNING = 4  # the day, of these, from which on a series is judged from another midnight
MEASURES = {"events": "count", "latency_ms": "p95"}
_DAYS = 8


@pytest.fixture
def series_ids(connection: Connection) -> list[int]:
    """Two series of eight days with a spike a day from the third on, a burst, and rows of their days."""
    ids = [add_series(connection, tenant=tenant, model="m") for tenant in ("acme", "globex")]
    rng = np.random.default_rng(1)
    size = _DAYS * 24
    for series_id in ids:
        latency = rng.lognormal(6, 0.05, size)
        latency[60::29] *= np.linspace(3, 30, len(latency[60::29]))
        counts = rng.poisson(200, size)
        counts[150] = 900
        hours = [FIRST + at * HOUR for at in range(size)]
        for metric, values in (("latency_ms", latency), ("events", counts.astype(float))):
            fill(connection, "rollup_1h", series_id, metric, hours, values.tolist(), counts.tolist())
            days = [FIRST + at * DAY for at in range(_DAYS)]
            fill(connection, "rollup_1d", series_id, metric, days, [1.0] * _DAYS, [1] * _DAYS)
    return ids


def fill(
    connection: Connection,
    table: str,
    series_id: int,
    metric: str,
    starts: list[datetime],
    values: list[float],
    counts: list[int],
) -> None:
    same = dict.fromkeys(("sum", "min", "max", "mean", "p50", "p95", "p99"), pl.Series(values))
    keys = [[2**20 + at, 2**20 + 9 + at] for at in (np.log2(values) * 32).astype(int).tolist()]
    rows = pl.DataFrame({"bucket_start": starts, "count": counts, **same}).with_columns(
        series_id=pl.lit(series_id),
        metric=pl.lit(metric),
        m2=pl.lit(0.0),
        hist_keys=pl.Series(keys),
        hist_counts=pl.Series([[count // 2, count - count // 2] for count in counts]),
        revision=pl.lit(1),
        computed_at=pl.lit(FIRST),
    )
    copy_frame(connection, table, rows, rows.columns)


def judge(connection: Connection, day: datetime, *, after: datetime | None = None) -> Judged:
    return judge_days(connection, MEASURES, day, day + DAY, after=after or day + DAY)


def forget(connection: Connection) -> None:
    connection.execute("delete from anomaly_memories")


def late_event(connection: Connection, series_id: int, hour: datetime) -> None:
    """What the rollup tick does with one: the hour and the day change, and count a revision."""
    for table, start in (("rollup_1h", hour), ("rollup_1d", hour.replace(hour=0))):
        connection.execute(
            f"update {table} set p95 = p95 * 5, revision = revision + 1".encode()
            + b" where series_id = %s and metric = 'latency_ms' and bucket_start = %s",
            [series_id, start],
        )


def test_days_gone_on_from_memory_tell_what_days_judged_anew_tell(
    connection: Connection, series_ids: list[int]
) -> None:
    told = 0
    for number in range(_DAYS):
        day = FIRST + number * DAY
        went_on = judge(connection, day)
        assert went_on.judged_anew == (2 * len(series_ids) if number == _OTHER_BEGINNING else 0)
        assert judge(connection, day).found.rows() == went_on.found.rows(), "a repetition tells the same"
        kept = connection.execute("select * from anomaly_memories where through > %s", [day]).fetchall()
        with connection.transaction(force_rollback=True):
            forget(connection)
            anew = judge(connection, day)
            again = connection.execute("select * from anomaly_memories where through > %s", [day]).fetchall()
        assert (anew.found.rows(), sorted(again)) == (went_on.found.rows(), sorted(kept))
        assert anew.judged_anew == (2 * len(series_ids) if number else 0)
        told += went_on.found.height
    assert told > 4
    assert judge(connection, FIRST).learning == 2 * len(series_ids)


def test_late_data_makes_its_series_stale_and_no_other(connection: Connection, series_ids: list[int]) -> None:
    for number in range(6):
        judge(connection, FIRST + number * DAY)
    late_event(connection, series_ids[0], FIRST + 3 * DAY + 7 * HOUR)
    day = FIRST + 6 * DAY
    corrected = judge(connection, day)
    assert corrected.judged_anew == 2
    forget(connection)
    assert judge(connection, day).found.rows() == corrected.found.rows()
    assert judge(connection, day + DAY).judged_anew == 0


def test_what_another_version_or_nobody_remembers_is_judged_anew(connection: Connection, series_ids: list[int]) -> None:
    judge(connection, FIRST + 4 * DAY)
    connection.execute("update anomaly_memories set version = 'another'")
    assert judge(connection, FIRST + 5 * DAY).judged_anew == 2 * len(series_ids)
    connection.execute("delete from anomaly_memories where metric = 'events'")
    assert judge(connection, FIRST + 6 * DAY).judged_anew == 2 * len(series_ids)


def test_a_past_day_follows_its_episodes_to_their_end_and_a_run_of_several_days_tells_theirs(
    connection: Connection, series_ids: list[int]
) -> None:
    day, end = FIRST + 5 * DAY, FIRST + _DAYS * DAY
    connection.execute(
        "update rollup_1h set p95 = 9000 where metric = 'latency_ms' and series_id = %s"
        " and bucket_start >= %s and bucket_start < %s",
        [series_ids[0], day + 20 * HOUR, day + 30 * HOUR],
    )
    seen_then, seen_later = judge(connection, day), judge(connection, day, after=end)

    def ends(judged: Judged) -> list[datetime]:
        open_ones = judged.found.filter((pl.col("observed") == 9000) & (pl.col("anomaly_type") == "spike"))
        return open_ones["ended_at"].to_list()

    assert (ends(seen_then), ends(seen_later)) == ([day + DAY], [day + 30 * HOUR])
    several = judge_days(connection, MEASURES, FIRST, end, after=end).found
    assert set(several.filter(pl.col("started_at") >= day).rows()) >= set(seen_later.found.rows())


@pytest.mark.usefixtures("series_ids")
def test_memories_of_two_midnights_are_kept_and_none_of_half_a_day(connection: Connection) -> None:
    for number in range(2):
        judge(connection, FIRST + number * DAY)
    judge(connection, FIRST + 2 * DAY, after=FIRST + 2 * DAY + 6 * HOUR)
    throughs = connection.execute("select distinct through from anomaly_memories order by 1").fetchall()
    assert throughs == [(FIRST + DAY,), (FIRST + 2 * DAY,)]
    judge(connection, FIRST + 2 * DAY)
    throughs = connection.execute("select distinct through from anomaly_memories order by 1").fetchall()
    assert throughs == [(FIRST + 2 * DAY,), (FIRST + 3 * DAY,)]


def test_nothing_is_found_where_there_is_nothing(connection: Connection) -> None:
    empty = judge(connection, FIRST)
    assert (empty.found.height, empty.series_ids, empty.judged) == (0, [], 0)
