"""The sensor that merges: in its time whatever waits, for as long as events land, and at a bounded cost in Dagster."""

import itertools
import json
from collections.abc import Callable
from datetime import timedelta

import dagster as dg
import numpy as np
import pytest

from assets.resources import Hub
from lah_platform.rollups.windows import WINDOWS
from lah_platform.stores.micro_batch import Merged, Pace, merge_within
from lah_platform.stores.postgres import Connection, connect
from lah_platform.stores.queries import queries
from lah_platform.stores.rollups import pending
from sensors.landing_progress import landing_progress_sensor
from sensors.lineage_allowance import ROWS_AT_ONCE, ROWS_PER_DAY, Allowance
from tests.landing.messages import message
from tests.orchestration.test_sensors import context_of, land
from tests.rollups.recount import assert_rollups_equal_recount

_ROWS_OF_ONE_DAY = 4 + len(WINDOWS)
_landing_progress = landing_progress_sensor(Pace(every_seconds=0.0, whole_seconds=0.0, idle_seconds=0.0))


def _ran(result: object) -> dg.SensorResult:
    assert isinstance(result, dg.SensorResult)
    return result


def test_a_tick_ends_when_its_time_is_up_says_how_much_waits_and_the_next_goes_on_until_nothing_is_lost(
    database: str, hub: Hub, instance: dg.DagsterInstance, connection: Connection
) -> None:
    for batch in range(6):
        land(database, [message(10 * batch + i, minutes_ago=i) for i in range(5)])
    waiting = pending(connection)
    hurried = landing_progress_sensor(Pace(budget_seconds=0.0, max_partials=1))  # one batch, then its time is up
    cursor = _ran(hurried(context_of(instance, hub))).cursor
    left = pending(connection)
    assert 0 < left < waiting
    for _ in range(4):
        context = context_of(instance, hub, cursor)
        said = hurried(context)
        assert pending(connection) < left
        left = pending(connection)
        assert isinstance(said, dg.SkipReason)
        assert f"time is up; {left} wait for the next tick" in str(said.skip_message)
        cursor = context.cursor
    hurried(context_of(instance, hub, cursor))
    assert pending(connection) == 0
    assert_rollups_equal_recount(connection)


@pytest.mark.parametrize("budget_seconds", [5, 100])
def test_no_merge_begins_that_would_end_after_the_budget(
    database: str, connection: Connection, budget_seconds: int
) -> None:
    for batch in range(15):
        land(database, [message(batch)])
    seconds = itertools.count()  # a clock on which every merge takes a second
    merged = merge_within(
        connection, Pace(budget_seconds=budget_seconds, max_partials=1), clock=lambda: float(next(seconds))
    )
    assert next(seconds) <= budget_seconds + 1
    assert merged.ended == ("time is up" if pending(connection) else "all is merged")
    assert (merged.merges < 15) == (budget_seconds == 5)


def _simulated(
    database: str, connection: Connection, pace: Pace, *, landings: int, reads: Callable[[], object] = lambda: None
) -> tuple[Merged, list[float]]:
    """Merging on a clock that moves by its pauses, each of which ends with a landing while there are any left."""
    now, more, pauses = [0.0], iter(range(1, landings)), []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        now[0] += seconds
        reads()
        if (number := next(more, None)) is not None:
            land(database, [message(number)])

    land(database, [message(0)])
    return merge_within(connection, pace, clock=lambda: now[0], pause=pause), pauses


def test_a_tick_stays_while_events_land_and_ends_when_none_came_for_a_while(
    database: str, connection: Connection
) -> None:
    pace = Pace(budget_seconds=1000, every_seconds=1, idle_seconds=3)
    merged, pauses = _simulated(database, connection, pace, landings=5)
    assert (merged.partials, merged.ended, pending(connection)) == (10, "all is merged", 0)
    assert sum(pauses) == 4 + 3
    assert_rollups_equal_recount(connection)


def test_minutes_are_merged_every_second_and_the_longer_windows_every_ten(
    database: str, connection: Connection
) -> None:
    seen: list[tuple[int, int]] = []

    def look() -> None:
        row = connection.execute("select (select max(revision) from rollup_1m), (select max(revision) from rollup_1d)")
        seen.append(row.fetchone() or (0, 0))

    pace = Pace(budget_seconds=1000, every_seconds=1)
    merged, _ = _simulated(database, connection, pace, landings=25, reads=look)
    assert [minute for minute, _ in seen[:25]] == list(range(1, 26)), "each second's events are in the minutes"
    days = [day or 0 for _, day in seen]
    assert days[-1] <= merged.merges / 5, "seven eighths of the work are done seldom"
    assert all(late > early for early, late in itertools.pairwise(days[1:24:10])), "but are done while events land"
    assert_rollups_equal_recount(connection)


@pytest.mark.parametrize(("took", "rest"), [(0.05, 1.5), (0.8, 1.6), (2.5, 3.0), (7.0, 3.0)])
def test_a_slow_merge_is_followed_by_as_long_a_rest_until_three_seconds_would_pass(took: float, rest: float) -> None:
    assert Pace().next_after(100.0, took) == 100.0 + rest


def test_a_tick_does_not_wait_longer_than_its_budget_for_a_recomputation_and_the_next_goes_on(
    database: str, hub: Hub, instance: dg.DagsterInstance, connection: Connection
) -> None:
    land(database, [message(1)])
    waiting = pending(connection)
    hurried = landing_progress_sensor(Pace(budget_seconds=0.2))
    with connect(database) as recomputing:
        recomputing.execute(queries("rollups")["lock"])
        said = hurried(context_of(instance, hub))
    assert isinstance(said, dg.SkipReason)
    assert f"{waiting} partials wait: a recomputation held the rollups" in str(said.skip_message)
    assert pending(connection) == waiting
    _ran(_landing_progress(context_of(instance, hub)))
    assert pending(connection) == 0


def test_what_was_merged_without_being_reported_is_reported_with_the_next_refresh(
    database: str, hub: Hub, instance: dg.DagsterInstance
) -> None:
    land(database, [message(1)])
    context = context_of(instance, hub, _ran(_landing_progress(context_of(instance, hub))).cursor)
    land(database, [message(2, minutes_ago=3 * 1440)])
    assert isinstance(_landing_progress(context), dg.SkipReason)
    unspent = json.dumps(json.loads(context.cursor or "") | {"allowance": {}})
    land(database, [message(3)])
    reported = _ran(_landing_progress(context_of(instance, hub, unspent))).asset_events
    assert {event.partition for event in reported} == {None, "2026-03-01", "2026-03-04"}
    hours = next(event for event in reported if event.asset_key == dg.AssetKey("rollup_1h"))
    assert hours.metadata["merges"].value == 2
    assert hours.metadata["rows_written"].value == 2 * len({"events", "latency_ms"})
    assert hours.metadata["windows_touched"].value == 2
    assert {"seconds", "watermark"} <= hours.metadata.keys()


def test_rapid_ticks_over_ever_other_days_do_not_fill_dagsters_event_log(
    database: str, hub: Hub, instance: dg.DagsterInstance
) -> None:
    cursor, rows = None, 0
    for day in range(12):
        land(database, [message(day, minutes_ago=day * 1440)])
        context = context_of(instance, hub, cursor)
        result = _landing_progress(context)
        rows += len(result.asset_events) if isinstance(result, dg.SensorResult) else 0
        cursor = result.cursor if isinstance(result, dg.SensorResult) else context.cursor
    assert rows == _ROWS_OF_ONE_DAY
    assert len(json.loads(cursor or "")["days"]) == 11, "what was not reported is remembered"


@pytest.mark.parametrize("most_days", [1, 3, 31])
def test_however_many_days_change_the_lineage_writes_its_daily_allowance_at_most(most_days: int) -> None:
    days = np.random.default_rng(most_days).integers(1, most_days, size=17_280, endpoint=True)
    allowance, written = Allowance(), []
    for number, touched in enumerate(days.tolist()):  # a day of ticks, one every five seconds
        now = 1e9 + 5.0 * number
        rows = 4 + len(WINDOWS) * touched
        if allowance.permits(rows, now):
            allowance = Allowance.read(allowance.after(rows, now).stored())
            written.append((now, rows))
    assert sum(rows for _, rows in written) <= ROWS_PER_DAY + ROWS_AT_ONCE
    assert min(np.diff([now for now, _ in written])) >= 60
    if most_days == 1:
        later = [after - before for (before, _), (after, _) in itertools.pairwise(written)]
        assert max(later) <= timedelta(minutes=6).total_seconds(), "a steady flow is still seen to flow"
        assert len(written) >= ROWS_PER_DAY // _ROWS_OF_ONE_DAY
