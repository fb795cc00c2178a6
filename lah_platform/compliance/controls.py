"""Which evidence speaks to which control. A control is never "met" here: that is the auditor's judgement.

Sources: AICPA Trust Services Criteria 2017 (points of focus revised 2022), Regulation (EU) 2016/679 (GDPR), 45 CFR
Part 164 Subpart C (HIPAA Security Rule). Titles are shortened.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from lah_platform.compliance.evidence import Evidence

__all__ = ["CONTROLS", "FINDINGS", "Control", "Finding", "Status", "status"]

Status = Literal["finding", "evidence present", "no evidence in period"]


@dataclass(frozen=True)
class Finding:
    """Something an auditor has to follow up: `measure` of the evidence `kind` is above zero."""

    kind: str
    measure: str
    text: str

    def count(self, evidence: Mapping[str, Evidence]) -> int:
        value = evidence[self.kind].total[self.measure]
        if not isinstance(value, int):
            raise TypeError(f"{self.kind}.{self.measure} is no count: {value!r}")
        return value


@dataclass(frozen=True)
class Control:
    """One control, the kinds of evidence that speak to it, the findings that do, and what they leave open."""

    framework: str
    control_id: str
    title: str
    kinds: tuple[str, ...]
    findings: tuple[str, ...]
    not_covered: str


FINDINGS: Mapping[str, Finding] = {
    "refused": Finding("dead_letters", "pending", "refused records are not stored"),
    "critical": Finding("security_events", "critical", "security events of critical severity"),
    "no_consent": Finding("privacy_operations", "without_consent", "operations on personal data without consent"),
    "regulation": Finding(
        "compliance_violations", "remediation_required", "reported violations that require remediation"
    ),
    "policy": Finding(
        "policy_violations", "not_remediated", "policy violations that were not remediated automatically"
    ),
    "failed_checks": Finding("compliance_checks", "failed", "failed compliance checks"),
    "failing_controls": Finding("failing_controls", "findings", "findings of failing controls"),
    "quality": Finding("quality_verdicts", "failing_errors", "data-quality rules of severity error that fail"),
    "anomalies": Finding("security_anomalies", "severe", "security anomalies of high or critical impact"),
    "incidents": Finding(
        "security_correlations", "correlations", "correlated security incidents or compliance cascades"
    ),
}

_SOC2 = "SOC 2 (TSC 2017)"
_GDPR = "GDPR"
_HIPAA = "HIPAA Security Rule"

CONTROLS = (
    Control(
        _SOC2,
        "CC2.1",
        "Relevant, quality information",
        ("ledger", "dead_letters", "quality_verdicts"),
        ("refused", "quality"),
        "whether producers send everything that happens; information outside this hub",
    ),
    Control(
        _SOC2,
        "CC4.1",
        "Ongoing and separate evaluations",
        ("compliance_checks", "failing_controls", "quality_verdicts"),
        ("failed_checks", "failing_controls", "quality"),
        "how checks are chosen, and evaluations made by people",
    ),
    Control(
        _SOC2,
        "CC6.1",
        "Logical access security",
        ("authentication", "audit_log"),
        (),
        "how access rights are designed; systems that send no auth events",
    ),
    Control(
        _SOC2,
        "CC7.2",
        "Monitoring for anomalies",
        ("security_events", "security_anomalies"),
        ("critical", "anomalies"),
        "systems that send no security events; whether anyone looked",
    ),
    Control(
        _SOC2,
        "CC7.3",
        "Evaluation of security events",
        ("security_events", "security_correlations"),
        ("critical", "incidents"),
        "the evaluation itself and its decisions",
    ),
    Control(
        _SOC2,
        "CC7.4",
        "Response to incidents",
        ("policy_violations",),
        ("policy",),
        "responses by people; whether an automatic remediation worked",
    ),
    Control(
        _SOC2,
        "CC8.1",
        "Change management",
        ("audit_trail", "audit_log"),
        (),
        "approval and testing of changes",
    ),
    Control(
        _GDPR,
        "Art. 5(2)",
        "Accountability",
        ("audit_log", "audit_trail", "privacy_operations"),
        (),
        "the records of the controller outside this hub",
    ),
    Control(
        _GDPR,
        "Art. 7(1)",
        "Demonstrable consent",
        ("privacy_operations",),
        ("no_consent",),
        "the wording and withdrawal of consent; operations that rest on another legal basis (Art. 6) show as findings",
    ),
    Control(
        _GDPR,
        "Art. 30",
        "Records of processing activities",
        ("privacy_operations",),
        (),
        "purposes, recipients, retention and transfers as the article lists them",
    ),
    Control(
        _GDPR,
        "Art. 32(1)(d)",
        "Regular testing of security measures",
        ("compliance_checks", "security_events"),
        ("failed_checks",),
        "whether the tests are sufficient for the risk",
    ),
    Control(
        _GDPR,
        "Art. 33(5)",
        "Documentation of personal data breaches",
        ("compliance_violations", "security_correlations"),
        ("regulation",),
        "whether an event is a personal data breach, its notification and its deadlines",
    ),
    Control(
        _HIPAA,
        "164.308(a)(1)(ii)(D)",
        "Information system activity review",
        ("security_events", "audit_trail", "audit_log"),
        ("critical",),
        "that someone reviewed these records",
    ),
    Control(
        _HIPAA,
        "164.308(a)(5)(ii)(C)",
        "Log-in monitoring",
        ("authentication",),
        (),
        "systems that send no auth events; the reporting of discrepancies",
    ),
    Control(
        _HIPAA,
        "164.308(a)(6)(ii)",
        "Response and reporting of incidents",
        ("security_correlations", "compliance_violations"),
        ("incidents", "regulation"),
        "mitigation and documentation by people",
    ),
    Control(
        _HIPAA,
        "164.312(b)",
        "Audit controls",
        ("audit_trail", "audit_log", "ledger"),
        (),
        "systems that hold protected health information and send no audit trail",
    ),
    Control(
        _HIPAA,
        "164.312(c)(1)",
        "Integrity",
        ("ledger", "quality_verdicts"),
        ("quality",),
        "protected health information outside this hub",
    ),
)


def status(control: Control, evidence: Mapping[str, Evidence], has_finding: bool) -> Status:
    """A finding outweighs evidence; evidence is at least one row of a kind that speaks to the control."""
    if has_finding:
        return "finding"
    is_present = any(evidence[kind].counted_rows for kind in control.kinds)
    return "evidence present" if is_present else "no evidence in period"
