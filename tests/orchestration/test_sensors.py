"""Sensors, tick by tick, on a real database and a real (ephemeral) Dagster instance."""

import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._core.test_utils import instance_for_test

from assets.definitions import build_defs
from assets.failed_days import CHECK_NAME
from assets.progress import REQUEST_TAG
from assets.resources import Hub
from lah_platform.errors import ConfigurationError
from lah_platform.landing.batch import prepare
from lah_platform.landing.records import Partition, Record
from lah_platform.rollups.windows import WINDOWS
from lah_platform.stack.landing_process import decode_now
from lah_platform.stores.backfill_progress import progress_of
from lah_platform.stores.backfills import cancel_backfill, request_backfill, state_of
from lah_platform.stores.costs import compute_cost_daily
from lah_platform.stores.landing import PostgresLanding
from lah_platform.stores.micro_batch import Pace
from lah_platform.stores.postgres import Connection
from lah_platform.stores.rollups import pending, tick
from sensors.failed_partitions import failed_partitions
from sensors.landing_progress import landing_progress_sensor
from tests.landing.messages import NOW, api_cost, message
from tests.rollups.recount import assert_rollups_equal_recount

_P = Partition("t", "one", 0)
_landing_progress = landing_progress_sensor(Pace(every_seconds=0.0, whole_seconds=0.0, idle_seconds=0.0))


def land(database: str, values: list[bytes], received_at: datetime = NOW) -> None:
    store = PostgresLanding(database)
    start = store.adopt(_P, 0)
    records = [Record(_P, start + i, None, value) for i, value in enumerate(values)]
    store.land(prepare(records, {_P: start}, decoder=decode_now, received_at=received_at))
    store.close()


def context_of(instance: dg.DagsterInstance, hub: Hub, cursor: str | None = None) -> dg.SensorEvaluationContext:
    definitions = build_defs(resource_overrides={"hub": hub})
    return dg.build_sensor_context(
        instance=instance, cursor=cursor, resources={"hub": hub}, repository_def=definitions.get_repository_def()
    )


def test_a_tick_merges_what_landed_and_reports_every_touched_table(
    database: str, hub: Hub, instance: dg.DagsterInstance, connection: Connection
) -> None:
    land(database, [message(i, minutes_ago=i * 100) for i in range(30)])
    first = _landing_progress(context_of(instance, hub))
    assert isinstance(first, dg.SensorResult)
    assert pending(connection) == 0
    assert_rollups_equal_recount(connection)
    reported = {event.asset_key.to_user_string() for event in first.asset_events}
    assert reported == {window.table for window in WINDOWS} | {"events", "dead_letters", "ledger", "rollup_partials"}
    assert {event.partition for event in first.asset_events} - {None} == {"2026-03-02", "2026-03-03", "2026-03-04"}
    events = next(event for event in first.asset_events if event.asset_key.to_user_string() == "events")
    assert events.metadata["dagster/row_count"].value == 30


def test_a_tick_with_nothing_new_reports_nothing(hub: Hub, instance: dg.DagsterInstance) -> None:
    assert isinstance(_landing_progress(context_of(instance, hub)), dg.SkipReason)


def test_a_steady_stream_is_merged_at_every_tick_but_reported_once_a_minute_at_most(
    database: str, hub: Hub, instance: dg.DagsterInstance, connection: Connection
) -> None:
    land(database, [message(1)])
    first = _landing_progress(context_of(instance, hub))
    assert isinstance(first, dg.SensorResult)
    land(database, [message(2)])
    context = context_of(instance, hub, first.cursor)
    assert isinstance(_landing_progress(context), dg.SkipReason)
    assert pending(connection) == 0
    assert context.cursor is not None
    assert "2026-03-04" in context.cursor, "what was not reported is remembered"


def test_a_past_day_that_late_events_changed_is_computed_again_and_no_other(
    database: str, hub: Hub, instance: dg.DagsterInstance, connection: Connection
) -> None:
    sensor = build_defs(resource_overrides={"hub": hub}).resolve_sensor_def("late_data")
    now = connection.execute("select date_trunc('day', now()) - interval '3 days'").fetchone()
    assert now is not None
    shift = (NOW - now[0]).total_seconds() / 60
    cost = {"payload_type": "cost", "data": api_cost(1)}
    clock = datetime.now(UTC)
    land(database, [message(1, minutes_ago=shift, event_type="cost", payload=cost)], clock)
    land(database, [message(2, minutes_ago=shift - 1440, event_type="cost", payload=cost)], clock)
    tick(connection, now=NOW)
    connection.execute("update rollup_1d set computed_at = now() - interval '1 hour'")
    compute_cost_daily(connection, now[0].date(), now[0].date() + timedelta(days=2))
    assert not sensor.evaluate_tick(context_of(instance, hub)).run_requests
    land(database, [message(3, minutes_ago=shift)], clock)
    tick(connection, now=now[0] + timedelta(days=9))
    requests = sensor.evaluate_tick(context_of(instance, hub)).run_requests or []
    assert [request.partition_key for request in requests] == [f"{now[0].date()}"]


def test_a_requested_backfill_becomes_one_run_over_its_days_and_its_end_is_written_back(
    hub: Hub, instance: dg.DagsterInstance, connection: Connection
) -> None:
    sensor = build_defs(resource_overrides={"hub": hub}).resolve_sensor_def("backfill_requests")
    request = uuid.uuid4()
    day = NOW.date()
    request_backfill(connection, request, table="rollup_1h", start=day, end=day + timedelta(days=2), actor="test")
    (run,) = sensor.evaluate_tick(context_of(instance, hub)).run_requests or []
    assert run.job_name == "rollups"
    assert run.tags["dagster/asset_partition_range_start"] == f"{day}"
    assert run.tags["dagster/asset_partition_range_end"] == f"{day + timedelta(days=2)}"
    started = instance.create_run_for_job(
        build_defs(resource_overrides={"hub": hub}).resolve_job_def("rollups"),
        tags=run.tags,
        status=dg.DagsterRunStatus.STARTED,
    )
    sensor.evaluate_tick(context_of(instance, hub))
    assert state_of(connection, request) == ("started", started.run_id)
    instance.report_run_failed(started)
    sensor.evaluate_tick(context_of(instance, hub))
    assert state_of(connection, request) == ("failed", started.run_id)
    assert started.tags[REQUEST_TAG] == str(request)


def _request(connection: Connection, days: int = 1) -> uuid.UUID:
    request = uuid.uuid4()
    first = NOW.date() - timedelta(days=days - 1)
    request_backfill(connection, request, table="rollups", start=first, end=NOW.date(), actor="test")
    return request


def test_a_cancelled_request_is_never_started(hub: Hub, instance: dg.DagsterInstance, connection: Connection) -> None:
    sensor = build_defs(resource_overrides={"hub": hub}).resolve_sensor_def("backfill_requests")
    request = _request(connection)
    assert cancel_backfill(connection, request, actor="ann") == "cancelling"
    assert not sensor.evaluate_tick(context_of(instance, hub)).run_requests
    assert state_of(connection, request) == ("cancelled", None)


def test_cancelling_ends_the_run_that_waits_even_when_it_was_asked_for_before_the_run_was_known(
    hub: Hub, connection: Connection, tmp_path: Path
) -> None:
    definitions = build_defs(resource_overrides={"hub": hub})
    sensor, job = definitions.resolve_sensor_def("backfill_requests"), definitions.resolve_job_def("rollups")
    coordinator = {"module": "dagster.core.run_coordinator", "class": "QueuedRunCoordinator"}
    with instance_for_test(overrides={"run_coordinator": coordinator}, temp_dir=str(tmp_path)) as instance:
        request = _request(connection)
        (asked,) = sensor.evaluate_tick(context_of(instance, hub)).run_requests or []
        cancel_backfill(connection, request, actor="ann")
        origin = RemoteJobOrigin(RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("hub"), "hub"), "rollups")
        run = instance.create_run_for_job(
            job, tags=asked.tags, status=dg.DagsterRunStatus.QUEUED, remote_job_origin=origin
        )
        assert not sensor.evaluate_tick(context_of(instance, hub)).run_requests
        assert instance.get_run_by_id(run.run_id).status == dg.DagsterRunStatus.CANCELED  # type: ignore[union-attr]
        sensor.evaluate_tick(context_of(instance, hub))
        assert state_of(connection, request) == ("cancelled", run.run_id)


def test_a_run_that_nothing_may_terminate_ends_by_itself_after_its_day(
    database: str, hub: Hub, instance: dg.DagsterInstance, connection: Connection
) -> None:
    land(database, [message(1)])
    definitions = build_defs(resource_overrides={"hub": hub})
    request = _request(connection, days=3)
    (asked,) = (
        definitions.resolve_sensor_def("backfill_requests").evaluate_tick(context_of(instance, hub)).run_requests or []
    )
    cancel_backfill(connection, request, actor="ann")
    job = definitions.resolve_job_def("rollups")
    windows = [dg.AssetKey(window.table) for window in WINDOWS]
    run = job.execute_in_process(instance=instance, tags=asked.tags, asset_selection=windows, raise_on_error=False)
    assert not run.success
    definitions.resolve_sensor_def("backfill_requests").evaluate_tick(context_of(instance, hub))
    assert state_of(connection, request) == ("cancelled", run.run_id)
    assert progress_of(connection, request).days_done == 1


def test_a_requested_backfill_of_one_metric_leaves_the_others_alone(
    hub: Hub, instance: dg.DagsterInstance, database: str, connection: Connection
) -> None:
    definitions = build_defs(resource_overrides={"hub": hub})
    land(database, [message(1, minutes_ago=5), message(2, minutes_ago=7)])
    tick(connection, now=NOW)
    connection.execute("update rollup_1m set max = -1 where metric in ('events', 'latency_ms')")
    day, request = NOW.date(), uuid.uuid4()
    request_backfill(connection, request, table="rollups", start=day, end=day, actor="test", metrics=["latency_ms"])
    sensor = definitions.resolve_sensor_def("backfill_requests")
    (run,) = sensor.evaluate_tick(context_of(instance, hub)).run_requests or []
    job = definitions.resolve_job_def("rollups")
    job.execute_in_process(
        instance=instance, partition_key=f"{day}", run_config=dict(run.run_config), raise_on_error=False
    )
    assert connection.execute("select distinct metric from rollup_1m where max = -1").fetchall() == [("events",)]


@pytest.mark.parametrize(
    ("table", "named", "reason"),
    [("rollups", "latency", "no metric is called 'latency'"), ("cost_daily", "cost_usd", "not computed metric by")],
)
def test_a_backfill_of_a_metric_that_is_not_there_is_refused(
    table: str, named: str, reason: str, connection: Connection
) -> None:
    day = NOW.date()
    with pytest.raises(ConfigurationError, match=reason):
        request_backfill(connection, uuid.uuid4(), table=table, start=day, end=day, actor="test", metrics=[named])


def test_failed_days_are_named_with_the_command_that_repairs_them(
    hub: Hub, instance: dg.DagsterInstance, connection: Connection
) -> None:
    definitions = build_defs(resource_overrides={"hub": hub})
    yesterday = connection.execute("select ((now() at time zone 'UTC')::date - 1)::text").fetchone()
    assert yesterday is not None
    connection.execute("drop table cost_daily cascade")
    failed = definitions.resolve_job_def("cost_daily").execute_in_process(
        partition_key=yesterday[0], instance=instance, raise_on_error=False
    )
    assert not failed.success
    result = failed_partitions(context_of(instance, hub))
    assert isinstance(result, dg.SensorResult)
    verdicts = {event.asset_key.to_user_string(): event for event in result.asset_events}
    costs = verdicts["cost_daily"]
    assert isinstance(costs, dg.AssetCheckEvaluation)
    assert (costs.check_name, costs.passed) == (CHECK_NAME, False)
    assert f"lah backfill cost_daily --from {yesterday[0]} --to {yesterday[0]}" in str(
        costs.metadata["what_to_do"].value
    )
    assert isinstance(failed_partitions(context_of(instance, hub, result.cursor)), dg.SkipReason)
