"""The marts say what the served tables say, to the last digit, and their tests notice when they do not."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any

import dagster as dg
import pytest
from psycopg.rows import dict_row

from lah_platform.rollups.histogram import relative_error
from lah_platform.stores.dbt_project import run_dbt
from lah_platform.stores.postgres import connect
from tests.marts import naive
from tests.marts.sample import LONG_AGO, Sample, draw, write

_TARGET = Fraction("0.999")


@dataclass
class Built:
    """A finished run of the job `marts` over a sample."""

    url: str
    sample: Sample
    result: dg.ExecuteInProcessResult
    logs: Path
    commands: list[list[str]]

    def rows(self, mart: str, *key: str) -> dict[tuple[Any, ...], dict[str, Any]]:
        with connect(self.url) as connection, connection.cursor(row_factory=dict_row) as cursor:
            found = cursor.execute(f"select * from marts.{mart}".encode()).fetchall()
        rows = {tuple(row.pop(name) for name in key): row for row in found}
        assert len(rows) == len(found), f"{mart} has two rows of one key"
        return rows


@pytest.fixture(scope="module")
def built(location: ModuleType, url: str, tmp_path_factory: pytest.TempPathFactory) -> Built:
    from assets.marts import dbt_resource

    sample = draw(seed=20260301)
    with connect(url) as connection:
        write(connection, sample)
    logs = tmp_path_factory.mktemp("dbt-logs")
    defs = location.build_defs(resource_overrides={"dbt": dbt_resource(url=url, logs=logs)})
    with dg.DagsterInstance.ephemeral() as instance, _started_programs() as commands:
        result = defs.resolve_job_def("marts").execute_in_process(instance=instance, raise_on_error=False)
    return Built(url, sample, result, logs, commands)


@contextmanager
def _started_programs() -> Iterator[list[list[str]]]:
    """The command lines of all programs started meanwhile."""
    commands: list[list[str]] = []
    is_listening = True

    def listen(event: str, arguments: tuple[Any, ...]) -> None:
        if is_listening and event == "subprocess.Popen":
            commands.append([str(argument) for argument in arguments[1]])

    sys.addaudithook(listen)  # for good: Python knows no way to remove one
    yield commands
    is_listening = False


def test_the_job_builds_every_mart_and_every_test_of_dbt_is_a_check_that_passed(built: Built) -> None:
    assert built.result.success
    materialized = {event.asset_key.to_user_string() for event in built.result.get_asset_materialization_events()}  # type: ignore[union-attr]
    assert materialized == {"cost_by_team_day", "model_service_levels", "compliance_evidence_daily"}
    verdicts = built.result.get_asset_check_evaluations()
    assert len(verdicts) == 25
    assert [verdict.check_name for verdict in verdicts if not verdict.passed] == []


def test_a_materialization_says_how_many_rows_the_mart_has(built: Built) -> None:
    for materialization in built.result.asset_materializations_for_node("dbt_build"):
        with connect(built.url) as connection:
            mart = materialization.asset_key.to_user_string()
            assert connection.execute(f"select count(*) from marts.{mart}".encode()).fetchone() == (
                materialization.metadata["dagster/row_count"].value,
            )


def test_a_build_that_succeeds_leaves_no_files_behind(built: Built) -> None:
    assert list(built.logs.iterdir()) == []


def test_a_run_starts_dbt_once_and_does_not_ask_it_for_its_version_which_looks_for_newer_ones_online(
    built: Built,
) -> None:
    assert [command[1] for command in built.commands if command[0].endswith("dbt")] == ["build"]


def test_costs_by_team_and_day_equal_a_naive_recomputation_to_the_last_digit(built: Built) -> None:
    expected = naive.cost_by_team_day(built.sample)
    assert built.rows("cost_by_team_day", "day", "tenant", "team") == expected
    assert {type(row["share_of_tenant_day"]) for row in expected.values()} == {Decimal, type(None)}


def test_service_levels_equal_a_naive_recomputation_with_percentiles_over_all_requests_of_a_model(built: Built) -> None:
    expected = naive.model_service_levels(built.sample, _TARGET)
    found = built.rows("model_service_levels", "day", "tenant", "model")
    assert found.keys() == expected.keys()
    for key, levels in expected.items():
        for name, value in levels.items():
            if name.endswith("_ms") and value is not None:
                assert found[key][name] == pytest.approx(value, rel=relative_error() * 1.0001), (key, name)
            else:
                assert found[key][name] == value, (key, name)
        assert found[key]["availability_target"] == Decimal("0.999")
        assert found[key]["computed_at"] == LONG_AGO


def test_compliance_evidence_equals_a_naive_recomputation(built: Built) -> None:
    found = built.rows("compliance_evidence_daily", "day", "tenant", "control_area", "evidence_kind")
    counts = {key: (row["records"], row["adverse_records"]) for key, row in found.items()}
    assert counts == naive.compliance_evidence_daily(built.sample)


def test_money_is_numeric_in_every_mart(built: Built) -> None:
    with connect(built.url) as connection:
        types = connection.execute(
            "select data_type, numeric_scale from information_schema.columns"
            " where table_schema = 'marts' and column_name like '%%_usd'"
        ).fetchall()
    assert len(types) == 6
    assert set(types) == {("numeric", 12)}


_LOSS = {
    "cost_by_team_day_equals_cost_daily": "update marts.cost_by_team_day set reported_usd = reported_usd + 1e-12"
    " where (day, tenant, team) = (select day, tenant, team from marts.cost_by_team_day limit 1)",
    "model_service_levels_equal_rollup_1d": "delete from marts.model_service_levels"
    " where (day, tenant, model) = (select day, tenant, model from marts.model_service_levels limit 1)",
    "compliance_evidence_daily_loses_nothing": "update marts.compliance_evidence_daily set records = records - 1"
    " where evidence_kind = 'landing' and tenant = 'acme'",
}


def test_the_reconciliations_fail_when_a_mart_lost_a_picodollar_a_row_or_a_record(built: Built, tmp_path: Path) -> None:
    with connect(built.url) as connection:
        for statement in _LOSS.values():
            assert connection.execute(statement.encode()).rowcount >= 1
    tested = run_dbt("--quiet", "test", "--select", "test_type:singular", target=tmp_path, url=built.url)
    assert tested.returncode == 1
    for name in _LOSS:
        assert f"Failure in test {name}" in tested.stdout
    assert tested.stdout.count("Failure in test") == len(_LOSS)


def test_marts_that_fail_a_test_are_not_served_and_the_last_good_ones_are(
    built: Built, location: ModuleType, tmp_path: Path
) -> None:
    from assets.marts import dbt_resource

    def served() -> list[list[tuple[Any, ...]]]:
        with connect(built.url) as connection:
            marts = ("cost_by_team_day", "model_service_levels", "compliance_evidence_daily")
            return [
                connection.execute(f"select * from marts.{m} m order by m::text".encode()).fetchall() for m in marts
            ]

    before = served()
    assert all(before)
    defs = location.build_defs(resource_overrides={"dbt": dbt_resource(url=built.url, logs=tmp_path)})
    with connect(built.url) as connection:
        connection.execute("update lah.cost_daily set requests = -1000000")
        with dg.DagsterInstance.ephemeral() as instance:
            result = defs.resolve_job_def("marts").execute_in_process(instance=instance, raise_on_error=False)
        told = connection.execute(
            "select asset, severity, blocking, advice <> '' from lah.checks where not passed"
            " and asset = 'cost_by_team_day' and check_name = 'cost_by_team_day_requests_are_not_negative'"
        ).fetchall()
        rejected = connection.execute("select min(requests) < 0 from marts_staging.cost_by_team_day").fetchone()
    assert not result.success
    assert not result.get_asset_materialization_events()
    assert served() == before
    assert (told, rejected) == ([("cost_by_team_day", "error", True, True)], (True,))
