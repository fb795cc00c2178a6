"""The business marts of `dbt/` as Dagster assets: one dbt process builds and tests what was selected.

Belongs here: when the marts are built, and how dbt is started. Does not: their SQL, documentation, owners and tests,
which are in `dbt/models`; nor the manifest, which is built beforehand (`lah_platform.stores.dbt_project`), because
every run process imports this module and parsing takes seconds.
"""

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import Any

from dagster import (
    AssetCheckResult,
    AssetCheckSeverity,
    AssetExecutionContext,
    AssetKey,
    AssetSpec,
    AutomationCondition,
    FreshnessPolicy,
    Output,
)
from dagster_dbt import (
    DagsterDbtTranslator,
    DagsterDbtTranslatorSettings,
    DbtCliInvocation,
    DbtCliResource,
    DbtProject,
    dbt_assets,
)
from packaging.version import Version
from psycopg import sql

from lah_platform.quality.verdicts import Verdict
from lah_platform.settings import TELEMETRY_OFF, settings
from lah_platform.stack.endpoints import database_url
from lah_platform.stores.checks import write_verdicts
from lah_platform.stores.dbt_project import (
    DBT_ROOT,
    SCHEMA_VARIABLE,
    STAGING,
    connection_environment,
    current_manifest,
    dbt_executable,
)
from lah_platform.stores.marts import SCHEMA, serve_marts
from lah_platform.stores.postgres import connect

__all__ = ["GROUP", "Dbt", "dbt_resource", "due", "marts"]

GROUP = "marts"
_BUILD_EVERY = "*/15 * * * *"  # a build takes 5 s of CPU and leaves 100 rows in Dagster's event log
_LAST_OF_A_DAY = AssetKey("cost_daily")
_SHOWS_FAILURES = frozenset({"compliance_evidence_daily"})
_FRESHNESS = FreshnessPolicy.time_window(fail_window=timedelta(hours=36), warn_window=timedelta(hours=26))
_KEPT_FAILURES = 10
_SETTINGS = DagsterDbtTranslatorSettings(
    enable_duplicate_source_asset_keys=True,  # series and rollup_state are parts of rollup_1d
    enable_source_metadata=False,  # what the hub's tables are is said by the hub's own code location
)


def due(*, is_stopped_by_failed_checks: bool) -> AutomationCondition[AssetKey]:
    """When a mart is built: as soon as `cost_daily` was, the last of a day's tables; else at most once in a quarter of
    an hour, when something it reads has changed, or it was never built, or building it failed.

    `AutomationCondition.eager()` would never fire, because it waits until no partition of what the mart reads is
    missing, and days without events stay missing; nor does it hold back when rollups report every few seconds.
    """
    # Of an update and a request since the last tick the later one counts, as long as both keep their time stamps:
    # `since_last_handled` and every `|` drop them, and what changes while dbt is reading would be forgotten
    requested = AutomationCondition.newly_requested()
    updated = AutomationCondition.newly_updated()
    is_day_done = AutomationCondition.asset_matches(_LAST_OF_A_DAY, updated).since(requested)
    is_changed = AutomationCondition.any_deps_match(updated).since(requested)
    is_unbuilt = AutomationCondition.missing() | AutomationCondition.execution_failed()
    is_quarter = AutomationCondition.cron_tick_passed(_BUILD_EVERY).since(requested)
    condition = (
        (
            is_day_done.with_label("the day's costs were computed")
            | (is_quarter & (is_changed.with_label("something it reads has changed") | is_unbuilt))
        )
        & ~AutomationCondition.any_deps_in_progress()
        & ~AutomationCondition.in_progress()
    )
    if is_stopped_by_failed_checks:
        failed = AutomationCondition.any_checks_match(AutomationCondition.check_failed(), blocking_only=True)
        condition &= ~AutomationCondition.any_deps_match(failed).with_label("a blocking check failed upstream")
    return condition


class _Translator(DagsterDbtTranslator):
    """Group, description and automation of the marts; keys, owners, columns and tests come from `dbt/models`."""

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str:  # noqa: ARG002 - dagster-dbt's signature
        return GROUP

    def get_description(self, dbt_resource_props: Mapping[str, Any]) -> str:
        return str(dbt_resource_props["description"])

    def get_automation_condition(self, dbt_resource_props: Mapping[str, Any]) -> AutomationCondition[Any]:
        return due(is_stopped_by_failed_checks=dbt_resource_props["name"] not in _SHOWS_FAILURES)

    def get_asset_spec(self, manifest: Mapping[str, Any], unique_id: str, project: DbtProject | None) -> AssetSpec:
        properties = self.get_resource_props(manifest, unique_id)
        spec = super().get_asset_spec(manifest, unique_id, project).replace_attributes(freshness_policy=_FRESHNESS)
        # without the database: the manifest was built before it was known
        return spec.merge_attributes(metadata={"dagster/table_name": f"{SCHEMA}.{properties['name']}"})


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


class Dbt(DbtCliResource):
    """dbt on the hub's database.

    `url`: the database; None: what the settings and a running `lah up` say. `logs`: the folder in which each build
    has one of its own until it succeeds; None: logs/dbt in LAH_HOME.
    """

    url: str | None = None
    logs: str | None = None

    def database_url(self) -> str:
        """Raises ConfigurationError when it is the embedded PostgreSQL's and that is not running."""
        return self.url or database_url(settings())

    @cached_property
    def _cli_version(self) -> Version:
        # dagster-dbt asks `dbt --version`, which takes 2 s and looks for newer versions on the internet
        return Version(metadata.version("dbt-core"))

    def build(self, context: AssetExecutionContext) -> DbtCliInvocation:
        """Start `dbt build` of the assets and checks selected in the run."""
        logs = Path(self.logs) if self.logs is not None else settings().home / "logs" / "dbt"
        _drop_old(logs)
        target = logs.resolve() / context.run.run_id
        target.mkdir(parents=True, exist_ok=True)  # a step that is retried builds in the same run
        saved_parse = current_manifest().with_name("partial_parse.msgpack")
        shutil.copyfile(saved_parse, target / saved_parse.name)
        variables = connection_environment(self.database_url()) | {SCHEMA_VARIABLE: STAGING}
        with _environment(TELEMETRY_OFF | variables):
            # of the asset's context dagster-dbt uses a deprecated part; it takes either
            return self.cli(["build"], context=context.op_execution_context, target_path=target)


def _drop_old(folders: Path) -> None:
    """Of what failed builds left behind, keep the newest few."""
    left = sorted((path for path in folders.glob("*") if path.is_dir()), key=lambda path: path.stat().st_mtime)
    for path in left[:-_KEPT_FAILURES]:
        shutil.rmtree(path)


def _name(event: Output[Any]) -> str:
    return str(event.metadata["unique_id"].value).rsplit(".", 1)[-1]


def _row_count(dbt: Dbt, event: Output[Any]) -> dict[str, int]:
    # dagster-dbt's fetch_row_counts asks for the database that the manifest was built with, not for this one
    with connect(dbt.database_url()) as connection:
        statement = sql.SQL("select count(*) from {}").format(sql.Identifier(SCHEMA, _name(event)))
        (rows,) = connection.execute(statement).fetchone() or (0,)
    return {"dagster/row_count": rows}


@dbt_assets(manifest=current_manifest(), dagster_dbt_translator=_Translator(_SETTINGS), name="dbt_build", pool=GROUP)
def marts(context: AssetExecutionContext, dbt: Dbt) -> Iterator[Any]:
    """Build and test the selected marts beside the served ones, and serve them when all tests passed.

    A build that fails leaves the served ones as they were, and its artifacts, logs and rejected tables behind.
    """
    build = dbt.build(context)
    built: list[Output[Any]] = []
    verdicts: list[Verdict] = []
    try:
        for event in build.stream():
            if isinstance(event, Output):
                built.append(event)
                continue
            if isinstance(event, AssetCheckResult):
                verdicts.append(_verdict(event))
            yield event
    finally:
        with connect(dbt.database_url()) as connection:
            write_verdicts(
                connection,
                verdicts,
                checked_at=datetime.now(UTC),
                period_from=None,
                period_to=None,
                run_id=context.run.run_id,
            )
    with connect(dbt.database_url()) as connection:
        serve_marts(connection, [_name(event) for event in built])
    for event in built:
        yield event.with_metadata({**event.metadata, **_row_count(dbt, event)})
    shutil.rmtree(build.target_path)


def _verdict(event: AssetCheckResult) -> Verdict:
    """A test of dbt as a verdict: it is about all rows of the mart."""
    is_error = event.severity == AssetCheckSeverity.ERROR
    failed = event.metadata.get("dagster_dbt/failed_row_count")
    return Verdict(
        asset=event.asset_key.path[-1] if event.asset_key else GROUP,
        check_name=event.check_name or "",
        severity="error" if is_error else "warn",
        is_blocking=is_error,
        passed=event.passed,
        checked_rows=None,
        failed_rows=int(str(failed.value)) if failed and failed.value is not None else None,
        observed={},
        advice="The mart is served as it was before: look at the rows that the test names in schema marts_staging, "
        "correct what it reads or its model in dbt/models, and build it again with `lah backfill marts`",
    )


def dbt_resource(*, url: str | None = None, logs: Path | None = None) -> Dbt:
    """The resource `dbt`."""
    return Dbt(
        project_dir=str(DBT_ROOT),
        dbt_executable=str(dbt_executable()),
        url=url,
        logs=str(logs) if logs is not None else None,
    )
