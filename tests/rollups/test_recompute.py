"""Recomputing a day beside everything else, and for chosen metrics only."""

from contextlib import closing
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from lah_platform.errors import ConfigurationError
from lah_platform.rollups.aggregate import ROWS_SCHEMA, aggregate_minutes
from lah_platform.rollups.metrics import metric
from lah_platform.rollups.values import aggregate
from lah_platform.stores.event_values import event_values
from lah_platform.stores.frames import read_frame
from lah_platform.stores.landing import PostgresLanding
from lah_platform.stores.postgres import Connection
from lah_platform.stores.queries import queries
from lah_platform.stores.rollups import pending, recompute_day, tick
from tests.landing.messages import NOW, api_cost, message
from tests.rollups.recount import assert_rollups_equal_recount
from tests.rollups.test_rollup_store import land
from tests.stores.archiving import drop_old_events

_TODAY = NOW.date()


def test_an_event_that_lands_in_the_middle_of_a_recomputation_is_counted_once(
    database: str, connection: Connection
) -> None:
    with closing(PostgresLanding(database)) as store:
        land(store, [message(1, minutes_ago=5), message(2, minutes_ago=6)])

        def while_it_runs(*_: object) -> None:
            land(store, [message(3, minutes_ago=5)])  # the day's partials are gone, its events not read yet

        recompute_day(connection, _TODAY, now=NOW, cold_rows=while_it_runs)
    assert pending(connection) > 0
    tick(connection, now=NOW)
    assert_rollups_equal_recount(connection)


def test_one_metric_is_recomputed_and_the_others_keep_what_they_have_and_what_they_wait_for(
    database: str, connection: Connection
) -> None:
    with closing(PostgresLanding(database)) as store:
        land(store, [message(i, minutes_ago=5 + i) for i in range(20)])
        tick(connection, now=NOW)
        connection.execute("update rollup_1m set sum = -1, max = 1e9 where metric = 'latency_ms'")
        connection.execute(
            "update rollup_1m set bucket_start = bucket_start - interval '3 hours' where metric = 'latency_ms'"
            " and bucket_start = (select min(bucket_start) from rollup_1m)"
        )
        connection.execute("update rollup_1m set computed_at = %s where metric = 'events'", (NOW - timedelta(1),))
        land(store, [message(100 + i, minutes_ago=40 + i) for i in range(5)])
    recompute_day(connection, _TODAY, now=NOW, metrics=[metric("latency_ms")])
    assert pending(connection) == 0
    assert_rollups_equal_recount(connection)
    untouched = connection.execute(
        "select count(*) from rollup_1m where metric = 'events' and computed_at < %s", (NOW,)
    ).fetchone()
    assert untouched == (20,)


def test_a_day_whose_events_retention_has_dropped_keeps_its_rollups_and_is_not_computed_again(
    database: str, connection: Connection
) -> None:
    with closing(PostgresLanding(database)) as store:
        land(store, [message(i, minutes_ago=60 * 24 * 3) for i in range(3)])
    tick(connection, now=NOW)
    kept = connection.execute("select * from rollup_1m order by 1, 2, 3").fetchall()
    assert drop_old_events(connection, _TODAY - timedelta(days=1))
    with pytest.raises(ConfigurationError, match="no longer kept"):
        recompute_day(connection, _TODAY - timedelta(days=3), now=NOW)
    assert connection.execute("select * from rollup_1m order by 1, 2, 3").fetchall() == kept
    assert recompute_day(connection, _TODAY - timedelta(days=9), now=NOW)["1m"] == 0, "a day that never had any"


def test_a_recomputation_that_adds_in_another_order_is_no_change(database: str, connection: Connection) -> None:
    with closing(PostgresLanding(database)) as store:
        for i in range(30):
            land(store, [message(i, minutes_ago=5, latency_ms=0.1 * 1.7**i)])
            tick(connection, now=NOW)
    revisions = connection.execute("select * from rollup_1h order by 1, 2, 3").fetchall()
    assert set(recompute_day(connection, _TODAY, now=NOW).values()) == {0}
    assert connection.execute("select * from rollup_1h order by 1, 2, 3").fetchall() == revisions


@pytest.mark.parametrize("rows_at_once", [1, 7, 1000])
def test_events_read_in_slices_of_any_size_are_all_there_once_and_no_minute_is_in_two(
    rows_at_once: int, database: str, connection: Connection
) -> None:
    with closing(PostgresLanding(database)) as store:
        costs = ["0.1", "-3.5", "9999999999999.000000000001", "0.000000000001"]
        land(
            store,
            [message(i, minutes_ago=(i * i) % 37, latency_ms=0.5 + i) for i in range(60)]
            + [
                message(100 + i, event_type="cost", payload={"payload_type": "cost", "data": api_cost(cost)})
                for i, cost in enumerate(costs)
            ],
        )
    day = datetime(NOW.year, NOW.month, NOW.day, tzinfo=UTC)
    slices = list(event_values(connection, day, day + timedelta(days=1), rows_at_once=rows_at_once))
    minutes = [{time // 60_000_000 for part in values for time in part.times_us.tolist()} for values in slices]
    assert sum(map(len, minutes)) == len(set[int]().union(*minutes))
    period = {"start": day, "end": day + timedelta(days=1)}
    rows = read_frame(connection, queries("rollups")["event_rows"], period, schema=ROWS_SCHEMA)
    made = pl.concat([aggregate(values).frame() for values in slices])
    order = ["series_id", "metric", "bucket_start"]
    assert made.sort(order).equals(aggregate_minutes(rows).sort(order))
