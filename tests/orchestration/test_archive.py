"""The archive as Dagster runs it: every night, before maintenance, and nothing when there is none."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from uuid import UUID

import dagster as dg
import pytest

from assets.definitions import build_defs
from assets.jobs import SCHEDULES
from assets.resources import Hub
from lah_platform.errors import ConfigurationError
from lah_platform.stores.backfills import check_days, request_backfill
from lah_platform.stores.postgres import Connection
from lah_platform.stores.retention import drop_archived_day
from lah_platform.stores.rollups import recompute_day
from sensors.late_data import late_data_sensor
from tests.stores.event_rows import add_event

_DAY = timedelta(days=1)
_ID = UUID(int=1)


@pytest.fixture
def today() -> date:
    return datetime.now(UTC).date()


@pytest.fixture
def archiving(database: str, tmp_path: Path) -> Hub:
    return Hub(database_url=database, home=str(tmp_path), topic="t", archive_dir=str(tmp_path / "archive"), hot_days=40)


def _counted_events(connection: Connection, days: list[date]) -> None:
    """Two events a day, and rollups that count them."""
    for number, day in enumerate(days):
        noon = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
        add_event(connection, 2 * number, noon)
        add_event(connection, 2 * number + 1, noon + timedelta(minutes=1))
        recompute_day(connection, day, now=datetime.now(UTC))


def _archive_schedule() -> dg.ScheduleDefinition:
    (found,) = [each for each in SCHEDULES if each.name == "archive"]
    return found


def _asked(hub: Hub, today: date) -> list[tuple[str, str]]:
    context = dg.build_schedule_context(
        scheduled_execution_time=datetime(today.year, today.month, today.day, 0, 5, tzinfo=UTC), resources={"hub": hub}
    )
    requests = _archive_schedule().evaluate_tick(context).run_requests or []
    ends = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")
    return [(each.tags[ends[0]], each.tags[ends[1]]) for each in requests]


def _run(hub: Hub, instance: dg.DagsterInstance, job: str, tags: dict[str, str]) -> dg.ExecuteInProcessResult:
    definitions = build_defs(resource_overrides={"hub": hub})
    return definitions.resolve_job_def(job).execute_in_process(instance=instance, tags=tags)


def _make_cold(hub: Hub, instance: dg.DagsterInstance, connection: Connection, day: date) -> None:
    """A day whose two events are in the archive alone."""
    _counted_events(connection, [day])
    _run(hub, instance, "events_archive", {"dagster/partition": f"{day}"})
    assert hub.archive is not None
    assert drop_archived_day(connection, hub.archive, day) is None


def test_every_night_the_days_that_are_not_whole_in_the_archive_are_written_in_one_run_a_range(
    archiving: Hub, instance: dg.DagsterInstance, connection: Connection, today: date
) -> None:
    days = [today - 6 * _DAY, today - 3 * _DAY, today - 2 * _DAY, today]
    _counted_events(connection, days)
    ranges = [(days[0], days[0]), (days[1], days[2])]
    assert _asked(archiving, today) == [(f"{first}", f"{last}") for first, last in ranges]
    for first, last in ranges:
        tags = {"dagster/asset_partition_range_start": f"{first}", "dagster/asset_partition_range_end": f"{last}"}
        result = _run(archiving, instance, "events_archive", tags)
        metadata = result.get_asset_materialization_events()[0].materialization.metadata
        assert metadata["dagster/row_count"].value == 2 * ((last - first).days + 1)
        assert {"bytes", "files", "seconds"} <= metadata.keys()
    assert _asked(archiving, today) == []


def test_the_archive_is_written_before_maintenance_drops_anything() -> None:
    crons = {each.name: each.cron_schedule for each in SCHEDULES}
    minutes = {name: int(f"{cron}".split()[0]) for name, cron in crons.items() if name in ("archive", "maintenance")}
    assert minutes["archive"] < minutes["maintenance"]


def test_a_day_is_asked_for_the_archive_when_it_has_ended(today: date) -> None:
    asked = {"today": today, "retention_days": 400}
    check_days(today - _DAY, today - _DAY, table="events_archive", **asked)
    check_days(today, today, table="rollups", **asked)
    with pytest.raises(ConfigurationError, match="has not ended"):
        check_days(today - _DAY, today, table="events_archive", **asked)


def test_without_a_folder_nothing_is_asked_and_a_run_says_what_to_set(
    hub: Hub, instance: dg.DagsterInstance, connection: Connection, today: date
) -> None:
    _counted_events(connection, [today - _DAY])
    assert _asked(hub, today) == []
    with pytest.raises(ConfigurationError, match="LAH_ARCHIVE_DIR"):
        _run(hub, instance, "events_archive", {"dagster/partition": f"{today - _DAY}"})


def test_maintenance_drops_archived_days_past_their_hot_days_and_nothing_that_is_not_archived(
    archiving: Hub, instance: dg.DagsterInstance, connection: Connection, today: date
) -> None:
    old, older = today - 50 * _DAY, today - 60 * _DAY
    _counted_events(connection, [older, old, today - 10 * _DAY])
    for day in (old, today - 10 * _DAY):
        _run(archiving, instance, "events_archive", {"dagster/partition": f"{day}"})
    assert _run(archiving, instance, "maintenance", {}).success
    left = connection.execute("select distinct (ts at time zone 'UTC')::date from events order by 1").fetchall()
    assert [day for (day,) in left] == [older, today - 10 * _DAY]


def test_nothing_that_reads_events_is_asked_to_compute_a_day_that_has_left_postgresql(
    archiving: Hub, instance: dg.DagsterInstance, connection: Connection, today: date
) -> None:
    day = today - 5 * _DAY
    _make_cold(archiving, instance, connection, day)
    connection.execute(
        "insert into cost_daily (day, tenant, model, environment, service, team, requests, unpriced_requests,"
        " input_tokens, input_fresh_tokens, input_cache_read_tokens, input_cache_write_tokens, input_unknown_tokens,"
        " output_tokens, reported_usd, other_usd, computed_at)"
        " values (%s, 'acme', '', '', '', '', 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, now() - interval '1 day')",
        (day,),
    )
    for table in ("cost_daily", "daily", "correlations", "compliance_report"):
        with pytest.raises(ConfigurationError, match="are in the archive"):
            request_backfill(connection, _ID, table=table, start=day, end=day, actor="test")
    with pytest.raises(ConfigurationError, match="are in the archive"):
        _run(archiving, instance, "cost_daily", {"dagster/partition": f"{day}"})
    assert connection.execute("select count(*) from cost_daily").fetchone() == (1,)
    definitions = build_defs(resource_overrides={"hub": archiving})
    (daily,) = [job for job in definitions.jobs or [] if job.name == "daily"]
    late = late_data_sensor(daily)  # type: ignore[arg-type]
    context = dg.build_sensor_context(instance=instance, definitions=definitions, resources={"hub": archiving})
    assert late.evaluate_tick(context).run_requests == []


def test_rollups_of_a_cold_day_are_computed_from_the_archive(
    archiving: Hub, instance: dg.DagsterInstance, connection: Connection, today: date
) -> None:
    day = today - 5 * _DAY
    _make_cold(archiving, instance, connection, day)
    connection.execute("truncate rollup_1d")
    _run(archiving, instance, "rollups", {"dagster/partition": f"{day}"})
    assert connection.execute("select sum(count)::int from rollup_1d where metric = 'events'").fetchone() == (2,)
