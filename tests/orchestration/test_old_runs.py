"""What housekeeping deletes of Dagster's own records, and what it must not."""

from datetime import UTC, datetime, timedelta

import dagster as dg

from assets.definitions import build_defs
from assets.old_runs import prune_runs
from assets.resources import Hub

_DAILY = dg.DailyPartitionsDefinition(start_date="2026-03-01", end_date="2026-03-10")
_LATER = datetime.now(UTC) + timedelta(days=1)


@dg.asset
def whole() -> None: ...


@dg.asset(partitions_def=_DAILY)
def by_day() -> None: ...


def _run(instance: dg.DagsterInstance, asset: dg.AssetsDefinition, job: str, partition: str | None = None) -> str:
    definitions = dg.Definitions(assets=[asset], jobs=[dg.define_asset_job(job, selection=[asset])])
    return definitions.resolve_job_def(job).execute_in_process(instance=instance, partition_key=partition).run_id


def _runs(instance: dg.DagsterInstance) -> list[str]:
    return [record.dagster_run.run_id for record in instance.get_run_records(ascending=True)]


def test_old_builds_of_the_marts_go_with_their_events_and_the_newest_of_each_table_stays(
    instance: dg.DagsterInstance,
) -> None:
    first, second, third = (_run(instance, whole, "marts") for _ in range(3))
    assert prune_runs(instance, _LATER) == 2
    assert _runs(instance) == [third]
    assert [len(instance.all_logs(run)) > 0 for run in (first, second, third)] == [False, False, True]
    assert instance.get_latest_materialization_event(dg.AssetKey("whole")) is not None
    assert prune_runs(instance, _LATER) == 0


def test_a_run_that_is_not_old_stays(instance: dg.DagsterInstance) -> None:
    runs = [_run(instance, whole, "marts") for _ in range(2)]
    assert prune_runs(instance, _LATER - timedelta(days=2)) == 0
    assert _runs(instance) == runs


def test_a_run_over_days_stays_for_it_says_which_days_are_there(instance: dg.DagsterInstance) -> None:
    runs = [_run(instance, by_day, "marts", f"2026-03-0{day}") for day in (1, 2, 2)]
    runs += [_run(instance, whole, "daily") for _ in range(2)]
    assert prune_runs(instance, _LATER) == 0
    assert _runs(instance) == runs
    assert instance.get_materialized_partitions(dg.AssetKey("by_day")) == {"2026-03-01", "2026-03-02"}


def test_the_nightly_housekeeping_prunes_runs_events_and_verdicts_and_says_how_many(
    hub: Hub, instance: dg.DagsterInstance
) -> None:
    _run(instance, whole, "marts")
    result = (
        build_defs(resource_overrides={"hub": hub}).resolve_job_def("maintenance").execute_in_process(instance=instance)
    )
    assert result.success
    (output,) = [event for event in result.all_node_events if event.event_type_value == "STEP_OUTPUT"]
    said = output.step_output_data.metadata
    assert [said[name].value for name in ("runs_pruned", "event_log_rows_pruned", "verdicts_pruned")] == [0, 0, 0]
