"""Rollups in a real PostgreSQL: however events arrive, every window says what its events say."""

import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from lah_platform.landing.batch import prepare
from lah_platform.landing.records import Partition, Record
from lah_platform.rollups.aggregate import AGGREGATE_SCHEMA, ROWS_SCHEMA, aggregate_minutes
from lah_platform.rollups.windows import WINDOWS
from lah_platform.stack.landing_process import decode_now
from lah_platform.stores.embedded.process import wait_until
from lah_platform.stores.frames import read_frame
from lah_platform.stores.landing import PostgresLanding
from lah_platform.stores.postgres import Connection, connect
from lah_platform.stores.queries import queries
from lah_platform.stores.rollups import pending, recompute_day, recompute_days, tick
from lah_platform.stores.watermark import advance_watermark
from tests.landing.messages import NOW, api_cost, message
from tests.rollups.recount import assert_rollups_equal_recount

_P = Partition("t", "one", 0)
_TABLES = "events, dead_letters, ledger, landing_batches, landing_offsets, rollup_partial_sets, series, " + ", ".join(
    window.table for window in WINDOWS
)
_MINUTES_AGO = st.sampled_from([0.5, 1.0, 4.0, 16.0, 70.0, 400.0, 1500.0, 60 * 24 * 4, 60 * 24 * 8, 60 * 24 * 40])


def land(store: PostgresLanding, values: Sequence[bytes]) -> None:
    start = store.adopt(_P, 0)
    records = [Record(_P, start + i, None, value) for i, value in enumerate(values)]
    store.land(prepare(records, {_P: start}, decoder=decode_now, received_at=NOW))


def _days(connection: Connection) -> list[date]:
    rows = connection.execute("select distinct (ts at time zone 'UTC')::date from events order by 1").fetchall()
    return [day for (day,) in rows]


@hypothesis_settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(data=st.data())
def test_any_order_of_landing_repeats_late_events_ticks_and_recomputations_gives_what_the_events_say(
    data: st.DataObject, database: str, connection: Connection
) -> None:
    connection.execute(f"truncate {_TABLES}".encode())
    with closing(PostgresLanding(database)) as store:
        _arrive(data, store, connection)
    while tick(connection, now=NOW).partials:
        pass
    assert_rollups_equal_recount(connection)


def _arrive(data: st.DataObject, store: PostgresLanding, connection: Connection) -> None:
    steps = data.draw(st.lists(st.sampled_from(["land", "tick", "small tick", "recompute"]), min_size=2, max_size=10))
    for step in steps:
        if step == "land":
            drawn = data.draw(
                st.lists(st.tuples(st.integers(0, 30), st.floats(0.001, 1e6)), min_size=1, max_size=12), label="events"
            )
            ages = {number: data.draw(_MINUTES_AGO, label="age") for number, _ in drawn}
            land(store, [message(number, minutes_ago=ages[number], latency_ms=value) for number, value in drawn])
        elif step == "recompute" and (days := _days(connection)):
            recompute_day(connection, data.draw(st.sampled_from(days)), now=NOW)
        elif step != "recompute":
            tick(connection, now=NOW, max_partials=50_000 if step == "tick" else 3)


def test_partials_that_wait_for_a_tick_can_be_read_as_rows(database: str, connection: Connection) -> None:
    ages = [1.0, 1.0, 1.0, 30.0, 60 * 24 * 3.0, 60 * 24 * 3.0]
    with closing(PostgresLanding(database)) as store:
        land(
            store,
            [message(i, minutes_ago=age, latency_ms=10.0 ** (i - 2)) for i, age in enumerate(ages)]
            + [message(9, event_type="cost", payload={"payload_type": "cost", "data": api_cost("-1.5")})],
        )
    all_time = {"start": datetime(2000, 1, 1, tzinfo=UTC), "end": datetime(2100, 1, 1, tzinfo=UTC)}
    events = read_frame(connection, queries("rollups")["event_rows"], all_time, schema=ROWS_SCHEMA)
    waiting = read_frame(connection, b"select * from rollup_partials", schema=AGGREGATE_SCHEMA)
    order = ["series_id", "metric", "bucket_start"]
    assert waiting.sort(order).equals(aggregate_minutes(events).sort(order))
    assert pending(connection) == len(waiting)


def test_a_recomputation_beside_a_tick_counts_nothing_twice(database: str, connection: Connection) -> None:
    store = PostgresLanding(database)
    land(store, [message(i, minutes_ago=i % 50) for i in range(300)])
    failures: list[BaseException] = []

    def run(work: object) -> None:
        try:
            with connect(database) as own:
                for _ in range(8):
                    work(own)  # type: ignore[operator]
        except BaseException as error:
            failures.append(error)

    workers = [
        threading.Thread(target=run, args=(lambda own: tick(own, now=NOW, max_partials=7),)),
        threading.Thread(target=run, args=(lambda own: recompute_day(own, NOW.date(), now=NOW),)),
        threading.Thread(target=run, args=(lambda own: tick(own, now=NOW, max_partials=11),)),
    ]
    for worker in workers:
        worker.start()
    land(store, [message(1000 + i, minutes_ago=i % 50) for i in range(100)])
    for worker in workers:
        worker.join(60)
    while tick(connection, now=NOW).partials:
        pass
    store.close()
    assert failures == []
    assert_rollups_equal_recount(connection)


@pytest.mark.parametrize(
    "work", [lambda own: tick(own, now=NOW), lambda own: recompute_day(own, NOW.date(), now=NOW)], ids=["tick", "day"]
)
def test_ticks_and_recomputations_wait_for_one_another(
    work: Callable[[Connection], object], database: str, connection: Connection
) -> None:
    def run() -> None:
        with connect(database) as own:
            work(own)

    def is_waiting() -> bool:
        row = connection.execute(
            "select count(*) from pg_locks where locktype = 'advisory' and not granted"
            " and database = (select oid from pg_database where datname = current_database())"
        ).fetchone()
        return row == (1,)

    connection.execute(queries("rollups")["lock"])
    worker = threading.Thread(target=run)
    worker.start()
    try:
        assert wait_until(is_waiting, seconds=20)
    finally:
        connection.execute(queries("rollups")["unlock"])
        worker.join(20)
    assert not worker.is_alive()


def test_a_crash_in_the_middle_of_a_tick_leaves_everything_for_the_next(database: str, connection: Connection) -> None:
    store = PostgresLanding(database)
    land(store, [message(i, minutes_ago=i % 20) for i in range(40)])
    store.close()
    before = pending(connection)
    connection.execute("alter table rollup_1h add constraint crash check (count < 0)")
    with pytest.raises(Exception, match="crash"):
        tick(connection, now=NOW)
    assert pending(connection) == before
    assert connection.execute("select count(*) from rollup_1m").fetchone() == (0,)
    connection.execute("alter table rollup_1h drop constraint crash")
    tick(connection, now=NOW)
    assert_rollups_equal_recount(connection)


def test_a_late_event_raises_the_revision_of_its_own_windows_only(database: str, connection: Connection) -> None:
    store = PostgresLanding(database)
    land(store, [message(1, minutes_ago=2000), message(2, minutes_ago=1)])
    tick(connection, now=NOW)
    land(store, [message(3, minutes_ago=2000)])
    store.close()
    tick(connection, now=NOW)
    rows = connection.execute(
        "select bucket_start < %s, metric, count, revision from rollup_1h order by 1, 2",
        (NOW - timedelta(minutes=100),),
    ).fetchall()
    assert rows == [
        (False, "events", 1, 1),
        (False, "latency_ms", 1, 1),
        (True, "events", 2, 2),
        (True, "latency_ms", 2, 2),
    ]


def test_a_tick_says_how_many_windows_it_touched(database: str, connection: Connection) -> None:
    with closing(PostgresLanding(database)) as store:  # 12:00:30 on Wednesday, less so many minutes
        land(store, [message(i, minutes_ago=age) for i, age in enumerate([1, 1, 2, 50, 60 * 24 * 3])])
    assert tick(connection, now=NOW).windows == {
        "1m": 4, "5m": 3, "15m": 3, "1h": 2, "6h": 2, "1d": 2, "1w": 2, "1M": 1
    }  # fmt: skip


def test_recomputing_what_is_right_already_changes_no_revision(database: str, connection: Connection) -> None:
    store = PostgresLanding(database)
    land(store, [message(i, minutes_ago=i, latency_ms=10.0) for i in range(5)])
    store.close()
    tick(connection, now=NOW)
    first = _days(connection)[0]
    rows = recompute_days(connection, first, NOW.date() + timedelta(days=1), now=NOW)
    assert set(rows.values()) == {0}


def test_erased_events_leave_the_rollups_after_a_recomputation(database: str, connection: Connection) -> None:
    store = PostgresLanding(database)
    land(store, [message(i, minutes_ago=i * 90) for i in range(20)])
    store.close()
    tick(connection, now=NOW)
    days = _days(connection)
    connection.execute("delete from events where request_id in ('r0', 'r7', 'r19')")
    for day in days:
        recompute_day(connection, day, now=NOW)
    assert_rollups_equal_recount(connection)


def test_costs_add_up_to_the_last_digit(database: str, connection: Connection) -> None:
    amounts = [Decimal("0.1"), Decimal("0.2"), Decimal("0.000000000001"), Decimal("123456.789012345678")]
    payloads = [
        {"payload_type": "cost", "data": api_cost(float(amount) if i < 2 else f"{amount}")}
        for i, amount in enumerate(amounts)
    ]
    store = PostgresLanding(database)
    land(store, [message(i, event_type="cost", payload=payload) for i, payload in enumerate(payloads)])
    store.close()
    tick(connection, now=NOW)
    for window in WINDOWS:
        rows = connection.execute(f"select sum(sum_exact) from {window.table} where metric = 'cost_usd'".encode())
        assert rows.fetchone() == (sum(amounts),)


def test_a_window_is_final_only_when_all_partitions_have_landed_past_it_and_no_partial_waits(
    database: str, connection: Connection
) -> None:
    lateness = timedelta(minutes=15)
    store = PostgresLanding(database)
    land(store, [message(1, minutes_ago=120)])

    def watermark() -> datetime | None:
        return advance_watermark(connection, now=NOW, allowed_lateness=lateness, topic="t")

    store.note_caught_up(frozenset([_P]), NOW)
    assert watermark() is None, "a partial waits"
    tick(connection, now=NOW)
    assert watermark() == NOW - lateness
    behind = Partition("t", "one", 1)
    store.adopt(behind, 0)
    store.note_caught_up(frozenset([behind]), NOW - timedelta(hours=3))
    store.close()
    assert watermark() == NOW - lateness, "the watermark never goes back"
    finals = connection.execute("select bool_and(is_final) from metrics_1h").fetchone()
    assert finals == (True,)
    assert connection.execute("select bool_or(is_final) from metrics_1d").fetchone() == (False,)
    assert datetime.now(UTC) > NOW
