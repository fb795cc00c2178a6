"""The audit log watched over: its chain verified, its head signed and sent outside, every hour."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

import dagster as dg

from assets.resources import Hub
from assets.tables import table_spec
from lah_platform.compliance.audit_heads import SignedHead
from lah_platform.quality.suites import Verdict
from lah_platform.settings import settings
from lah_platform.stores.audit_anchors import Anchor, anchor_heads, anchor_of, kept_heads
from lah_platform.stores.audit_heads import sign_new_head
from lah_platform.stores.audit_verify import Findings, verify_log
from lah_platform.stores.checks import write_verdicts
from lah_platform.stores.postgres import Connection
from lah_platform.stores.signing_key import hub_signer

__all__ = ["AUDIT_LOG", "CHECK", "audit_heads"]

CHECK: Final = "chain_is_whole"
_RECENT: Final = timedelta(days=2)  # what an hourly run verifies; the night's verifies all of it
_ADVICE: Final = (
    "Somebody with the owner's rights changed the audit log. Keep the database as it is, run `lah audit verify"
    " --anchors` with heads from outside, and compare with a backup (docs/audit.md)"
)

AUDIT_LOG = table_spec(
    "audit_log", "Who did what to the hub: a hash chain that no role can change.", group="compliance", deps=[]
)
_SPEC = table_spec(
    "audit_heads",
    "Signed heads of the audit log's chain: what it was at a time, sent to LAH_AUDIT_ANCHORS.",
    group="compliance",
    deps=["audit_log"],
)


@dg.multi_asset(
    name="watch_audit_log",
    specs=[_SPEC],
    check_specs=[
        dg.AssetCheckSpec(CHECK, asset="audit_heads", description="The chain, its heads and their copies agree.")
    ],
)
def audit_heads(context: dg.AssetExecutionContext, hub: Hub) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult]:  # type: ignore[type-arg]
    """Verify, sign what is new, send what has not arrived; a broken chain is signed no further."""
    now = datetime.now(UTC)
    start = None if now.hour == 0 else now - _RECENT
    anchors = [anchor_of(url) for url in settings().audit_anchors]
    with hub.connection() as connection:
        found = verify_log(connection, start=start, anchors=kept_heads(anchors))
        _note(connection, found, start or datetime(1970, 1, 1, tzinfo=UTC), now, context.run.run_id)
        yield dg.AssetCheckResult(
            asset_key="audit_heads",
            check_name=CHECK,
            passed=found.is_whole,
            metadata={
                "checked_rows": found.rows,
                "breaches": "; ".join(map(str, found.breaches[:10])) or "none",
                "what_to_do": _ADVICE,
            },
        )
        if not found.is_whole:
            raise dg.Failure(f"The audit log is broken: {found.breaches[0]}", metadata={"what_to_do": _ADVICE})
        head = sign_new_head(connection, hub_signer(settings()), now)
        yield _result(head, _sent(connection, anchors, now))


def _sent(connection: Connection, anchors: list[Anchor], now: datetime) -> int:
    return sum(anchor_heads(connection, anchors, now).values())


def _result(head: SignedHead | None, sent: int) -> dg.MaterializeResult:  # type: ignore[type-arg]
    metadata: dict[str, str | int] = {"heads_sent": sent}
    if head is not None:
        metadata |= {"position": head.position, "row_hash": head.row_hash, "key": head.signature.key_id}
    return dg.MaterializeResult(asset_key="audit_heads", metadata=metadata)


def _note(connection: Connection, found: Findings, start: datetime, end: datetime, run_id: str) -> None:
    observed = {"breaches": [str(breach) for breach in found.breaches[:10]]}
    verdict = Verdict(
        "audit_heads", CHECK, "error", True, found.is_whole, found.rows, len(found.breaches), observed, _ADVICE
    )
    write_verdicts(connection, [verdict], checked_at=end, period_from=start, period_to=end, run_id=run_id)
