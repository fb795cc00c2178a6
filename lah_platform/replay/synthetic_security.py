"""Security events, which no trace holds: logins, threats, privacy, vulnerabilities, violations. Seeded.

Two scenarios are causal chains through parent_event_id with one correlation id each. "prompt-injection-campaign":
24 threats within 40 minutes, each followed by the policy violation it was and the audit record of its handling.
"data-exfiltration": threat, compliance violation, policy violation, failed compliance check, audit record.
Addresses are of the blocks reserved for documentation (RFC 5737); nobody is named.
"""

import numpy as np

from lah_platform.replay.chains import Chain
from lah_platform.replay.scene import DAY_US, MINUTE_US, SECOND_US, Scene, synthetic
from lah_platform.replay.thinning import Unit
from lah_platform.replay.wire import Source

__all__ = ["security_units"]

_TENANTS = ("acme", "globex")
_LOGINS_PER_HOUR = 4.0
_THREATS_PER_HOUR = 0.3
_PRIVACY_PER_HOUR = 0.5
_FAILED_LOGINS = 0.06
_CAMPAIGN_HOURS, _CAMPAIGN_THREATS, _CAMPAIGN_MINUTES = 50.0, 24, 40
_EXFILTRATION_HOURS = 30.0
_THREATS = {
    "prompt_injection": "instructions hidden in a pasted document",
    "malicious_input": "script in a form field",
    "unauthorized_access": "token of a revoked session",
    "denial_of_service": "many long prompts from one client",
    "model_poisoning": "repeated false feedback on one topic",
}


def security_units(scene: Scene) -> list[Unit]:
    """auth, threat, privacy, vulnerability and compliance_violation events and the chains that follow threats."""
    units = [_campaign(scene), _exfiltration(scene)]
    for tenant in _TENANTS:
        source = synthetic(
            "llm-sentinel", tenant=tenant, region="eu-west", service="gateway", team="security", version="4.2.0"
        )
        units += _logins(scene, tenant, source) + _threats(scene, tenant, source) + _privacy(scene, tenant, source)
        units += _vulnerabilities(scene, tenant, source) + _violations(scene, tenant, source)
    return units


def _campaign(scene: Scene) -> Unit:
    source = synthetic(
        "llm-sentinel", tenant="acme", region="us-east", service="chat-api", team="security", version="4.2.0"
    )
    rng = scene.rng("campaign")
    start_us = scene.hours_before_end_us(_CAMPAIGN_HOURS)
    offsets = np.sort(rng.integers(0, _CAMPAIGN_MINUTES * MINUTE_US, _CAMPAIGN_THREATS)).tolist()
    scenario = {"scenario": "prompt-injection-campaign"}
    events = []
    for number, offset_us in enumerate(offsets):
        chain = Chain(scene, source, f"campaign {number}", scenario)
        address = f"203.0.113.{number % 3 + 10}"
        chain.threat(
            start_us + offset_us, "prompt_injection", "high", address, "chat-api", _THREATS["prompt_injection"]
        )
        chain.policy_violation(2 * SECOND_US, "prompt-safety", "Prompt overrides the system instructions", "chat-api")
        chain.audit(3 * SECOND_US, "block_request", "chat-api")
        events += chain.events
    return Unit("campaign", events, is_kept=True)


def _exfiltration(scene: Scene) -> Unit:
    source = synthetic(
        "llm-sentinel", tenant="globex", region="eu-west", service="document-search", team="security", version="4.2.0"
    )
    chain = Chain(scene, source, "exfiltration", {"scenario": "data-exfiltration"})
    start_us = scene.hours_before_end_us(_EXFILTRATION_HOURS)
    chain.threat(
        start_us, "data_exfiltration", "critical", "198.51.100.23", "document-search", "bulk retrieval of contracts"
    )
    chain.compliance_violation(40 * SECOND_US, "GDPR", "Art. 32", "Contracts left the region of processing")
    chain.policy_violation(20 * SECOND_US, "data-residency", "Documents were sent outside the EU", "document-search")
    chain.compliance_check(5 * MINUTE_US, "GDPR", {"Art. 32": "fail", "Art. 33": "manual", "Art. 30": "pass"})
    chain.audit(10 * MINUTE_US, "revoke_export_permission", "document-search")
    return Unit("exfiltration", chain.events, is_kept=True)


def _logins(scene: Scene, tenant: str, source: Source) -> list[Unit]:
    rng = scene.rng(f"logins {tenant}")
    units = []
    for number, at_us in enumerate(scene.moments(f"logins {tenant}", _LOGINS_PER_HOUR)):
        is_refused = rng.random() < _FAILED_LOGINS
        action = "permission_denied" if is_refused else ("login", "logout", "token_generated")[int(rng.integers(3))]
        data: dict[str, object] = {
            "user_id": f"user-{int(rng.integers(1, 60)):03d}",
            "action": action,
            "resource": "console",
            "success": not is_refused,
        }
        if is_refused:
            data["failure_reason"] = "role does not include the resource"
        chain = Chain(scene, source, f"login {tenant} {number}")
        chain.add(at_us, "security/auth", data, severity="warning" if is_refused else "info")
        units.append(Unit(f"logins {tenant}", chain.events))
    return units


def _threats(scene: Scene, tenant: str, source: Source) -> list[Unit]:
    rng = scene.rng(f"threats {tenant}")
    units = []
    for number, at_us in enumerate(scene.moments(f"threats {tenant}", _THREATS_PER_HOUR)):
        threat_type = list(_THREATS)[int(rng.integers(len(_THREATS)))]
        level = ("low", "low", "medium")[int(rng.integers(3))]
        address = f"198.51.100.{int(rng.integers(30, 250))}"
        chain = Chain(scene, source, f"threat {tenant} {number}")
        at_us = min(at_us, scene.end_us - MINUTE_US)  # what follows from it must not lie in the future
        chain.threat(at_us, threat_type, level, address, "gateway", _THREATS[threat_type])
        if rng.random() < 0.4:
            chain.policy_violation(2 * SECOND_US, "acceptable-use", "Input refused by the gateway's rules", "gateway")
            chain.audit(5 * SECOND_US, "refuse_request", "gateway")
        units.append(Unit(f"threats {tenant}", chain.events))
    return units


def _privacy(scene: Scene, tenant: str, source: Source) -> list[Unit]:
    rng = scene.rng(f"privacy {tenant}")
    operations = ("data_access", "data_access", "data_collection", "data_sharing", "data_deletion", "consent_update")
    units = []
    for number, at_us in enumerate(scene.moments(f"privacy {tenant}", _PRIVACY_PER_HOUR)):
        data: dict[str, object] = {
            "data_type": ("conversation", "email", "account")[int(rng.integers(3))],
            "operation": operations[int(rng.integers(len(operations)))],
            "user_consent": bool(rng.random() < 0.97),
            "data_subjects": [f"subject-{int(rng.integers(1, 500)):04d}"],
            "purpose": ("support", "quality", "billing")[int(rng.integers(3))],
        }
        chain = Chain(scene, source, f"privacy {tenant} {number}")
        chain.add(at_us, "security/privacy", data, severity="info" if data["user_consent"] else "warning")
        units.append(Unit(f"privacy {tenant}", chain.events))
    return units


def _vulnerabilities(scene: Scene, tenant: str, source: Source) -> list[Unit]:
    rng = scene.rng(f"vulnerabilities {tenant}")
    statuses = ("identified", "patch_available", "patching", "patched", "accepted")
    units = []
    for number, day_us in enumerate(range(scene.start_us, scene.end_us, DAY_US)):
        score = round(float(rng.uniform(2.0, 9.5)), 1)
        data: dict[str, object] = {
            "vulnerability_id": f"{tenant}-vuln-{number:03d}",
            "severity_score": score,
            "affected_component": ("tokenizer", "gateway", "vector-store")[int(rng.integers(3))],
            "description": "Reported by the nightly dependency scan",
            "remediation_status": statuses[int(rng.integers(len(statuses)))],
        }
        chain = Chain(scene, source, f"vulnerability {tenant} {number}")
        at_us = day_us + int(rng.integers(0, DAY_US))
        chain.add(at_us, "security/vulnerability", data, severity="error" if score >= 7.0 else "warning")
        units.append(Unit(f"vulnerabilities {tenant}", chain.events))
    return units


def _violations(scene: Scene, tenant: str, source: Source) -> list[Unit]:
    rng = scene.rng(f"violations {tenant}")
    requirements = (("HIPAA", "164.312(b)"), ("SOC2", "CC7.2"), ("GDPR", "Art. 5(1)(e)"))
    units = []
    for number, day_us in enumerate(range(scene.start_us, scene.end_us, 2 * DAY_US)):
        chain = Chain(scene, source, f"violation {tenant} {number}")
        regulation, requirement = requirements[int(rng.integers(len(requirements)))]
        at_us = day_us + int(rng.integers(0, 2 * DAY_US - MINUTE_US))
        chain.compliance_violation(at_us, regulation, requirement, "Log retention shorter than required")
        chain.audit(30 * SECOND_US, "open_ticket", "gateway")
        units.append(Unit(f"violations {tenant}", chain.events))
    return units
