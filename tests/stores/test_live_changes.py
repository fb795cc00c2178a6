"""What a live stream tells, on a real database: each change once, in an order in which nothing is passed over."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import polars as pl
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lah_platform.landing.batch import prepare
from lah_platform.landing.records import Partition, Record
from lah_platform.stack.landing_process import decode_now
from lah_platform.stores import live_changes
from lah_platform.stores.corrections import correction_counts, stamp_of
from lah_platform.stores.landing import PostgresLanding
from lah_platform.stores.live_changes import Change, Place, changes_after, ends, give_positions, rows_of, settle
from lah_platform.stores.postgres import Connection, connect
from lah_platform.stores.rollups import recompute_day, tick
from lah_platform.stores.signals import write_anomalies
from lah_platform.stores.watermark import advance_watermark
from tests.landing.messages import NOW, message

_P = Partition("t", "one", 0)


def land(database: str, values: list[bytes]) -> None:
    store = PostgresLanding(database)
    start = store.adopt(_P, 0)
    records = [Record(_P, start + i, None, value) for i, value in enumerate(values)]
    store.land(prepare(records, {_P: start}, decoder=decode_now, received_at=NOW))
    store.close()


def advance(connection: Connection, to: datetime) -> None:
    advance_watermark(connection, now=to, allowed_lateness=timedelta(0), topic=None)


def told(connection: Connection, after: Place = (0, 0), *, tenant: str = "*", limit: int = 10_000) -> list[Change]:
    settle(connection)
    return changes_after(connection, after, tenant=tenant, limit=limit)[0]


def rows_said(found: list[Change]) -> set[tuple[object, ...]]:
    return {(each.change, each.window, each.key) for each in found if each.kind == "rollup"}


def stored(connection: Connection, window: str, table: str, change: str) -> set[tuple[object, ...]]:
    keys = connection.execute(f"select bucket_start, series_id, metric from {table}").fetchall()
    return {(change, window, key) for key in keys}


def test_every_tick_tells_the_minutes_it_wrote_and_a_closing_window_tells_all_of_its_rows_once(
    database: str, connection: Connection
) -> None:
    advance(connection, NOW - timedelta(minutes=5))
    land(database, [message(i, minutes_ago=i % 3) for i in range(9)])
    tick(connection, now=NOW)
    found = told(connection)
    assert rows_said(found) == stored(connection, "1m", "rollup_1m", "updated")
    assert len(found) == len(rows_said(found))
    behind = found[-1].place
    advance(connection, NOW + timedelta(minutes=2))
    closed = told(connection, behind)
    expected = stored(connection, "1m", "rollup_1m", "closed")
    assert {each for each in rows_said(closed) if each[1] == "1m"} == expected
    advance(connection, NOW + timedelta(minutes=2))
    assert told(connection, closed[-1].place) == []


def test_a_late_event_is_told_as_a_correction_of_every_closed_window_that_holds_it(
    database: str, connection: Connection
) -> None:
    land(database, [message(1, minutes_ago=3)])
    tick(connection, now=NOW)
    advance(connection, NOW)
    (behind, *_) = reversed([each.place for each in told(connection)])
    land(database, [message(2, minutes_ago=3)])
    tick(connection, now=NOW)
    corrected = told(connection, behind)
    assert {(each.change, each.window) for each in corrected} >= {("corrected", "1m")}
    found = rows_of(connection, corrected)
    assert {row["revision"] for row in found.values()} == {2}
    assert all(row["is_final"] for row in found.values())


def test_corrections_are_counted_when_closed_windows_change_and_not_when_open_ones_do(
    database: str, connection: Connection
) -> None:
    def change_of_minute(number: int) -> int:
        before = correction_counts(connection).get("acme", 0)
        land(database, [message(number, minutes_ago=3)])
        tick(connection, now=NOW)
        return correction_counts(connection).get("acme", 0) - before

    advance(connection, NOW - timedelta(minutes=5))
    assert change_of_minute(1) == 0
    advance(connection, NOW)
    assert change_of_minute(2) > 0
    counted = correction_counts(connection)
    recompute_day(connection, NOW.date(), now=NOW)
    assert correction_counts(connection) == counted
    connection.execute("update rollup_1h set max = -1")
    recompute_day(connection, NOW.date(), now=NOW)
    assert correction_counts(connection)["acme"] > counted["acme"]
    counted = correction_counts(connection)
    connection.execute(
        "insert into suspect_windows (tenant, series_id, metric, window_name, window_rank, period_from, period_to,"
        " asset, check_name, advice, since)"
        " values ('acme', 1, 'latency_ms', '1h', 4, %s, %s, 'rollup_1h', 'x', 'x', now())",
        [NOW - timedelta(hours=1), NOW],
    )
    assert correction_counts(connection)["acme"] == counted["acme"] + 1
    connection.execute("update suspect_windows set cleared_at = now()")
    assert correction_counts(connection)["acme"] == counted["acme"] + 2
    assert stamp_of({"acme": 2, "globex": 3, "*": 1}, "acme") == 3
    assert stamp_of({"acme": 2, "globex": 3, "*": 1}, "*") == 6


def test_a_recomputation_that_changes_rows_tells_the_period_and_one_that_changes_none_tells_nothing(
    database: str, connection: Connection
) -> None:
    land(database, [message(1, minutes_ago=3)])
    tick(connection, now=NOW)
    behind = told(connection)[-1].place
    recompute_day(connection, NOW.date(), now=NOW)
    assert told(connection, behind) == []
    connection.execute("update rollup_1h set max = -1")
    recompute_day(connection, NOW.date(), now=NOW)
    (change,) = told(connection, behind)
    assert (change.kind, change.change, change.window) == ("recomputed", "corrected", "1h")
    assert change.period == (
        datetime(NOW.year, NOW.month, NOW.day, tzinfo=UTC),
        datetime(NOW.year, NOW.month, NOW.day, tzinfo=UTC) + timedelta(days=1),
    )


def test_after_a_long_pause_the_period_is_told_and_not_each_of_its_rows(database: str, connection: Connection) -> None:
    advance(connection, NOW - timedelta(hours=9))
    land(database, [message(i, minutes_ago=i * 5) for i in range(20)])
    tick(connection, now=NOW)
    behind = told(connection)[-1].place
    advance(connection, NOW)
    minutes = [each for each in told(connection, behind) if each.window == "1m"]
    assert [(each.kind, each.tenant) for each in minutes] == [("recomputed", "*")]


def test_an_anomaly_is_told_when_it_is_new_changes_or_goes_and_not_when_it_is_only_written_again(
    database: str, connection: Connection
) -> None:
    land(database, [message(1)])
    (series_id,) = connection.execute("select min(series_id) from series").fetchone() or (0,)

    def write(*peaks: float) -> list[str]:
        _, behind = changes_after(connection, (0, 0), tenant="*", limit=10_000)
        rows = [
            {
                "series_id": series_id,
                "metric": "latency_ms",
                "window_name": "1h",
                "anomaly_type": "spike",
                "method": "mad",
                "started_at": NOW - timedelta(hours=3 + number),
                "peak_at": NOW - timedelta(hours=3 + number),
                "ended_at": NOW - timedelta(hours=2 + number),
                "score": 0.7,
                "baseline": 200.0,
                "observed": peak,
                "deviation": 12.0,
                "impact": "high",
                "explanation": "Latency is high",
            }
            for number, peak in enumerate(peaks)
        ]
        frame = pl.DataFrame(rows) if rows else pl.DataFrame(schema=_SCHEMA)
        write_anomalies(
            connection,
            frame,
            period_from=NOW - timedelta(days=1),
            period_to=NOW,
            window="1h",
            detected_at=datetime.now(UTC),
        )
        return sorted(each.change for each in told(connection, behind) if each.kind == "anomaly")

    assert write(900.0, 800.0) == ["new", "new"]
    assert write(900.0, 800.0) == []
    assert write(900.0, 850.0) == ["changed"]
    assert write(900.0) == ["withdrawn"]
    assert write() == ["withdrawn"]


_SCHEMA = {
    "series_id": pl.Int64,
    **dict.fromkeys(["metric", "window_name", "anomaly_type", "method"], pl.String),
    **dict.fromkeys(["started_at", "peak_at", "ended_at"], pl.Datetime("us", "UTC")),
    **dict.fromkeys(["score", "baseline", "observed", "deviation"], pl.Float64),
    **dict.fromkeys(["impact", "explanation"], pl.String),
}


def note(connection: Connection, objects: int, tenant: str = "acme") -> None:
    connection.execute(
        "insert into live_inbox (kind, change, tenant, object_ids) values ('anomaly', 'new', %s, %s)",
        [tenant, [uuid4() for _ in range(objects)]],
    )


def test_what_commits_late_is_told_late_and_never_passed_over(database: str, connection: Connection) -> None:
    with connect(database, autocommit=False) as slow:
        note(slow, 1)
        note(connection, 1)
        (first,) = told(connection)
        slow.commit()
    (second,) = told(connection, first.place)
    assert second.place > first.place


def test_one_gives_positions_at_a_time(database: str, connection: Connection) -> None:
    note(connection, 1)
    with connect(database) as other, other.transaction():
        other.execute("select pg_advisory_xact_lock(hashtextextended('lah.live', 0))")
        assert not give_positions(connection)
    assert give_positions(connection)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sizes=st.lists(st.tuples(st.integers(1, 4), st.sampled_from(["acme", "globex", "*"])), max_size=6),
    limits=st.lists(st.integers(1, 5), min_size=1, max_size=4),
    tenant=st.sampled_from(["acme", "*"]),
)
def test_pages_of_any_size_give_every_change_of_the_tenant_once_and_in_order(
    connection: Connection, sizes: list[tuple[int, str]], limits: list[int], tenant: str
) -> None:
    at = ends(connection).newest
    for size, whose in sizes:
        note(connection, size, whose)
    whole = told(connection, at, tenant=tenant)
    assert len(whole) == sum(size for size, whose in sizes if tenant == "*" or whose in (tenant, "*"))
    pages, number = [], 0
    while True:
        page, then = changes_after(connection, at, tenant=tenant, limit=limits[number % len(limits)])
        pages += page
        number += 1
        if then == at:
            break
        at = then
    assert pages == whole
    assert [each.place for each in whole] == sorted({each.place for each in whole})


def test_after_an_hour_a_change_is_forgotten_but_where_the_stream_is_stays_known(connection: Connection) -> None:
    for _ in range(3):
        note(connection, 2)
    settle(connection)
    assert ends(connection).oldest < ends(connection).newest[0]
    connection.execute("update live_changes set noted_at = now() - interval '61 minutes'")
    newest = ends(connection).newest
    settle(connection)
    assert (ends(connection).oldest, ends(connection).newest) == (newest[0], newest)
    assert timedelta(hours=1) == live_changes.KEPT
