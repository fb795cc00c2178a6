"""Great Expectations suites as asset checks: one check per rule, blocking where a wrong number would be served.

The rules are in `lah_platform.quality`; verdicts are rows of table `checks` too, and rollup windows that fail are
marked.
What is staged (`judging.STAGED`) is judged by its asset, before it is served.
"""

from collections.abc import Iterator
from datetime import UTC, datetime

import dagster as dg

from assets.judging import STAGED, check_results, check_specs
from assets.partitions import period_of
from assets.resources import Hub
from lah_platform.quality.suites import ASSETS, run_suite
from lah_platform.stores.checks import write_verdicts
from lah_platform.stores.payload_shapes import learn_shapes
from lah_platform.stores.suspects import mark_suspects

__all__ = ["CHECKS"]

_ASSET_OF_SUITE = {"reports": "compliance_report"}  # a suite has its table's name


def _suite_checks(suite: str) -> dg.AssetChecksDefinition:
    asset = _ASSET_OF_SUITE.get(suite, suite)

    @dg.multi_asset_check(name=f"check_{suite}", specs=check_specs(suite, asset))
    def check(context: dg.AssetCheckExecutionContext, hub: Hub) -> Iterator[dg.AssetCheckResult]:
        start, end = period_of(context)
        now = datetime.now(UTC)
        verdicts = run_suite(hub.database_url, suite, start, end)
        with hub.connection() as connection, connection.transaction():
            write_verdicts(
                connection, verdicts, checked_at=now, period_from=start, period_to=end, run_id=context.run.run_id
            )
            mark_suspects(connection, verdicts, start, end, at=now)
            if suite == "events":
                learn_shapes(connection, start, end)
        yield from check_results(verdicts, asset)

    return check


CHECKS = [_suite_checks(suite) for suite in ASSETS if suite not in STAGED]
