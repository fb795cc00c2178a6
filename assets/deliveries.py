"""Documents of reports on their way out: one attempt of everything that is due, and whether all of them arrive."""

import os
import time
from datetime import UTC, datetime

import dagster as dg

from assets.report_periods import asset_of
from assets.resources import Hub
from assets.tables import table_spec
from lah_platform.compliance.periods import PERIODS
from lah_platform.settings import settings
from lah_platform.stores.deliveries import deliver_due, list_deliveries, summary
from lah_platform.stores.delivery_targets import make_targets
from lah_platform.stores.report_plan import load_plan
from lah_platform.stores.signing_key import hub_signer

__all__ = ["deliveries", "deliveries_arrive"]

_SPEC = table_spec(
    "deliveries",
    "Documents of reports on their way to folders, object stores and webhooks, with every attempt.",
    group="reports",
    deps=[asset_of(period) for period in PERIODS],
)


def _now() -> datetime:
    return datetime.now(UTC)


@dg.multi_asset(name="send_deliveries", specs=[_SPEC])
def deliveries(context: dg.AssetExecutionContext, hub: Hub) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """One attempt of each delivery that is due; what fails is due again later, and the check says so."""
    started = time.monotonic()
    chosen = settings().model_copy(update={"home": hub.folder})
    targets = make_targets(load_plan(chosen).targets, hub_signer(chosen), os.environ)
    with hub.connection() as connection:
        arrived, missed = deliver_due(connection, targets, actor=f"dagster:{context.run.run_id}", clock=_now)
        now = summary(connection)
    return dg.MaterializeResult(
        metadata={
            "arrived": arrived,
            "missed": missed,
            "waiting": now.waiting,
            "given_up": now.failed,
            "dagster/row_count": now.delivered + now.waiting + now.failed,
            "watermark": f"{_now():%Y-%m-%d %H:%M}",
            "seconds": round(time.monotonic() - started, 3),
        }
    )


@dg.asset_check(
    asset="deliveries",
    description="Every document that was to be delivered has arrived, or is on its way without a failure so far.",
)
def deliveries_arrive(hub: Hub) -> dg.AssetCheckResult:
    """Fails with an error when one was given up, with a warning when one is late; names them and what to do."""
    with hub.connection() as connection:
        found = summary(connection)
        missing = [each for each in list_deliveries(connection, only_missing=True, limit=20) if each.last_error]
    lines = [f"- {each.report} {each.document} to {each.target}: {each.last_error}" for each in missing]
    return dg.AssetCheckResult(
        passed=not found.late and not found.failed,
        severity=dg.AssetCheckSeverity.ERROR if found.failed else dg.AssetCheckSeverity.WARN,
        metadata={
            "late": found.late,
            "given_up": found.failed,
            "missing": dg.MetadataValue.md("\n".join(lines) or "none"),
            "what_to_do": "`lah report deliveries list --missing` says why; mend the target, then `retry` with the ids",
        },
    )
