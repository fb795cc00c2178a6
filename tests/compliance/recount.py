"""A report's figures counted the slow and obvious way: Python over the bytes that producers sent and the plain rows."""

import json
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from tests.compliance.traffic import END, FROM, START, TO, Traffic

Figures = dict[str, Any]


@dataclass
class Recount:
    """Figures by query, and by list of exceptions the ids of what failed."""

    figures: dict[str, Figures] = field(default_factory=dict)
    failed: dict[str, list[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class _Event:
    event_id: str
    at: datetime
    tenant: str
    environment: str
    subtype: str
    payload_type: str
    severity: str
    correlation_id: str | None
    data: Mapping[str, Any]


def recount(
    traffic: Traffic, series: Mapping[int, tuple[str, str]], tenant: str, environment: str, retention_days: int
) -> Recount:
    """What every query of a report must say; `series` are event type and environment by id."""
    stored, outcomes = _landed(traffic)
    mine = [
        event
        for event in stored
        if START <= event.at < END and tenant in ("*", event.tenant) and environment in ("*", event.environment)
    ]
    found = Recount()
    _of_landing(found, traffic, outcomes, tenant, retention_days)
    _of_security(found, mine, stored)
    _of_governance(found, mine)
    _of_models(found, mine)
    _of_tables(found, traffic, series, tenant, environment, sum(e.payload_type == "security" for e in mine))
    return found


def _landed(traffic: Traffic) -> tuple[list[_Event], list[tuple[datetime, str, str]]]:
    """What is stored, each once; and of every message when it landed, whose it is, and what became of it."""
    stored: dict[tuple[str, str, datetime], _Event] = {}
    outcomes = []
    for batch in traffic.batches:
        for raw in batch.messages:
            event = _read(raw)
            if event is None:
                outcomes.append((batch.at, _tenant_of(raw), "dead_lettered"))
                continue
            key = (event.tenant, event.event_id, event.at)
            outcomes.append((batch.at, event.tenant, "duplicate" if key in stored else "stored"))
            stored.setdefault(key, event)
    return list(stored.values()), outcomes


def _read(raw: bytes) -> _Event | None:
    try:
        wire = json.loads(raw)
    except ValueError:
        return None
    if wire["severity"] not in ("debug", "info", "warning", "error", "critical"):
        return None
    data = wire["payload"]["data"]
    payload_type = wire["payload"]["payload_type"]
    return _Event(
        wire["event_id"],
        datetime.fromisoformat(wire["timestamp"]),
        wire["tags"]["tenant"],
        wire["environment"],
        data[f"{payload_type}_type"],
        payload_type,
        wire["severity"],
        wire.get("correlation_id"),
        data,
    )


def _tenant_of(raw: bytes) -> str:
    try:
        return str(json.loads(raw)["tags"].get("tenant", "default"))
    except ValueError:
        return "unknown"


def _of_landing(
    found: Recount, traffic: Traffic, outcomes: list[tuple[datetime, str, str]], tenant: str, retention_days: int
) -> None:
    mine = [what for at, whose, what in outcomes if START <= at < END and tenant in ("*", whose)]
    counts = {name: mine.count(name) for name in ("stored", "duplicate", "dead_lettered")}
    found.figures["ledger"] = {"received": len(mine), **counts, "unaccounted": 0}
    dead = counts["dead_lettered"]
    found.figures["dead_letters"] = {"refused": dead, "repaired": 0, "pending": dead, "received": len(mine)}
    found.figures["retention"] = {"retention_days": retention_days, "received": len(mine)}
    batches = [batch for batch in traffic.batches if START <= batch.at < END and batch.messages]
    received = sum(len(batch.messages) for batch in batches)
    found.figures["offsets"] = {"batches": len(batches), "received": received, "breaks": 0}
    found.failed |= {"ledger_exceptions": [], "offset_exceptions": []}


def _of_security(found: Recount, mine: list[_Event], stored: list[_Event]) -> None:
    def handled(event: _Event) -> bool:
        return event.correlation_id is not None and any(
            other.subtype == "audit_trail"
            and other.tenant == event.tenant
            and other.correlation_id == event.correlation_id
            and event.at <= other.at < event.at + timedelta(hours=72)
            for other in stored
        )

    security = [event for event in mine if event.payload_type == "security"]
    critical = [event for event in security if event.severity == "critical"]
    carried = [event for event in security if event.data.get("threat_type") == "data_exfiltration"]
    found.figures["security_events"] = {
        "events": len(security),
        "critical": len(critical),
        "exfiltrations": len(carried),
    }
    found.failed |= {"critical_exceptions": _ids(critical), "exfiltration_exceptions": _ids(carried)}

    auth = _of(mine, "auth")
    refused = [event for event in auth if not event.data["success"]]
    found.figures["authentication"] = {
        "events": len(auth),
        "succeeded": len(auth) - len(refused),
        "failed": len(refused),
    }
    found.failed["authentication_exceptions"] = _ids(refused)

    threats = _of(mine, "threat")
    severe = [event for event in threats if event.data["threat_level"] in ("high", "critical")]
    unhandled = [event for event in severe if not handled(event)]
    lost = [event for event in threats if event.correlation_id is None]
    found.figures["threats"] = {
        "threats": len(threats),
        "severe": len(severe),
        "severe_handled": len(severe) - len(unhandled),
        "severe_unhandled": len(unhandled),
        "untraceable": len(lost),
    }
    found.failed |= {"threat_exceptions": _ids(unhandled), "untraceable_exceptions": _ids(lost)}

    weak = _of(mine, "vulnerability")
    grave = [event for event in weak if event.data["severity_score"] >= 7]
    still_open = [event for event in grave if event.data["remediation_status"] not in ("patched", "accepted")]
    found.figures["vulnerabilities"] = {
        "vulnerabilities": len(weak),
        "severe": len(grave),
        "severe_open": len(still_open),
    }
    found.failed["vulnerability_exceptions"] = _ids(still_open)

    _of_privacy(found, _of(mine, "privacy"))
    reported = _of(mine, "compliance_violation")
    due = [event for event in reported if event.data["remediation_required"]]
    not_done = [event for event in due if not handled(event)]
    found.figures["violations"] = {
        "violations": len(reported),
        "to_remediate": len(due),
        "remediated": len(due) - len(not_done),
        "open": len(not_done),
    }
    found.failed["violation_exceptions"] = _ids(not_done)


def _of_privacy(found: Recount, events: list[_Event]) -> None:
    without = [event for event in events if not event.data["user_consent"]]
    blank = [event for event in events if not event.data["purpose"] or not event.data["data_type"]]
    shared = [event for event in events if event.data["operation"] == "data_sharing"]
    shared_without = [event for event in shared if not event.data["user_consent"]]
    found.figures["privacy_operations"] = {
        "operations": len(events),
        "with_consent": len(events) - len(without),
        "without_consent": len(without),
        "undocumented": len(blank),
        "sharing": len(shared),
        "sharing_without_consent": len(shared_without),
    }
    found.figures["processing_register"] = {"operations": len(events), "undocumented": len(blank)}
    found.failed |= {
        "consent_exceptions": _ids(without),
        "undocumented_exceptions": _ids(blank),
        "sharing_exceptions": _ids(shared_without),
    }


def _of_governance(found: Recount, mine: list[_Event]) -> None:
    broken = _of(mine, "policy_violation")
    left = [event for event in broken if not event.data["auto_remediated"]]
    found.figures["policy_violations"] = {
        "violations": len(broken),
        "remediated": len(broken) - len(left),
        "not_remediated": len(left),
    }
    found.failed["policy_exceptions"] = _ids(left)

    checks = _of(mine, "compliance_check")
    failed = [event for event in checks if not event.data["passed"]]
    found.figures["compliance_checks"] = {
        "checks": len(checks),
        "passed": len(checks) - len(failed),
        "failed": len(failed),
        "mean_score": _mean([Decimal(str(event.data["score"])) for event in checks]),
    }
    days = {event.at.astimezone(UTC).date() for event in checks}
    found.figures["check_days"] = {
        "days": (TO - FROM).days,
        "days_with_a_check": len(days),
        "days_without_a_check": (TO - FROM).days - len(days),
        "checks": len(checks),
    }
    findings = [(event, each) for event in checks for each in event.data["findings"]]
    failing = [event for event, each in findings if each["status"] == "fail"]
    found.figures["failing_controls"] = {"findings": len(findings), "failing": len(failing)}
    found.failed |= {"check_exceptions": _ids(failed), "finding_exceptions": _ids(failing)}
    found.figures["audit_trail"] = {"records": len(_of(mine, "audit_trail"))}

    lineage = _of(mine, "data_lineage")
    derived = [event for event in lineage if event.data["operation"] in ("transform", "aggregate")]
    sourceless = [event for event in derived if not event.data["source"]]
    found.figures["data_lineage"] = {
        "records": len(lineage),
        "derivations": len(derived),
        "incomplete": len(sourceless),
    }
    found.failed["lineage_exceptions"] = _ids(sourceless)


def _of_models(found: Recount, mine: list[_Event]) -> None:
    requests = _of(mine, "error_rate")
    found.figures["availability"] = {
        "requests": sum(event.data["total_requests"] for event in requests),
        "failed": sum(event.data["failed_requests"] for event in requests),
    }
    days = {event.at.date() for event in mine}
    kinds = {(e.tenant, e.environment, e.payload_type, e.subtype, e.data.get("model_id")) for e in mine}
    found.figures["activity"] = {
        "days": (TO - FROM).days,
        "days_with_events": len(days),
        "silent_days": (TO - FROM).days - len(days),
        "events": len(mine),
        "series": len(kinds),
    }
    silent = [FROM + timedelta(n) for n in range((TO - FROM).days) if FROM + timedelta(n) not in days]
    found.failed["silent_days"] = [f"{day}" for day in silent]

    judged = _of(mine, "model_performance")
    weak = [event for event in judged if event.data["quality_score"] < 0.8]
    found.figures["model_performance"] = {
        "evaluations": len(judged),
        "scored": len(judged),
        "weak": len(weak),
        "mean_score": _mean([Decimal(str(event.data["quality_score"])) for event in judged]),
    }
    found.failed["performance_exceptions"] = _ids(weak)
    by_model: defaultdict[str, list[_Event]] = defaultdict(list)
    for event in mine:
        if event.payload_type == "telemetry" and event.data.get("model_id"):
            by_model[event.data["model_id"]].append(event)
    evaluated = {model for model, events in by_model.items() if _of(events, "model_performance")}
    found.figures["monitored_models"] = {
        "events": sum(map(len, by_model.values())),
        "models": len(by_model),
        "evaluated": len(evaluated),
        "unevaluated": len(by_model) - len(evaluated),
    }
    found.failed["unevaluated_models"] = sorted(by_model.keys() - evaluated)


def _of_tables(
    found: Recount,
    traffic: Traffic,
    series: Mapping[int, tuple[str, str]],
    tenant: str,
    environment: str,
    security_events: int,
) -> None:
    costs = [
        row
        for row in traffic.costs
        if FROM <= row["day"] < TO and tenant in ("*", row["tenant"]) and environment in ("*", row["environment"])
    ]
    found.figures["costs"] = {
        **{name: sum(row[name] for row in costs) for name in ("requests", "unpriced_requests")},
        "reported_usd": sum(row["reported_usd"] for row in costs),
        "priced_usd": _sum_of([row["priced_usd"] for row in costs if row["priced_usd"] is not None]),
        "other_usd": sum(row["other_usd"] for row in costs),
    }
    found.failed["cost_exceptions"] = [f"{row['day']}/{row['model']}" for row in costs if row["unpriced_requests"]]

    def started(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [row for row in rows if START <= row["started_at"] < END and tenant in ("*", row["tenant"])]

    odd = [
        row
        for row in started(traffic.anomalies)
        if row["series_id"] in series
        and series[row["series_id"]][0] == "security"
        and environment in ("*", series[row["series_id"]][1])
    ]
    severe = [row for row in odd if row["impact"] in ("high", "critical")]
    found.figures["security_anomalies"] = {
        "anomalies": len(odd),
        "severe": len(severe),
        "security_events": security_events,
    }
    found.failed["anomaly_exceptions"] = [f"{row['anomaly_id']}" for row in severe]

    incidents = started(traffic.incidents)
    still = [row for row in incidents if row["is_open"]]
    grave = [row for row in still if row["severity"] in ("high", "critical")]
    found.figures["incidents"] = {"incidents": len(incidents), "open": len(still), "grave_open": len(grave)}
    found.failed["incident_exceptions"] = [f"{row['incident_id']}" for row in grave]
    _of_keys(found, [row for row in traffic.keys if tenant in ("*", row["tenant"])])
    _of_verdicts(found, traffic)


def _of_keys(found: Recount, keys: list[dict[str, Any]]) -> None:
    def until(name: str) -> Callable[[dict[str, Any]], bool]:
        return lambda row: row[name] is None or row[name] >= START

    usable = [row for row in keys if row["created_at"] < END and until("revoked_at")(row) and until("expires_at")(row)]
    endless = [row for row in usable if row["expires_at"] is None]
    new = [row for row in usable if row["created_at"] >= START]
    secret = [row for row in new if not row["is_audited"]]
    found.figures["api_keys"] = {
        "keys": len(usable),
        "endless": len(endless),
        "made": len(new),
        "unaudited": len(secret),
    }
    found.failed |= {
        "endless_key_exceptions": [row["key_id"] for row in endless],
        "unaudited_key_exceptions": [row["key_id"] for row in secret],
    }


def _of_verdicts(found: Recount, traffic: Traffic) -> None:
    latest: dict[str, tuple[datetime, bool, str]] = {}
    for checked_at, first, after, verdict in traffic.verdicts:
        if first < END and after >= START and checked_at >= latest.get(verdict.check_name, (checked_at,))[0]:
            latest[verdict.check_name] = (checked_at, verdict.passed, verdict.severity)
    failing = {name: severity for name, (_, passed, severity) in latest.items() if not passed}
    errors = [name for name, severity in failing.items() if severity == "error"]
    found.figures["quality_verdicts"] = {
        "rules": len(latest),
        "passing": len(latest) - len(failing),
        "failing": len(failing),
        "failing_errors": len(errors),
    }
    found.failed["quality_exceptions"] = [f"events/{name}" for name in errors]


def _of(events: list[_Event], subtype: str) -> list[_Event]:
    return [event for event in events if event.subtype == subtype]


def _ids(events: list[_Event]) -> list[str]:
    return [event.event_id for event in events]


def _sum_of(values: list[Decimal]) -> Decimal | None:
    return sum(values, Decimal(0)) if values else None


def _mean(values: list[Decimal]) -> Decimal | None:
    if not values:
        return None
    return (sum(values, Decimal(0)) / len(values)).quantize(Decimal("0.0001"), "ROUND_HALF_UP")
