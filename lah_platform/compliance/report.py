"""The compliance evidence report: from counted evidence to one JSON document and one HTML page.

Belongs here: what the report says and how it is laid out. Does not: reading the evidence or keeping the report
(`stores/reports.py`), what kinds there are (`evidence`), which controls they speak to (`controls`).
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from lah_platform.compliance.controls import CONTROLS, FINDINGS, Control, status
from lah_platform.compliance.evidence import EVIDENCE, Evidence, Kind, Scalar

__all__ = ["ALL_TENANTS", "NAME", "Report", "ReportInputs", "build_report", "content_sha256", "is_unaltered"]

NAME = "compliance_evidence"
FORMAT = "1"
ALL_TENANTS = "*"

_STATEMENT = (
    "This report lists what is on record for the period, and where each number comes from. It is evidence for an "
    "auditor's judgement; it does not say that any control, law or standard is complied with."
)
_LIMITS = (
    "Only what producers sent to this hub is counted; systems that send nothing are absent, not compliant.",
    "Events are counted by their own time, the ledger by the minute of landing: their totals differ by what arrived "
    "early or late.",
    "Events that arrive, are erased or are archived later are not in this report; the watermark of each source says "
    "up to which row it counted.",
    "Events tagged synthetic come from a model and are counted like all others.",
    "Data-quality verdicts concern the whole hub, whatever the tenant.",
)


@dataclass(frozen=True)
class ReportInputs:
    """Evidence of UTC days [period_from, period_to) of one tenant (ALL_TENANTS: of all), read in one snapshot.

    `evidence` has every kind of EVIDENCE; `schema_version` names the newest migration.
    """

    tenant: str
    period_from: date
    period_to: date
    schema_version: str
    evidence: Mapping[str, Evidence]


@dataclass(frozen=True)
class Report:
    """`content` is JSON-serialisable with decimals as text; `html` is self-contained and shows content_sha256;
    `sha256` is that of `html` in UTF-8, hexadecimal. So each vouches for the next."""

    content: Mapping[str, Any]
    html: str
    sha256: str


def build_report(inputs: ReportInputs, *, generated_at: datetime) -> Report:
    """The report of `inputs`; the same inputs and time give the same bytes.

    Raises ValueError for a period without days, a time without zone, or missing evidence.
    """
    if inputs.period_from >= inputs.period_to:
        raise ValueError(f"[{inputs.period_from}, {inputs.period_to}) has no day")
    if generated_at.utcoffset() is None:
        raise ValueError(f"generated_at {generated_at} has no time zone")
    if inputs.evidence.keys() != EVIDENCE.keys():
        raise ValueError(f"evidence differs in {sorted(inputs.evidence.keys() ^ EVIDENCE.keys())}")
    content = _content(inputs, generated_at.astimezone(UTC))
    html = _template().render(report=content, content_sha256=content_sha256(content))
    return Report(content, html, hashlib.sha256(html.encode()).hexdigest())


def content_sha256(content: Mapping[str, Any]) -> str:
    """SHA-256 of the content as JSON in UTF-8 with sorted keys and no spaces, hexadecimal."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def is_unaltered(report: Report) -> bool:
    """Whether HTML and content are still those that were generated."""
    is_same_html = hashlib.sha256(report.html.encode()).hexdigest() == report.sha256
    return is_same_html and content_sha256(report.content) in report.html


def _content(inputs: ReportInputs, generated_at: datetime) -> dict[str, Any]:
    evidence = inputs.evidence
    return {
        "name": NAME,
        "format": FORMAT,
        "tenant": inputs.tenant,
        "period": {
            "from": inputs.period_from.isoformat(),
            "to": inputs.period_to.isoformat(),
            "days": (inputs.period_to - inputs.period_from).days,
            "time_zone": "UTC",
        },
        "generated_at": generated_at.isoformat(),
        "schema_version": inputs.schema_version,
        "statement": _STATEMENT,
        "limits": list(_LIMITS),
        "balance": _balance(evidence["ledger"]),
        "figures": _figures(evidence),
        "controls": [_control(control, evidence) for control in CONTROLS],
        "sections": [_section(kind, evidence[kind.name]) for kind in EVIDENCE.values()],
        "sources": [_source(kind, evidence[kind.name]) for kind in EVIDENCE.values()],
    }


def _source_id(kind: str) -> str:
    return f"S{list(EVIDENCE).index(kind) + 1}"


def _source(kind: Kind, evidence: Evidence) -> dict[str, Any]:
    return {
        "id": _source_id(kind.name),
        "query": f"reports.{kind.name}",
        "tables": list(kind.tables),
        "counted": kind.counted,
        "rows": evidence.counted_rows,
        "watermark": evidence.watermark.astimezone(UTC).isoformat() if evidence.watermark else None,
        "sql": evidence.sql,
    }


def _section(kind: Kind, evidence: Evidence) -> dict[str, Any]:
    return {
        "id": kind.name,
        "title": kind.title,
        "source": _source_id(kind.name),
        "columns": list(kind.columns),
        "keys": len(kind.keys) + len(kind.details),
        "groups": [{column: group[column] for column in kind.columns} for group in evidence.groups],
        "total": {measure: evidence.total[measure] for measure in kind.measures},
        "is_cut": evidence.is_cut,
    }


def _balance(ledger: Evidence) -> dict[str, Any]:
    parts = {name: _count(ledger.total[name]) for name in EVIDENCE["ledger"].measures}
    difference = parts["received"] - parts["stored"] - parts["duplicate"] - parts["dead_lettered"]
    return {**parts, "difference": difference, "is_balanced": difference == 0, "source": _source_id("ledger")}


def _figures(evidence: Mapping[str, Evidence]) -> list[dict[str, Any]]:
    """The numbers to read first: each with its source, and with what it is a part of where it is one."""
    return [
        _figure(evidence, "Records received", "ledger", "received"),
        _figure(evidence, "Security events", "security_events", "events"),
        _figure(evidence, "Failed authentications", "authentication", "failed", "events"),
        _figure(evidence, "Operations without consent", "privacy_operations", "without_consent", "events"),
        _figure(
            evidence, "Policy violations remediated automatically", "policy_violations", "auto_remediated", "events"
        ),
        _figure(evidence, "Compliance checks passed", "compliance_checks", "passed", "events"),
        _figure(evidence, "Data-quality rules passing", "quality_verdicts", "passing", "rules"),
        _figure(evidence, "Cost reported, USD rounded", "costs", "reported_usd"),
        _figure(evidence, "Cost by the price book, USD rounded", "costs", "priced_usd"),
    ]


def _figure(
    evidence: Mapping[str, Evidence], label: str, kind: str, measure: str, whole: str | None = None
) -> dict[str, Any]:
    total = evidence[kind].total
    figure = {"label": label, "value": total[measure], "source": _source_id(kind), "measure": measure}
    if whole is None:
        return figure
    of = _count(total[whole])
    share = Decimal(_count(total[measure])) / of if of else None
    return figure | {"of": of, "share": None if share is None else str(share.quantize(Decimal("0.0001")))}


def _control(control: Control, evidence: Mapping[str, Evidence]) -> dict[str, Any]:
    findings = [
        {"text": FINDINGS[name].text, "count": count, "source": _source_id(FINDINGS[name].kind)}
        for name in control.findings
        if (count := FINDINGS[name].count(evidence))
    ]
    return {
        "framework": control.framework,
        "control": control.control_id,
        "title": control.title,
        "status": status(control, evidence, bool(findings)),
        "evidence": [
            {"section": kind, "source": _source_id(kind), "rows": evidence[kind].counted_rows} for kind in control.kinds
        ],
        "findings": findings,
        "not_covered": control.not_covered,
    }


def _count(value: Scalar) -> int:
    if not isinstance(value, int):
        raise TypeError(f"{value!r} is no count")
    return value


@cache
def _template() -> Any:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(number=_number, cents=_cents, percent=_percent, moment=_moment)
    environment.filters.update(text=_text, words=_words, breakable=_breakable)
    return environment.get_template("compliance_evidence.html.j2")


def _number(value: Scalar) -> str:
    """Counts and exact decimals with separators, at least two digits of money; a dash for what is not known."""
    if value is None:
        return "\N{EN DASH}"
    if isinstance(value, int):
        return f"{value:,}"
    whole, _, decimals = f"{Decimal(value):,f}".partition(".")
    return f"{whole}.{decimals.rstrip('0').ljust(2, '0')}"


def _cents(value: str | None) -> str:
    return "\N{EN DASH}" if value is None else f"{Decimal(value):,.2f}"


def _breakable(value: Scalar) -> Markup:
    return escape(_text(value)).replace("_", Markup("_<wbr>"))


def _text(value: Scalar) -> str:
    return "\N{EN DASH}" if value is None else str(value)


def _words(name: str) -> str:
    return name.replace("_usd", ", USD").replace("_", " ")


def _percent(share: str) -> str:
    return f"{Decimal(share) * 100:.2f} %"


def _moment(iso: str | None) -> str:
    return datetime.fromisoformat(iso).strftime("%Y-%m-%d %H:%M:%S UTC") if iso else "no rows"
