"""Governance payloads. Field names are fixed by the catalog."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from lah_platform.events.payloads.quantities import Address, FreeText, Number, PersonId


class Governance(msgspec.Struct, tag_field="governance_type", frozen=True, kw_only=True, gc=False):
    pass


class PolicyViolation(Governance, tag="policy_violation", frozen=True, kw_only=True):
    policy_id: str
    policy_name: str
    violation_description: FreeText
    violated_rules: list[str]
    resource_id: str
    user_id: PersonId | None = None
    severity: Literal["low", "medium", "high", "critical"]
    auto_remediated: bool


class AuditTrail(Governance, tag="audit_trail", frozen=True, kw_only=True):
    action: str
    actor: PersonId
    resource_type: str
    resource_id: str
    changes: Annotated[dict[str, Any], Meta(extra_json_schema={"x-personal": "text"})]
    ip_address: Address | None = None
    user_agent: Address | None = None


class Finding(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    control_id: str
    status: Literal["pass", "fail", "not_applicable", "manual"]
    description: FreeText
    evidence: FreeText | None = None


class ComplianceCheck(Governance, tag="compliance_check", frozen=True, kw_only=True):
    check_id: str
    framework: str
    controls_checked: list[str]
    passed: bool
    findings: list[Finding]
    score: Number


class DataLineage(Governance, tag="data_lineage", frozen=True, kw_only=True):
    data_asset_id: str
    operation: Literal["create", "read", "update", "delete", "transform", "aggregate"]
    source: str | None = None
    destination: str | None = None
    transformation: str | None = None
    lineage_path: list[str]


GovernanceData = PolicyViolation | AuditTrail | ComplianceCheck | DataLineage
