"""What a reader of SQL can rely on: everything is described, the newest minute is there, and reading is all one may."""

from collections.abc import Sequence
from contextlib import closing
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from psycopg import errors

from lah_platform.rollups.metrics import METRICS
from lah_platform.rollups.windows import WINDOWS
from lah_platform.stores.landing import PostgresLanding
from lah_platform.stores.postgres import Connection
from lah_platform.stores.rollups import pending, tick
from tests.landing.messages import NOW, api_cost, message
from tests.rollups.test_rollup_store import land

_TABLES = "events, landing_batches, landing_offsets, ledger, rollup_partial_sets, series, " + ", ".join(
    window.table for window in WINDOWS
)
_SAME = "bucket_start, series_id, metric, count, min, max, p50, p95, p99, hist_keys, hist_counts"
_NEARLY = "sum::float8, avg, coalesce(stddev, -1)"


def test_every_table_view_column_function_and_type_says_what_it_is(connection: Connection) -> None:
    undescribed = connection.execute(
        """
        with objects as (
            select c.oid, c.relname from pg_class c
            where c.relnamespace = 'lah'::regnamespace and c.relkind in ('r', 'p', 'v', 'm') and not c.relispartition
        )
        select relname from objects where obj_description(oid, 'pg_class') is null
        union all
        select o.relname || '.' || a.attname from objects o join pg_attribute a on a.attrelid = o.oid
        where a.attnum > 0 and not a.attisdropped and col_description(o.oid, a.attnum) is null
        union all
        select p.oid::regprocedure::text from pg_proc p
        where p.pronamespace = 'lah'::regnamespace and obj_description(p.oid, 'pg_proc') is null
        union all
        select t.typname from pg_type t left join pg_class k on k.oid = t.typrelid
        where t.typnamespace = 'lah'::regnamespace and obj_description(t.oid, 'pg_type') is null
          and (t.typtype in ('e', 'd') or k.relkind = 'c')
        """
    ).fetchall()
    assert undescribed == []


@hypothesis_settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    steps=st.lists(
        st.one_of(
            st.just(None),
            st.lists(st.tuples(st.integers(0, 40), st.integers(0, 4), st.floats(0.01, 1e6)), min_size=1, max_size=9),
        ),
        min_size=1,
        max_size=6,
    )
)
def test_the_live_minutes_say_what_the_rollup_will_say(
    steps: list[list[tuple[int, int, float]] | None], database: str, connection: Connection
) -> None:
    connection.execute(f"truncate {_TABLES}".encode())
    with closing(PostgresLanding(database)) as store:
        for step in steps:
            if step is None:
                tick(connection, now=NOW, max_partials=1)
            else:
                land(store, [message(number, minutes_ago=age, latency_ms=value) for number, age, value in step])
        land(store, [message(99, event_type="cost", payload={"payload_type": "cost", "data": api_cost("0.1")})])
    live = _rows(connection, "metrics_1m_live")
    while pending(connection):
        tick(connection, now=NOW)
    later = _rows(connection, "metrics_1m")
    assert [row[0] for row in live] == [row[0] for row in later]
    assert [row[1] for row in live] == [pytest.approx(row[1], rel=1e-9, abs=1e-9) for row in later]
    assert not any(connection.execute("select is_live from metrics_1m_live where is_live").fetchall())


def _rows(connection: Connection, view: str) -> list[tuple[Sequence[object], Sequence[object]]]:
    cursor = connection.execute(f"select {_SAME}, {_NEARLY} from {view} order by 1, 2, 3".encode())
    return [(row[:-3], row[-3:]) for row in cursor]


def test_a_set_of_waiting_partials_is_read_once_however_many_groups_it_has(connection: Connection) -> None:
    connection.execute(
        """
        insert into rollup_partial_sets (day, first_minute, group_count, series_ids, metrics, minutes, counts, sums,
                                         exact_sums, minima, maxima, means, m2s, hist_sizes, hist_keys, hist_counts)
        select '2026-03-04', '2026-03-04 12:00Z', 500, array_agg(g), array_agg('latency_ms'::text),
               array_agg(timestamptz '2026-03-04 12:00Z'), array_agg(20::bigint), array_agg(20::float8),
               array_agg(null::numeric), array_agg(1::float8), array_agg(1::float8), array_agg(1::float8),
               array_agg(0::float8), array_agg(20),
               (select array_agg(1048576 + k % 20) from generate_series(0, 9999) k),
               array_fill(1::bigint, array[10000])
        from generate_series(1, 500) g
        """
    )
    pages, groups = _one(connection, "select pg_table_size('rollup_partial_sets') / 8192, 500")
    read = "select count(*), count(hist_keys) + count(hist_counts) from rollup_partials"
    assert _one(connection, read) == (groups, 2 * groups)
    (plan,) = _one(connection, f"explain (analyze, buffers, format json) {read}")[0]
    assert plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"] < 3 * pages


def test_minutes_of_a_metric_that_is_new_are_not_each_searched_for_among_all_that_waits(connection: Connection) -> None:
    connection.execute("analyze rollup_1m")  # which knows of no metric yet
    plan = connection.execute(
        "explain select * from metrics_1m_live where metric = 'ttft_ms' and bucket_start >= '2026-03-04 11:00Z'"
    ).fetchall()
    lookups = [line for (line,) in plan if "rollup_pending_buckets" in line or "hashed SubPlan" in line]
    assert len(lookups) == 2, "\n".join(line for (line,) in plan)


def _one(connection: Connection, statement: str) -> tuple[Any, ...]:
    row = connection.execute(statement.encode()).fetchone()
    assert row is not None
    return row


def test_sql_knows_the_registry_of_metrics(connection: Connection) -> None:
    rows = connection.execute("select metric, unit, kind, measures, description from metrics").fetchall()
    assert {(*row[:3], frozenset(row[3]), row[4]) for row in rows} == {
        (each.name, each.unit, each.kind, each.measures, each.description) for each in METRICS
    }


def test_a_tenant_s_watermarks_say_how_far_it_is_and_what_waits(database: str, connection: Connection) -> None:
    with closing(PostgresLanding(database)) as store:
        land(store, [message(1, minutes_ago=60), message(2, minutes_ago=1)])
        tick(connection, now=NOW)
        land(store, [message(3, minutes_ago=5), message(4, minutes_ago=90, tenant="globex")])
    connection.execute("update rollup_state set final_before = '2026-03-04 10:07Z'")
    found = {
        (tenant, window): row
        for tenant, window, *row in connection.execute(
            'select tenant, "window", final_before::text, newest_bucket::text, pending_partials, '
            "oldest_pending_minute::text from rollup_watermarks"
        )
    }
    assert len(found) == 2 * len(WINDOWS)
    pending_of_acme = ["2026-03-04 11:55:00+00"]
    acme = next(tenant for tenant, _ in found if tenant != "globex")
    assert found[acme, "1h"] == ["2026-03-04 10:00:00+00", "2026-03-04 11:00:00+00", 2, *pending_of_acme]
    assert found[acme, "5m"][0] == "2026-03-04 10:05:00+00"
    assert found[acme, "1w"][:2] == ["2026-03-02 00:00:00+00"] * 2
    assert found["globex", "1M"] == ["2026-03-01 00:00:00+00", None, 2, "2026-03-04 10:30:00+00"]


@pytest.mark.parametrize(
    "statement",
    [
        "select * from api_keys",
        "select * from dead_letters",
        "select * from events",
        "select * from audit_log",
        "insert into series (tenant) values ('x')",
        "update rollup_1m set count = 0",
        "delete from rollup_1d",
        "truncate rollup_1m",
        "create table lah.mine (n integer)",
        "drop view metrics_1m",
    ],
)
def test_a_reader_reads_what_was_made_of_events_and_does_nothing_else(statement: str, connection: Connection) -> None:
    connection.execute("set role lah_reader")
    for window in WINDOWS:
        connection.execute(f"select * from {window.view} limit 1".encode())
    for view in ("metrics_1m_live", "rollup_watermarks", "cost_daily", "anomalies", "ledger_imbalance"):
        connection.execute(f"select * from {view} limit 1".encode())
    with pytest.raises(errors.InsufficientPrivilege):
        connection.execute(statement.encode())
