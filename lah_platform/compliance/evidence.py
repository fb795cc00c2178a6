"""What a report counts: one kind of evidence per named query of `sql/queries/reports.sql`.

Belongs here: what each count means and where it comes from. Reading it from a database is `stores/reports.py`'s.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

__all__ = ["EVIDENCE", "MAX_GROUPS", "Evidence", "Kind", "Scalar"]

MAX_GROUPS = 200
"""Groups shown of each kind; group names come from producers, so their number has no bound. Totals count all."""

Scalar = str | int | bool | None
"""What a report holds: exact decimals and times (ISO 8601, UTC) are text."""


@dataclass(frozen=True)
class Kind:
    """One kind of evidence: `keys` name a group, `measures` are counted per group and in total.

    `tables` are what the query reads, `counted` says which rows belong to the period. With `details` a group is one
    row: it shows these columns, and the measures are of the total only.
    """

    name: str
    title: str
    tables: tuple[str, ...]
    counted: str
    keys: tuple[str, ...]
    measures: tuple[str, ...]
    details: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """What a group shows."""
        return (*self.keys, *(self.details or self.measures))


@dataclass(frozen=True)
class Evidence:
    """What one query returned. `sql` is the statement with its values, ready for psql.

    `groups` are at most MAX_GROUPS, `is_cut` when there were more; `total` and `counted_rows` cover all of them;
    `watermark` (UTC) is the newest row counted, None when there was none.
    """

    sql: str
    groups: tuple[Mapping[str, Scalar], ...]
    total: Mapping[str, Scalar]
    counted_rows: int
    watermark: datetime | None
    is_cut: bool


_BY_EVENT_TIME = "events whose own time is in the period"

_KINDS = (
    Kind(
        "ledger",
        "Ledger of received records",
        ("ledger",),
        "ledger rows whose landing minute is in the period",
        ("topic",),
        ("received", "stored", "duplicate", "dead_lettered"),
    ),
    Kind(
        "dead_letters",
        "Refused records by reason",
        ("dead_letters",),
        "records refused in the period",
        ("code",),
        ("dead_letters", "replayed", "pending"),
    ),
    Kind(
        "security_events",
        "Security events",
        ("events",),
        _BY_EVENT_TIME,
        ("subtype", "severity"),
        ("events", "critical"),
    ),
    Kind(
        "authentication",
        "Authentication outcomes",
        ("events",),
        _BY_EVENT_TIME,
        ("action",),
        ("events", "succeeded", "failed"),
    ),
    Kind(
        "privacy_operations",
        "Operations on personal data",
        ("events",),
        _BY_EVENT_TIME,
        ("operation",),
        ("events", "with_consent", "without_consent"),
    ),
    Kind(
        "compliance_violations",
        "Reported violations of regulations",
        ("events",),
        _BY_EVENT_TIME,
        ("regulation",),
        ("events", "remediation_required"),
    ),
    Kind(
        "policy_violations",
        "Policy violations",
        ("events",),
        _BY_EVENT_TIME,
        ("severity",),
        ("events", "auto_remediated", "not_remediated"),
    ),
    Kind(
        "compliance_checks",
        "Compliance checks by framework",
        ("events",),
        _BY_EVENT_TIME,
        ("framework",),
        ("events", "passed", "failed", "mean_score"),
    ),
    Kind(
        "failing_controls",
        "Controls found failing by compliance checks",
        ("events",),
        "findings with status fail in compliance checks whose own time is in the period",
        ("framework", "control_id"),
        ("findings",),
    ),
    Kind(
        "audit_trail",
        "Audit trail reported by producers",
        ("events",),
        _BY_EVENT_TIME,
        ("action",),
        ("events", "actors"),
    ),
    Kind(
        "audit_log",
        "Audit log of this hub",
        ("audit_log",),
        "entries written in the period",
        ("action", "object_type"),
        ("entries", "actors"),
    ),
    Kind(
        "costs",
        "Costs by model",
        ("cost_daily",),
        "rows of the days of the period",
        ("model",),
        ("requests", "unpriced_requests", "reported_usd", "priced_usd", "other_usd"),
    ),
    Kind(
        "quality_verdicts",
        "Data-quality verdicts, the latest of each rule",
        ("checks",),
        "verdicts about a time that overlaps the period, of all tenants",
        ("asset", "check_name", "severity"),
        ("rules", "passing", "failing", "failing_errors"),
        ("verdict", "failed_rows", "checked_at"),
    ),
    Kind(
        "security_anomalies",
        "Anomalies of security event series",
        ("anomalies", "series"),
        "anomalies that started in the period",
        ("anomaly_type", "impact"),
        ("anomalies", "severe"),
    ),
    Kind(
        "security_correlations",
        "Correlations: security incidents and compliance cascades",
        ("correlations",),
        "correlations that started in the period",
        ("correlation_type",),
        ("correlations", "greatest_strength", "greatest_confidence"),
    ),
)

EVIDENCE: Mapping[str, Kind] = MappingProxyType({kind.name: kind for kind in _KINDS})
"""Every kind of evidence by the name of its query, in the order of the report."""
