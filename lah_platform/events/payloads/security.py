"""Security payloads. Field names are fixed by the catalog."""

from typing import Literal

import msgspec

from lah_platform.events.payloads.quantities import Address, CvssScore, FreeText, PersonId


class Security(msgspec.Struct, tag_field="security_type", frozen=True, kw_only=True, gc=False):
    pass


class OtherThreat(msgspec.Struct, frozen=True, gc=False):
    other: str


ThreatType = Literal[
    "prompt_injection",
    "data_exfiltration",
    "model_poisoning",
    "denial_of_service",
    "unauthorized_access",
    "malicious_input",
]


class Threat(Security, tag="threat", frozen=True, kw_only=True):
    threat_id: str
    threat_type: ThreatType | OtherThreat
    threat_level: Literal["low", "medium", "high", "critical"]
    source_ip: Address | None = None
    target_resource: str
    attack_vector: FreeText
    mitigation_status: Literal["detected", "blocked", "mitigated", "investigating", "resolved"]
    indicators_of_compromise: list[FreeText]


class Vulnerability(Security, tag="vulnerability", frozen=True, kw_only=True):
    vulnerability_id: str
    cve_id: str | None = None
    severity_score: CvssScore
    affected_component: str
    description: FreeText
    remediation_status: Literal["identified", "patch_available", "patching", "patched", "accepted"]


class ComplianceViolation(Security, tag="compliance_violation", frozen=True, kw_only=True):
    violation_id: str
    regulation: str
    requirement: str
    violation_description: FreeText
    affected_data_types: list[str]
    remediation_required: bool


class Auth(Security, tag="auth", frozen=True, kw_only=True):
    user_id: PersonId
    action: Literal["login", "logout", "access_attempt", "permission_denied", "token_generated", "token_revoked"]
    resource: str
    success: bool
    failure_reason: FreeText | None = None


class Privacy(Security, tag="privacy", frozen=True, kw_only=True):
    data_type: str
    operation: Literal["data_access", "data_collection", "data_sharing", "data_deletion", "consent_update"]
    user_consent: bool
    data_subjects: list[PersonId]
    purpose: str


SecurityData = Threat | Vulnerability | ComplianceViolation | Auth | Privacy
