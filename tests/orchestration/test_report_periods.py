"""An officer's plan in Dagster: a period is picked and made, the same revision comes again, and documents arrive."""

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from assets.definitions import build_defs
from assets.report_periods import PERIOD_PARTITIONS, asset_of, partition_of
from assets.resources import Hub
from lah_platform.compliance.periods import PERIODS
from lah_platform.compliance.signing import Signature, canonical_json, is_signed_by
from lah_platform.errors import ConfigurationError
from lah_platform.settings import settings
from lah_platform.stores.deliveries import summary
from lah_platform.stores.postgres import Connection
from lah_platform.stores.report_plan import PACKAGED, load_plan
from sensors.due_deliveries import due_deliveries

_PLAN = """
targets:
  auditors: {{folder: {folder}}}
  nowhere: {{webhook_from: NO_SUCH_HOOK}}
schedules:
  board: {{reports: [eu_ai_act, access_review], period: month, cron: "0 6 1 * *", deliver: [auditors]}}
  lost: {{reports: [access_review], period: month, cron: "0 6 1 * *", deliver: [nowhere], documents: [json]}}
"""


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A plan of this deployment; the folder that its auditors read."""
    path, folder = tmp_path / "plan.yaml", tmp_path / "auditors"
    path.write_text(_PLAN.format(folder=folder))
    monkeypatch.setenv("LAH_REPORT_SCHEDULES", str(path))
    settings.cache_clear()
    yield folder
    settings.cache_clear()


def _run(hub: Hub, instance: dg.DagsterInstance, job: str, **how: Any) -> dg.ExecuteInProcessResult:
    resolved = build_defs(resource_overrides={"hub": hub}).resolve_job_def(job)
    return resolved.execute_in_process(instance=instance, raise_on_error=False, **how)


def test_a_month_that_is_picked_is_made_delivered_and_comes_again_as_it_was(
    hub: Hub, instance: dg.DagsterInstance, connection: Connection, plan: Path
) -> None:
    month = partition_of(PERIODS["month"], datetime.now(UTC).date())
    only = {"ops": {"make_monthly_reports": {"config": {"schedule": "board"}}}}
    assert _run(hub, instance, "monthly_reports", partition_key=month, run_config=only).success
    stored = connection.execute("select report_id, format, body from report_documents order by 1, 2").fetchall()
    assert {name for (name,) in connection.execute("select name from reports")} == {"eu_ai_act", "access_review"}

    said = "content -> 'period' ->> 'from', content -> 'period' ->> 'to'"
    rows = connection.execute(f"select period_from::text, period_to::text, {said} from reports".encode()).fetchall()
    assert {(month, after, month, after) for _, after, _, after in rows} == set(rows)

    (request,) = _requests(hub, instance)
    assert _requests(hub, instance) == [request]
    assert _run(hub, instance, "deliveries").success
    documents = {bytes(body) for _, format_, body in stored if format_ in ("pdf", "json", "signature")}
    assert {path.read_bytes() for path in plan.iterdir()} == documents
    assert _requests(hub, instance) == []

    assert _run(hub, instance, "monthly_reports", partition_key=month, run_config=only).success
    again = connection.execute("select report_id, format, body from report_documents order by 1, 2").fetchall()
    assert again == stored
    assert summary(connection).delivered == len(documents)
    assert _requests(hub, instance) == []
    for path in plan.glob("*.signature.json"):
        record = json.loads(path.read_bytes())
        said = record.pop("signature")
        assert is_signed_by(Signature(said["public_key"], said["signature"]), canonical_json(record))


def test_a_delivery_that_fails_is_a_failed_check_and_stays_due(
    hub: Hub,
    instance: dg.DagsterInstance,
    connection: Connection,
    plan: Path,  # noqa: ARG001
) -> None:
    month = partition_of(PERIODS["month"], datetime.now(UTC).date())
    only = {"ops": {"make_monthly_reports": {"config": {"schedule": "lost"}}}}
    assert _run(hub, instance, "monthly_reports", partition_key=month, run_config=only).success
    result = _run(hub, instance, "deliveries")
    (verdict,) = result.get_asset_check_evaluations()
    assert not verdict.passed
    assert verdict.severity == dg.AssetCheckSeverity.WARN
    assert "NO_SUCH_HOOK" in str(verdict.metadata["missing"].value)
    assert (summary(connection).waiting, summary(connection).late) == (1, 1)
    assert _requests(hub, instance) == []  # not before its time
    connection.execute("update deliveries set next_attempt_at = now() - interval '1 second'")
    assert len(_requests(hub, instance)) == 1


def test_what_is_configured_now_is_left_out_of_a_period_long_past(
    hub: Hub,
    instance: dg.DagsterInstance,
    connection: Connection,
    plan: Path,  # noqa: ARG001
) -> None:
    old = partition_of(PERIODS["month"], datetime.now(UTC).date() - timedelta(days=100))
    only = {"ops": {"make_monthly_reports": {"config": {"schedule": "lost"}}}}
    result = _run(hub, instance, "monthly_reports", partition_key=old, run_config=only)
    assert result.success
    (made,) = result.get_asset_materialization_events()
    assert made.materialization.metadata["left_out"].value == 1
    assert connection.execute("select count(*) from reports").fetchone() == (0,)


@pytest.mark.parametrize("period", PERIODS.values(), ids=lambda period: period.name)
def test_each_partition_is_one_whole_period_and_the_newest_has_ended(period: Any) -> None:
    partitions = PERIOD_PARTITIONS[period.name]
    now = datetime(2026, 11, 25, 12, tzinfo=UTC)
    keys = partitions.get_partition_keys(current_time=now)
    windows = [partitions.time_window_for_partition_key(key) for key in keys]
    assert keys[-1] == partition_of(period, now.date())
    for key, window in zip(keys, windows, strict=True):
        start = date.fromisoformat(key)
        assert (window.start.date(), window.end.date()) == (period.start(start), period.next_start(start))
    assert all(before.end == after.start for before, after in pairwise(windows))


def test_a_schedule_asks_for_the_last_whole_period_and_names_itself(hub: Hub) -> None:
    repository = build_defs(resource_overrides={"hub": hub}).get_repository_def()
    schedule = repository.get_schedule_def("report_quarterly")
    assert isinstance(schedule, dg.ScheduleDefinition)
    assert schedule.execution_timezone == "UTC"
    at = datetime(2025, 7, 1, 6, tzinfo=UTC)
    context = dg.build_schedule_context(scheduled_execution_time=at, repository_def=repository)
    (request,) = schedule.evaluate_tick(context).run_requests or ()
    assert request.partition_key == "2025-04-01"
    assert request.run_config == {"ops": {"make_quarterly_reports": {"config": {"schedule": "quarterly"}}}}


def test_the_packages_own_plan_is_scheduled_when_there_is_no_other(hub: Hub) -> None:
    planned = load_plan(settings().model_copy(update={"report_schedules": None})).schedules
    assert {each.period for each in planned.values()} == {"week", "month", "quarter"}
    definitions = build_defs(resource_overrides={"hub": hub})
    scheduled = {each.name: each.job_name for each in definitions.schedules or () if each.name.startswith("report_")}
    assert scheduled == {f"report_{name}": asset_of(each.period) for name, each in planned.items()}
    assert PACKAGED.is_file()


def test_a_plan_that_is_not_there_is_said_by_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="LAH_REPORT_SCHEDULES cannot be read"):
        load_plan(settings().model_copy(update={"report_schedules": tmp_path / "nowhere.yaml"}))


def _requests(hub: Hub, instance: dg.DagsterInstance) -> list[dg.RunRequest]:
    context = dg.build_sensor_context(instance=instance, resources={"hub": hub})
    return list(due_deliveries.evaluate_tick(context).run_requests or ())
