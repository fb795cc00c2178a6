"""Great Expectations suites as asset checks: one check per rule, blocking where a wrong number would be served.

The rules are in `lah_platform.quality`; verdicts are rows of table `checks` too.
"""

from collections.abc import Iterator
from datetime import UTC, datetime

import dagster as dg

from assets.partitions import period_of
from assets.resources import Hub
from lah_platform.quality.suites import ASSETS, run_suite
from lah_platform.stores.checks import write_verdicts

__all__ = ["CHECKS"]

_ASSET_OF_SUITE = {"reports": "compliance_report"}  # a suite has its table's name


def _suite_checks(suite: str) -> dg.AssetChecksDefinition:
    asset = _ASSET_OF_SUITE.get(suite, suite)
    specs = [
        dg.AssetCheckSpec(rule.name, asset=asset, blocking=rule.is_blocking, description=rule.advice)
        for rule in ASSETS[suite].rules
    ]

    @dg.multi_asset_check(name=f"check_{suite}", specs=specs)
    def check(context: dg.AssetCheckExecutionContext, hub: Hub) -> Iterator[dg.AssetCheckResult]:
        start, end = period_of(context)
        verdicts = run_suite(hub.database_url, suite, start, end)
        with hub.connection() as connection:
            write_verdicts(
                connection,
                verdicts,
                checked_at=datetime.now(UTC),
                period_from=start,
                period_to=end,
                run_id=context.run.run_id,
            )
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

    return check


CHECKS = [_suite_checks(suite) for suite in ASSETS]
