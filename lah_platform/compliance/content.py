"""What a report says, as one JSON document: the same reading gives the same content, whenever it is made.

Belongs here: the content. Does not: how it looks (`documents/`), what changed since (`changes.py`), when and by whom it
was made (`detached.py`).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any, Final

from lah_platform.compliance.detached import ReportKey
from lah_platform.compliance.evidence import Evidence, Exceptions, Reading, Row, Scalar, Source
from lah_platform.compliance.evidence import exceptions_key as key_of_exceptions
from lah_platform.compliance.evidence import query_key as key_of_query
from lah_platform.compliance.framework import Control, Framework
from lah_platform.compliance.judgement import judge, rule_of

__all__ = ["ALL", "build_content"]

ALL: Final = "*"
_FORMAT: Final = "2"
_STATEMENT: Final = (
    "This report lists what is on record for the period and holds it to the thresholds stated with each control. "
    "It is evidence for an auditor's judgement: it does not say that a law or standard is complied with."
)
_LIMITS: Final = (
    "Events are counted by their own time, the ledger by the minute of landing: their totals differ by what came "
    "early or late.",
    "Each source is as it was when the report was read: the section on sources says how far it was filled. What "
    "arrives, is erased or is archived later is not in this revision.",
    "Windows marked suspect by a data-quality check are kept out of figures that come from rollups.",
    "Data-quality verdicts and the offsets of the log concern the whole hub, whatever the tenant and the environment; "
    "the ledger, dead letters, keys, incidents and the audit log are not divided by environment.",
    "Events tagged synthetic come from a model and are counted like all others.",
)
_GLOSSARY: Final = (
    ("pass", "The minimum evidence is there, and the number is within the threshold."),
    ("fail", "The minimum evidence is there, and the number is beyond the threshold. The exceptions say where."),
    ("not evidenced", "The minimum evidence is not there. It says nothing for or against the control."),
    ("exception", "A row that counts against the control. Lists are bounded; the total counts all."),
    (
        "revision",
        "The report of a period is made once. When a published figure changes, a new revision says which.",
    ),
    ("watermark", "The newest row that was counted: what came after it is not in the report."),
    ("suspect", "A window of a rollup that failed a blocking data-quality check."),
    ("chain head", "The newest entry of the hash-chained audit log when the report was read; in the detached file."),
)
_LINKS: Final = {
    "event": "/api/v1/events/{}",
    "incident": "/api/v1/incidents/{}",
}
_LISTS: Final = {
    "anomaly": "/api/v1/anomalies",
    "dead_letter": "/api/v1/dead-letters",
    "check": "/api/v1/checks",
    "api_key": "/api/v1/keys",
    "cost": "/api/v1/costs",
}


def build_content(
    framework: Framework, reading: Reading, key: ReportKey, *, summarized: Sequence[Framework] = ()
) -> dict[str, Any]:
    """The content of the first revision: JSON-serialisable, exact decimals and times (ISO 8601, UTC) as text.

    `summarized` are the frameworks whose outcomes this one sums up. Raises ConfigurationError as `judge` does, and
    ValueError for a period without days.
    """
    first, after = date.fromisoformat(key.period_from), date.fromisoformat(key.period_to)
    if first >= after:
        raise ValueError(f"[{first}, {after}) has no day")
    controls = [_control(control, reading) for control in framework.controls]
    tables = sorted({table for control in framework.controls for table in control.tables})
    return {
        "format": _FORMAT,
        "framework": {"id": framework.id, "title": framework.title, "standard": framework.standard},
        "scope": {
            "tenant": key.tenant,
            "environment": key.environment,
            "text": framework.scope,
        },
        "period": {
            "from": key.period_from,
            "to": key.period_to,
            "days": (after - first).days,
            "time_zone": "UTC",
        },
        "revision": 1,
        "supersedes": None,
        "changes": [],
        "schema_version": reading.schema_version,
        "statement": _STATEMENT,
        "limits": [*framework.limits, *_LIMITS],
        "summary": _counts(controls),
        "frameworks": [_outcome(each, reading) for each in summarized],
        "controls": controls,
        "sources": [_source(reading.sources[table]) for table in tables],
        "queries": _queries(framework.controls, reading),
        "glossary": [{"term": term, "meaning": meaning} for term, meaning in _GLOSSARY],
    }


def _counts(controls: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    counted = Counter(control["status"] for control in controls)
    return {"controls": len(controls), **{name: counted[name] for name in ("pass", "fail", "not_evidenced")}}


def _outcome(framework: Framework, reading: Reading) -> dict[str, Any]:
    controls = [_control(control, reading) for control in framework.controls]
    brief = ("id", "reference", "title", "status", "number", "rule", "owner")
    return {
        "id": framework.id,
        "title": framework.title,
        "summary": _counts(controls),
        "open": [{name: control[name] for name in brief} for control in controls if control["status"] != "pass"],
    }


def _control(control: Control, reading: Reading) -> dict[str, Any]:
    evidence = reading.evidence[key_of_query(control)]
    judged = judge(control, evidence)
    listed = key_of_exceptions(control)
    return {
        "id": control.id,
        "reference": control.reference,
        "title": control.title,
        "criterion": control.criterion,
        "owner": control.owner,
        "status": judged.status,
        "reason": judged.reason,
        "number": None if judged.number is None else format(judged.number, "f"),
        "unit": "%" if control.share_of else control.unit,
        "measure": control.measure,
        "share_of": control.share_of,
        "rule": rule_of(control),
        "threshold": {
            "direction": control.threshold.direction,
            "value": format(control.threshold.value, "f"),
        },
        "minimum_evidence": {
            "measure": control.minimum_evidence.measure,
            "at_least": control.minimum_evidence.at_least,
        },
        "figures": _plain_row(evidence.figures),
        "groups": _groups(evidence),
        "counted_rows": evidence.counted_rows,
        "watermark": evidence.watermark,
        "exceptions": None if listed is None else _exceptions(reading.exceptions[listed]),
        "query": key_of_query(control),
        "exceptions_query": listed,
        "tables": list(control.tables),
        "remediation": control.remediation,
        "not_covered": control.not_covered,
    }


def _groups(evidence: Evidence) -> dict[str, Any] | None:
    if not evidence.groups:
        return None
    return {
        "keys": list(evidence.keys),
        "columns": list(evidence.groups[0]),
        "rows": [[_plain(value) for value in group.values()] for group in evidence.groups],
        "is_cut": evidence.is_cut,
    }


def _exceptions(found: Exceptions) -> dict[str, Any]:
    rows = []
    for row in found.rows:
        kind, identity = str(row["kind"]), str(row["id"])
        link = _LINKS[kind].format(identity) if kind in _LINKS else _LISTS.get(kind)
        rows.append({**{name: _plain(row[name]) for name in ("at", "kind", "id", "tenant", "detail")}, "link": link})
    return {"total": found.total, "shown": len(rows), "rows": rows}


def _source(source: Source) -> dict[str, Any]:
    return {
        "table": source.table,
        "rows": source.rows,
        "watermark": source.watermark,
        "revision": source.revision,
        "suspect_windows": source.suspect_windows,
        "verdicts": [_plain_row(verdict) for verdict in source.verdicts],
        "sql": source.sql,
    }


def _queries(controls: Sequence[Control], reading: Reading) -> list[dict[str, Any]]:
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for control in controls:
        name = key_of_query(control)
        evidence = reading.evidence[name]
        entry = {"name": name, "gives": "figures", "description": evidence.description, "sql": evidence.sql}
        found.setdefault(("figures", name), entry | {"controls": []})["controls"].append(control.id)
        listed = key_of_exceptions(control)
        if listed is not None:
            rows = reading.exceptions[listed]
            entry = {"name": listed, "gives": "exceptions", "description": rows.description, "sql": rows.sql}
            found.setdefault(("exceptions", listed), entry | {"controls": []})["controls"].append(control.id)
    return list(found.values())


def _plain_row(row: Row) -> dict[str, str | int | bool | None]:
    return {name: _plain(value) for name, value in row.items()}


def _plain(value: Scalar) -> str | int | bool | None:
    return format(value, "f") if isinstance(value, Decimal) else value
