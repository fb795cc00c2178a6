"""Runs of the daily job on a real database: what is computed, and what a failed check stops."""

from datetime import UTC, datetime

import dagster as dg
import pytest

from assets.definitions import build_defs
from assets.resources import Hub
from lah_platform.landing.batch import prepare
from lah_platform.landing.records import Partition, Record
from lah_platform.replay.plan import ReplayPlan
from lah_platform.stack.landing_process import decode_now
from lah_platform.stores.landing import PostgresLanding
from lah_platform.stores.postgres import Connection
from lah_platform.stores.rollups import tick

_P = Partition("t", "one", 0)


@pytest.fixture
def day(database: str, connection: Connection) -> str:
    """A database with a small replay, rolled up; the UTC day that it ends on."""
    now = datetime.now(UTC)
    plan = ReplayPlan.of_traces(end=now, run_id="runs", traces_dir=None, events=1200, malformed_count=0)
    store = PostgresLanding(database)
    records = [Record(_P, i, m.key, m.value) for i, m in enumerate(plan.messages)]
    store.land(prepare(records, {_P: store.adopt(_P, 0)}, decoder=decode_now, received_at=now))
    store.close()
    tick(connection, now=now)
    return f"{plan.messages[-1].timestamp.date()}"


def _run(hub: Hub, instance: dg.DagsterInstance, day: str) -> dg.ExecuteInProcessResult:
    job = build_defs(resource_overrides={"hub": hub}).resolve_job_def("daily")
    return job.execute_in_process(partition_key=day, instance=instance, raise_on_error=False)


def test_a_failing_blocking_check_stops_everything_downstream_of_it(
    hub: Hub, instance: dg.DagsterInstance, day: str, connection: Connection
) -> None:
    connection.execute("update events set input_tokens = -1 where subtype = 'token_usage' and ts::date = %s", (day,))
    result = _run(hub, instance, day)
    assert not result.success
    made = {event.asset_key.to_user_string() for event in result.get_asset_materialization_events() if event.asset_key}
    assert made.isdisjoint({"cost_daily", "correlations", "compliance_report"})
    assert connection.execute("select count(*) from cost_daily").fetchone() == (0,)
    verdict = connection.execute(
        "select passed, failed_rows > 0, advice <> '' from checks"
        " where asset = 'events' and check_name = 'token_counts_are_not_negative'"
    ).fetchone()
    assert verdict == (False, True, True)


def test_healthy_tables_are_computed_checked_and_reported_in_one_run(
    hub: Hub, instance: dg.DagsterInstance, day: str, connection: Connection
) -> None:
    result = _run(hub, instance, day)
    assert result.success
    made = {event.asset_key.to_user_string() for event in result.get_asset_materialization_events() if event.asset_key}
    assert made == {"cost_daily", "anomalies", "correlations", "incidents", "forecasts", "compliance_report"} | {
        "quality_scores"
    }
    for event in result.get_asset_materialization_events():
        metadata = event.materialization.metadata
        assert {"dagster/row_count", "watermark", "seconds"} <= metadata.keys(), event.asset_key
    failed = connection.execute("select asset, check_name from checks where not passed").fetchall()
    assert failed == []
    assert len(list(hub.folder.glob("reports/*.pdf"))) == 6
