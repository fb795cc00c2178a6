"""The code location `marts`: what it adds to the lineage, and when it builds by itself."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import ModuleType
from typing import Any

import dagster as dg
import pytest

from lah_platform.settings import PROJECT_ROOT

READ_BY = {
    "cost_by_team_day": {"cost_daily"},
    "model_service_levels": {"rollup_1d"},
    "compliance_evidence_daily": {"events", "dead_letters", "ledger", "checks", "audit_log"},
}
OWNERS = {
    "cost_by_team_day": ["team:finops"],
    "model_service_levels": ["team:reliability"],
    "compliance_evidence_daily": ["team:compliance"],
}
MARTS = sorted(READ_BY)
DAYS = dg.DailyPartitionsDefinition("2019-12-01")


@pytest.fixture
def specs(location: ModuleType) -> dict[str, dg.AssetSpec]:
    return {spec.key.to_user_string(): spec for spec in location.defs.resolve_all_asset_specs()}


def test_the_location_loads(location: ModuleType) -> None:
    dg.Definitions.validate_loadable(location.build_defs())


def test_the_marts_hang_below_the_tables_of_the_hub(specs: dict[str, dg.AssetSpec]) -> None:
    assert {name: {dep.asset_key.to_user_string() for dep in specs[name].deps} for name in MARTS} == READ_BY
    assert {name for name, spec in specs.items() if spec.group_name == "marts"} == set(MARTS)


def test_every_mart_has_an_owner_a_description_and_documented_columns(specs: dict[str, dg.AssetSpec]) -> None:
    for name in MARTS:
        spec = specs[name]
        assert spec.owners == OWNERS[name]
        assert spec.kinds == {"dbt", "postgres"}
        assert spec.description
        assert "select" not in spec.description
        assert spec.metadata["dagster/table_name"] == f"marts.{name}"
        columns = spec.metadata["dagster/column_schema"].columns
        assert all(column.description and column.type != "?" for column in columns)
        assert len(columns) == len({column.name for column in columns}) >= 7


def test_every_dbt_test_is_a_check_of_its_mart_and_blocks_unless_a_producer_alone_can_fail_it(
    location: ModuleType,
) -> None:
    checks = {key: location.defs.resolve_asset_graph().get(key).blocking for key in _check_keys(location)}
    files = {path.stem for path in (PROJECT_ROOT / "dbt" / "tests").glob("*.sql")}
    assert files <= {key.name for key in checks}
    assert {key.asset_key.to_user_string() for key in checks} == set(MARTS)
    not_blocking = {key.name for key, is_blocking in checks.items() if not is_blocking}
    assert not_blocking == {"model_service_levels_error_rates_lie_between_0_and_1"}


def _check_keys(location: ModuleType) -> set[dg.AssetCheckKey]:
    return set(location.defs.resolve_asset_graph().asset_check_keys)


def _check() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True)


class Hub:
    """The marts below stand-ins of the hub's tables, ticking at given times of a day long past."""

    def __init__(self, location: ModuleType, instance: dg.DagsterInstance) -> None:
        upstream = [
            dg.AssetSpec(name, partitions_def=DAYS if name in ("cost_daily", "rollup_1d") else None)
            for name in sorted(set().union(*READ_BY.values()) - {"checks"})
        ]
        self.failing = dg.AssetCheckSpec("numbers_are_right", asset="rollup_1d", blocking=True)
        checked = dg.multi_asset_check(name="hub_checks", specs=[self.failing])(_check)
        self._defs = dg.Definitions.merge(
            location.build_defs(), dg.Definitions(assets=upstream, asset_checks=[checked])
        )
        self._instance = instance
        self._cursor: Any = None

    def update(self, name: str, day: str | None = None) -> None:
        self._instance.report_runless_asset_event(dg.AssetMaterialization(name, partition=day))

    def build(self) -> None:
        for name in MARTS:
            self.update(name)

    def verdict(self, *, passed: bool) -> None:
        evaluation = dg.AssetCheckEvaluation(self.failing.asset_key, self.failing.name, passed=passed, metadata={})
        self._instance.report_runless_asset_event(evaluation)

    def requested_at(self, minute: float) -> list[str]:
        """The marts that the automation builds so many minutes after the hour."""
        result = dg.evaluate_automation_conditions(
            self._defs,
            self._instance,
            asset_selection=dg.AssetSelection.groups("marts"),
            cursor=self._cursor,
            evaluation_time=datetime(2020, 1, 1, 12, tzinfo=UTC) + timedelta(minutes=minute),
        )
        self._cursor = result.cursor
        return [name for name in MARTS if result.get_num_requested(dg.AssetKey(name))]


@pytest.fixture
def hub(location: ModuleType) -> Iterator[Hub]:
    """A hub whose marts were built and up to date at 12:01."""
    with dg.DagsterInstance.ephemeral() as instance:
        hub = Hub(location, instance)
        assert hub.requested_at(1) == []
        hub.build()
        assert hub.requested_at(1.5) == []
        yield hub


def test_the_automation_runs_by_default_on_all_marts_and_can_be_evaluated_by_the_daemon(location: ModuleType) -> None:
    (sensor,) = [each for each in location.defs.sensors if each.name == "marts_automation"]
    assert sensor.default_status is dg.DefaultSensorStatus.RUNNING
    assert sensor.minimum_interval_seconds == 10
    graph = location.defs.resolve_asset_graph()
    assert {key.to_user_string() for key in sensor.asset_selection.resolve(graph)} == set(MARTS)
    for name in MARTS:
        condition = graph.get(dg.AssetKey(name)).automation_condition
        assert condition is not None
        # otherwise it is evaluated in this location, which does not see the hub's
        assert condition.is_serializable


def test_marts_that_were_never_built_are_built_within_a_quarter_of_an_hour(location: ModuleType) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        hub = Hub(location, instance)
        assert hub.requested_at(1) == []
        assert hub.requested_at(14.5) == []
        assert hub.requested_at(15) == MARTS


def test_all_marts_are_built_as_soon_as_the_costs_of_a_day_were_computed_though_other_days_are_missing(
    hub: Hub,
) -> None:
    hub.update("cost_daily", "2019-12-31")
    assert hub.requested_at(2) == MARTS
    hub.build()
    assert hub.requested_at(2.5) == []


def test_rollups_that_report_all_the_time_have_their_mart_built_once_in_a_quarter_of_an_hour(hub: Hub) -> None:
    requests = []
    for half_minutes in range(4, 70):
        hub.update("rollup_1d", "2019-12-31")
        requests += [(half_minutes / 2, name) for name in hub.requested_at(half_minutes / 2)]
    assert requests == [(minute, "model_service_levels") for minute in (15.0, 30.0)]


def test_nothing_is_built_while_nothing_changes(hub: Hub) -> None:
    assert [hub.requested_at(minute) for minute in range(2, 62, 5)] == [[]] * 12


def test_what_changes_while_the_marts_are_being_built_is_not_forgotten(hub: Hub) -> None:
    hub.update("cost_daily", "2019-12-30")
    assert hub.requested_at(2) == MARTS
    hub.update("cost_daily", "2019-12-31")
    hub.build()
    assert hub.requested_at(2.5) == MARTS


def test_a_failed_blocking_check_stops_the_marts_below_but_not_the_evidence_that_shows_it(hub: Hub) -> None:
    hub.update("rollup_1d", "2019-12-31")
    hub.update("events")
    hub.verdict(passed=False)
    assert hub.requested_at(15) == ["compliance_evidence_daily"]
    hub.verdict(passed=True)
    assert hub.requested_at(16) == ["model_service_levels"]
