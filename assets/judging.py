"""What the assets of daily tables and of checks share: judging rows, keeping what came out, and telling Dagster.

Belongs here: between a suite's verdicts and Dagster's. Does not: rules (`lah_platform.quality`), what is judged.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import dagster as dg

from assets.resources import Hub
from lah_platform.quality.registry import ASSETS
from lah_platform.quality.suites import run_suite
from lah_platform.quality.verdicts import Verdict
from lah_platform.stores.checks import write_verdicts
from lah_platform.stores.postgres import Connection
from lah_platform.stores.staging import SCHEMA, Judge

__all__ = ["STAGED", "check_results", "check_specs", "staged_judge"]

STAGED = frozenset({"cost_daily", "forecasts"})
"""Suites that judge what an asset has staged, within the asset; the others run after it."""


def check_specs(suite: str, asset: str) -> list[dg.AssetCheckSpec]:
    """One check a rule; a blocking one stops what would serve a wrong number."""
    return [
        dg.AssetCheckSpec(rule.name, asset=asset, blocking=rule.is_blocking, description=rule.advice)
        for rule in ASSETS[suite].rules
    ]


def check_results(verdicts: Sequence[Verdict], asset: str) -> Iterator[dg.AssetCheckResult]:
    """The verdicts in Dagster's words."""
    for verdict in verdicts:
        yield dg.AssetCheckResult(
            asset_key=asset,
            check_name=verdict.check_name,
            passed=verdict.passed,
            severity=dg.AssetCheckSeverity.ERROR if verdict.severity == "error" else dg.AssetCheckSeverity.WARN,
            metadata={
                "checked_rows": verdict.checked_rows or 0,
                "failed_rows": verdict.failed_rows or 0,
                "what_to_do": verdict.advice,
            },
        )


def staged_judge(
    connection: Connection, hub: Hub, suite: str, start: datetime, end: datetime, run_id: str
) -> tuple[Judge, list[Verdict]]:
    """Judges the staged rows of the suite's table of [start, end) UTC; the list holds the verdicts once it has."""
    told: list[Verdict] = []

    def judge() -> list[Verdict]:
        return run_suite(hub.database_url, suite, start, end, schema=SCHEMA)

    def keep(verdicts: Sequence[Verdict]) -> None:
        told.extend(verdicts)
        write_verdicts(
            connection, verdicts, checked_at=datetime.now(UTC), period_from=start, period_to=end, run_id=run_id
        )

    return Judge(judge, keep), told
