"""The code location `marts`: apart from the hub's own, so that only runs of dbt pay for importing dbt."""

from collections.abc import Mapping
from typing import Any

from dagster import (
    AssetSelection,
    AssetSpec,
    AutomationConditionSensorDefinition,
    DefaultSensorStatus,
    Definitions,
    define_asset_job,
    in_process_executor,
)

from assets.marts import GROUP, dbt_resource, marts
from assets.resources import hub_resource
from sensors.backfill_requests import backfill_sensor

__all__ = ["build_defs", "defs"]

_AUTOMATION_SECONDS = 10  # how often is asked whether a mart is due: so long after the day's costs it starts at most

# What the marts read and no code location computes as an asset
_READ_ONLY = [
    AssetSpec("checks", group_name="quality", description="Every verdict of a data quality check."),
]


def build_defs(*, resource_overrides: Mapping[str, Any] | None = None) -> Definitions:
    """All definitions; nothing is opened until an asset runs."""
    selection = AssetSelection.groups(GROUP)
    job = define_asset_job("marts", selection=selection, description="Build and test every mart with dbt.")
    return Definitions(
        assets=[marts, *_READ_ONLY],
        jobs=[job],
        sensors=[
            AutomationConditionSensorDefinition(
                "marts_automation",
                target=selection,
                default_status=DefaultSensorStatus.RUNNING,
                minimum_interval_seconds=_AUTOMATION_SECONDS,
                description="Builds the marts after the tables they read were materialized.",
            ),
            backfill_sensor("marts_requests", [job]),
        ],
        executor=in_process_executor,  # one step a run, whose own process would import dbt and Dagster once more
        resources={"dbt": dbt_resource(), "hub": hub_resource()} | dict(resource_overrides or {}),
    )


defs = build_defs()
