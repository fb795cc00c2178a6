"""SQL: analysts get from `lah_hist_*`, `lah_*_agg` and the `metrics_*` views what Python computes."""

import math
from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import reduce
from typing import Any

import polars as pl
import psycopg
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from psycopg.types.json import Jsonb

from lah_platform.rollups import histogram
from lah_platform.rollups.aggregate import ROWS_SCHEMA, aggregate_minutes, merge, with_measures
from lah_platform.rollups.metrics import METRICS
from lah_platform.rollups.windows import WINDOWS, Window

Connection = psycopg.Connection[tuple[Any, ...]]
Histogram = tuple[list[int], list[int]]

FINITE = st.floats(allow_nan=False, allow_infinity=False)
each_window = pytest.mark.parametrize("size", WINDOWS, ids=lambda size: size.name)
# the database is only asked to compute, so examples may share it
with_database = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def histogram_of(values: list[float]) -> Histogram:
    counts = Counter(histogram.key(value) for value in values)
    return sorted(counts), [counts[key] for key in sorted(counts)]


HISTOGRAMS = st.lists(FINITE, max_size=20).map(histogram_of)


def one(connection: Connection, query: str, *parameters: object) -> tuple[Any, ...]:
    row = connection.execute(query.encode(), parameters).fetchone()
    assert row is not None
    return row


@with_database
@given(a=HISTOGRAMS, b=HISTOGRAMS)
def test_two_histograms_merge_as_in_python(connection: Connection, a: Histogram, b: Histogram) -> None:
    query = "select (m).keys, (m).counts from lah_hist_merge(%s::int[], %s::bigint[], %s::int[], %s::bigint[]) m"
    assert one(connection, query, *a, *b) == histogram.merge(a, b)


def test_a_missing_histogram_counts_as_empty(connection: Connection) -> None:
    query = "select (m).keys, (m).counts from lah_hist_merge('{1,2}', '{3,4}', null, null) m"
    assert one(connection, query) == ([1, 2], [3, 4])


@with_database
@given(parts=st.lists(HISTOGRAMS, max_size=6))
@example(parts=[histogram_of([1.01**n for n in range(start, start + 3000)]) for start in (-20_000, -1000, 0, 5000, 0)])
def test_the_histograms_of_a_group_merge_as_in_python(connection: Connection, parts: list[Histogram]) -> None:
    query = """
        select (merged).keys, (merged).counts from (
            select lah_hist_merge_agg(
                array(select jsonb_array_elements_text(part -> 0)::int),
                array(select jsonb_array_elements_text(part -> 1)::bigint)
            ) as merged
            from jsonb_array_elements(%s::jsonb) part
        ) grouped"""
    nothing: Histogram = ([], [])
    sent = Jsonb(parts)
    assert one(connection, query, sent) == reduce(histogram.merge, parts, nothing)


@with_database
@given(values=st.lists(FINITE, max_size=30), q=st.one_of(st.floats(0, 1), st.sampled_from([0.5, 0.95, 0.99, 0.07])))
@example(values=[float(n) for n in range(1, 101)], q=0.07)
@example(values=[5e-324, 2.2250738585072014e-308, 1.7976931348623157e308, -1.7976931348623157e308, 0.0], q=0.2)
@example(values=[1.7976931348623157e308, 1.7976931348623157e308], q=1.0)
@example(values=[-5e-324, 5e-324, 1.5e-323], q=0.5)
@example(values=[], q=0.5)
def test_a_quantile_is_the_one_of_python(connection: Connection, values: list[float], q: float) -> None:
    keys, counts = histogram_of(values)
    minimum, maximum = min(values, default=0.0), max(values, default=0.0)
    query = "select lah_hist_quantile(%s::int[], %s::bigint[], %s::float8, %s::float8, %s::float8)"
    (found,) = one(connection, query, keys, counts, q, minimum, maximum)
    wanted = histogram.quantile(keys, counts, q, minimum, maximum)
    assert found == (wanted and pytest.approx(wanted, rel=1e-14, abs=0.0))


@pytest.mark.parametrize("q", [-0.01, 95.0, math.nan])
def test_a_quantile_outside_zero_to_one_is_refused(connection: Connection, q: float) -> None:
    with pytest.raises(psycopg.errors.NumericValueOutOfRange, match=r"use 0\.95"):
        connection.execute("select lah_hist_quantile('{0}', '{1}', %s::float8, 0, 0)", [q])


@pytest.mark.parametrize(
    "call",
    [
        "lah_hist_quantile('{1,2}', '{1}', 0.5, 0, 0)",
        "lah_hist_merge('{1,2}', '{1}', '{}', '{}')",
        "lah_hist_merge('{}', '{}', '{1}', '{1,2}')",
        "lah_hist_merge_agg('{1}', '{1,2}')",
    ],
)
def test_keys_without_counts_are_refused(connection: Connection, call: str) -> None:
    with pytest.raises(psycopg.errors.ArraySubscriptError, match="keys but"):
        connection.execute(f"select {call}".encode())


@with_database
@given(
    batches=st.lists(
        st.lists(st.one_of(st.floats(-1e140, 1e140), st.floats(-100, 100), st.floats(-1e-300, 1e-300)), max_size=8),
        max_size=6,
    )
)
@example(batches=[[1e9 + 1], [1e9 + 4], [1e9 + 2, 1e9 + 3]])
@example(batches=[[5e-324], [0.0], [1e-200]])
@example(batches=[[7.0]])
@example(batches=[])
def test_a_deviation_over_any_rows_is_the_one_of_python(connection: Connection, batches: list[list[float]]) -> None:
    rows = [pl.DataFrame({"score": batch}, schema={"score": pl.Float64}) for batch in batches]
    parts = pl.concat([_minutes_of(frame) for frame in rows] or [_minutes_of(pl.DataFrame({"score": []}))])
    merged = with_measures(merge(parts, WINDOWS[-1]))
    query = """
        select lah_stddev_agg(count, mean, m2), (lah_m2_merge_agg(count, mean, m2)).count,
               (lah_m2_merge_agg(count, mean, m2)).mean
        from unnest(%s::bigint[], %s::float8[], %s::float8[]) as parts (count, mean, m2)"""
    found = one(connection, query, *(parts.get_column(name).to_list() for name in ("count", "mean", "m2")))
    largest = max((abs(value) for batch in batches for value in batch), default=0.0)
    stddev, count, mean = merged.select("stddev", "count", "mean").row(0) if not merged.is_empty() else (None, 0, 0.0)
    assert found[1] == count
    assert found[2] == pytest.approx(mean, rel=1e-9, abs=1e-14 * largest + 1e-270)
    assert found[0] == (stddev if stddev is None else pytest.approx(stddev, rel=1e-9, abs=1e-14 * largest + 1e-140))


def _minutes_of(scores: pl.DataFrame) -> pl.DataFrame:
    missing = [pl.lit(None, dtype).alias(name) for name, dtype in ROWS_SCHEMA.items() if name not in ("score", "ts")]
    rows = scores.select(pl.col("score").cast(pl.Float64), ts=pl.lit(datetime(2025, 1, 1, tzinfo=UTC)))
    aggregated = aggregate_minutes(rows.with_columns(missing).with_columns(pl.lit(1, pl.Int64).alias("series_id")))
    return aggregated.filter(pl.col("metric") == "score")


def test_every_function_may_run_in_parallel_workers(connection: Connection) -> None:
    rows = connection.execute(
        """select proname from pg_proc where pronamespace = 'lah'::regnamespace
           and (proname like 'lah_hist%' or proname like 'lah_m2%' or proname like 'lah_stddev%')
           and (proparallel <> 's' or provolatile <> 'i')"""
    ).fetchall()
    assert rows == []


def test_parallel_workers_find_what_one_process_finds(connection: Connection) -> None:
    connection.execute(
        """create table many as
           select n, array[n % 50, 100 + n % 7] as keys, array[1, n]::bigint[] as counts,
                  (n * 37 % 101)::float8 as mean
           from generate_series(1, 20000) n"""
    )
    query = "select (lah_hist_merge_agg(keys, counts)).*, lah_stddev_agg(1, mean, 0), stddev_samp(mean) from many"
    alone = one(connection, query)
    for setting in ("parallel_setup_cost", "parallel_tuple_cost", "min_parallel_table_scan_size"):
        connection.execute(f"set {setting} = 0".encode())
    plan = connection.execute(f"explain {query}".encode()).fetchall()
    assert any("Partial Aggregate" in line for (line,) in plan)
    together = one(connection, query)
    assert together[:2] == alone[:2]
    assert together[2] == pytest.approx(alone[2], rel=1e-12)
    assert together[2] == pytest.approx(together[3], rel=1e-12)


def test_the_functions_work_whatever_the_search_path(connection: Connection) -> None:
    connection.execute("set search_path = pg_catalog")
    query = """
        select lah.lah_hist_quantile((m).keys, (m).counts, 0.5, 0, 9), stddev
        from (select lah.lah_hist_merge_agg('{1048576}', '{1}') as m, lah.lah_stddev_agg(1, 2, 0) as stddev) merged"""
    assert one(connection, query) == (histogram.representative(1048576), None)


def test_every_metric_reads_a_column_that_events_have(connection: Connection) -> None:
    rows = connection.execute(
        """select attname, format_type(atttypid, atttypmod) from pg_attribute
           where attrelid = 'events'::regclass and attnum > 0"""
    ).fetchall()
    types = {"float": "double precision", "integer": "bigint", "decimal": "numeric(28,12)"}
    wanted = {(known.column, types[known.exactness]) for known in METRICS if known.column is not None}
    assert wanted <= set(rows)


def _store(connection: Connection, size: Window, start: datetime, **values: object) -> None:
    row = {
        "bucket_start": start, "series_id": 1, "metric": "latency_ms", "count": 3, "sum": 6.0, "sum_exact": None,
        "min": 1.0, "max": 3.0, "mean": 2.0, "m2": 2.0, "p50": 2.0, "p95": 3.0, "p99": 3.0,
        "hist_keys": [0], "hist_counts": [3], "revision": 1, "computed_at": start,
    } | values  # fmt: skip
    columns = ", ".join(row)
    places = ", ".join(["%s"] * len(row))
    connection.execute(f"insert into {size.table} ({columns}) values ({places})".encode(), list(row.values()))


@pytest.fixture
def served(connection: Connection) -> Connection:
    """A database with one series."""
    connection.execute(
        """insert into series (series_id, tenant, event_type, subtype, model, environment, service, region, team)
           overriding system value
           values (1, 'acme', 'telemetry', 'latency', 'gpt-4', 'production', 'chat', 'eu', 'search')"""
    )
    return connection


@each_window
def test_a_view_shows_every_measure_with_the_dimensions_of_its_series(served: Connection, size: Window) -> None:
    start = datetime(2025, 9, 1, tzinfo=UTC)  # a Monday and the first of a month: every window starts here
    _store(served, size, start)
    cursor = served.execute(f"select * from {size.view}".encode())
    row = cursor.fetchone()
    assert row is not None
    assert cursor.description is not None
    assert dict(zip([column.name for column in cursor.description], row, strict=True)) == {
        "bucket_start": start, "bucket_end": size.end(start),
        "tenant": "acme", "event_type": "telemetry", "subtype": "latency", "model": "gpt-4",
        "environment": "production", "service": "chat", "region": "eu", "team": "search",
        "series_id": 1, "metric": "latency_ms", "count": 3, "sum": Decimal(6), "avg": 2.0, "min": 1.0, "max": 3.0,
        "stddev": 1.0, "p50": 2.0, "p95": 3.0, "p99": 3.0,
        "revision": 1, "computed_at": start, "is_final": False,
        "m2": 2.0, "hist_keys": [0], "hist_counts": [3],
        "is_live": False, "source_module": "", "provider": "", "tags": {}, "is_suspect": False,
    }  # fmt: skip


@each_window
@pytest.mark.parametrize("zone", ["America/New_York", "Australia/Lord_Howe", "Pacific/Apia"])
def test_buckets_end_in_utc_whatever_the_time_zone_of_the_session(served: Connection, size: Window, zone: str) -> None:
    days = [datetime(2011, 12, 1, tzinfo=UTC) + timedelta(days=n, hours=5) for n in range(0, 500, 3)]
    starts = sorted({size.floor(day) for day in days})
    for start in starts:
        _store(served, size, start)
    served.execute("select set_config('TimeZone', %s, false)", [zone])
    found = served.execute(f"select bucket_start, bucket_end from {size.view} order by 1".encode()).fetchall()
    assert [(start.astimezone(UTC), end.astimezone(UTC)) for start, end in found] == [(s, size.end(s)) for s in starts]


@each_window
def test_a_bucket_is_final_once_the_watermark_is_at_its_end(served: Connection, size: Window) -> None:
    start = datetime(2025, 9, 1, tzinfo=UTC)
    _store(served, size, start)
    query = f"select is_final from {size.view}"
    for watermark, is_final in ((size.end(start) - timedelta(microseconds=1), False), (size.end(start), True)):
        served.execute("update rollup_state set final_before = %s", [watermark])
        assert one(served, query) == (is_final,)


def test_exact_sums_are_served_to_the_last_digit_and_one_value_has_no_deviation(served: Connection) -> None:
    _store(
        served, WINDOWS[0], datetime(2025, 9, 1, tzinfo=UTC),
        metric="cost_usd", count=1, sum=None, sum_exact=Decimal("12345678901234.000000000001"), m2=0.0,
    )  # fmt: skip
    assert one(served, "select sum, stddev from metrics_1m") == (Decimal("12345678901234.000000000001"), None)
