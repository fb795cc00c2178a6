"""The totals of a report counted the slow and obvious way, from the rows that were made up."""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any

from tests.compliance.traffic import END, FROM, START, TO, Event, Traffic


def recount(traffic: Traffic, tenant: str) -> dict[str, dict[str, Any]]:
    """Total measures by kind of evidence, of what is in the period and belongs to the tenant ('*': anyone's)."""

    def counts(at: datetime, whose: str) -> bool:
        return START <= at < END and tenant in ("*", whose)

    events = [event for event in traffic.events if counts(event.at, event.tenant)]
    ledger = [row for row in traffic.ledger if counts(row[1], row[2])]
    letters = [row for row in traffic.dead_letters if counts(row[1], row[0])]
    costs = [row for row in traffic.costs if FROM <= row[0] < TO and tenant in ("*", row[1])]
    anomalies = [row for row in traffic.anomalies if counts(row[1], row[0]) and row[2] == "security"]
    correlations = [row for row in traffic.correlations if counts(row[1], row[0]) and row[2] == "security_incident"]

    auth = _of(events, "auth")
    privacy = _of(events, "privacy")
    violations = _of(events, "compliance_violation")
    policy = _of(events, "policy_violation")
    checks = _of(events, "compliance_check")
    security = [event for event in events if event.payload_type == "security"]
    findings = [f for payload in checks for f in payload["findings"] if f["status"] == "fail"]
    stored, duplicate, dead = (sum(row[at] for row in ledger) for at in (3, 4, 5))
    priced = [row[6] for row in costs if row[6] is not None]
    return {
        "ledger": {
            "received": stored + duplicate + dead,
            "stored": stored,
            "duplicate": duplicate,
            "dead_lettered": dead,
        },
        "dead_letters": {
            "dead_letters": len(letters),
            "replayed": sum(row[3] for row in letters),
            "pending": sum(not row[3] for row in letters),
        },
        "security_events": {
            "events": len(security),
            "critical": sum(event.severity == "critical" for event in security),
        },
        "authentication": _split(auth, "success", "succeeded", "failed"),
        "privacy_operations": _split(privacy, "user_consent", "with_consent", "without_consent"),
        "compliance_violations": {
            "events": len(violations),
            "remediation_required": sum(payload["remediation_required"] for payload in violations),
        },
        "policy_violations": _split(policy, "auto_remediated", "auto_remediated", "not_remediated"),
        "compliance_checks": _split(checks, "passed", "passed", "failed")
        | {"mean_score": _mean([Decimal(str(payload["score"])) for payload in checks])},
        "failing_controls": {"findings": len(findings)},
        "audit_trail": {
            "events": len(_of(events, "audit_trail")),
            "actors": len({payload["actor"] for payload in _of(events, "audit_trail")}),
        },
        "audit_log": {"entries": 0, "actors": 0},
        "costs": {
            "requests": sum(row[3] for row in costs),
            "unpriced_requests": sum(row[4] for row in costs),
            "reported_usd": _usd([row[5] for row in costs]) or "0",
            "priced_usd": _usd(priced),
            "other_usd": _usd([row[7] for row in costs]) or "0",
        },
        "quality_verdicts": {"rules": 0, "passing": 0, "failing": 0, "failing_errors": 0},
        "security_anomalies": {
            "anomalies": len(anomalies),
            "severe": sum(row[4] in ("high", "critical") for row in anomalies),
        },
        "security_correlations": {
            "correlations": len(correlations),
            "greatest_strength": _rounded(max(Decimal(row[3]) for row in correlations)) if correlations else None,
            "greatest_confidence": "0.5000" if correlations else None,
        },
    }


def groups_of_security_events(traffic: Traffic, tenant: str) -> Counter[tuple[str, str]]:
    return Counter(
        (event.subtype, event.severity)
        for event in traffic.events
        if event.payload_type == "security" and START <= event.at < END and tenant in ("*", event.tenant)
    )


def _of(events: Iterable[Event], subtype: str) -> list[dict[str, Any]]:
    return [event.payload for event in events if event.subtype == subtype]


def _split(payloads: list[dict[str, Any]], by: str, yes: str, no: str) -> dict[str, Any]:
    positive = sum(payload[by] for payload in payloads)
    return {"events": len(payloads), yes: positive, no: len(payloads) - positive}


def _usd(amounts: list[Decimal]) -> str | None:
    return f"{sum(amounts):.12f}" if amounts else None


def _mean(values: list[Decimal]) -> str | None:
    return _rounded(sum(values, Decimal(0)) / len(values)) if values else None


def _rounded(value: Decimal) -> str:
    return str(value.quantize(Decimal("0.0001"), "ROUND_HALF_UP"))
