"""Events that follow from one another: each names the one before as its parent, all share a correlation id."""

from collections.abc import Mapping

from lah_platform.replay.scene import Scene
from lah_platform.replay.wire import Draft, Source, draft

__all__ = ["Chain"]

_SEVERITY = {"low": "info", "medium": "warning", "high": "error", "critical": "critical"}


class Chain:
    """A chain of synthetic events of one tenant. The first event's time is absolute (microseconds since 1970 UTC),
    every further one's is the delay after the event before. `name` is unique within a run: ids derive from it."""

    def __init__(self, scene: Scene, source: Source, name: str, tags: Mapping[str, str] | None = None) -> None:
        self.events: list[Draft] = []
        self._scene = scene
        self._source = source
        self._name = name
        self._tags = tags

    def add(
        self,
        at_us: int,
        kind: str,
        data: dict[str, object],
        *,
        module: str | None = None,
        event_type: str | None = None,
        severity: str = "info",
    ) -> None:
        """Append any event; `kind` is "payload_type/subtype", `module` who saw it when not the chain's source."""
        before = self.events[-1] if self.events else None
        source = self._source if module is None else self._source._replace(module=module)
        event = draft(
            source,
            at_us if before is None else before.at_us + at_us,
            self.new_id(f"{len(self.events)} {kind}"),
            kind,
            data,
            event_type=event_type,
            severity=severity,
            correlation_id=self.new_id("correlation"),
            parent_event_id=None if before is None else str(before.envelope["event_id"]),
            tags=self._tags,
        )
        self.events.append(event)

    def new_id(self, role: str) -> str:
        """An id of this chain for whatever the payload has to name."""
        return self._scene.identity.uuid("synthetic", self._name, role)

    def threat(self, at_us: int, threat_type: str, level: str, address: str, target: str, vector: str) -> None:
        data: dict[str, object] = {
            "threat_id": self.new_id("threat"),
            "threat_type": threat_type,
            "threat_level": level,
            "source_ip": address,
            "target_resource": target,
            "attack_vector": vector,
            "mitigation_status": "blocked" if level in {"low", "medium", "high"} else "investigating",
            "indicators_of_compromise": [address],
        }
        self.add(at_us, "security/threat", data, severity=_SEVERITY[level])

    def compliance_violation(self, at_us: int, regulation: str, requirement: str, description: str) -> None:
        data: dict[str, object] = {
            "violation_id": self.new_id("violation"),
            "regulation": regulation,
            "requirement": requirement,
            "violation_description": description,
            "affected_data_types": ["conversation"],
            "remediation_required": True,
        }
        self.add(at_us, "security/compliance_violation", data, severity="error")

    def policy_violation(self, at_us: int, policy_id: str, description: str, resource: str) -> None:
        data: dict[str, object] = {
            "policy_id": policy_id,
            "policy_name": policy_id.replace("-", " ").capitalize(),
            "violation_description": description,
            "violated_rules": [f"{policy_id}/1"],
            "resource_id": resource,
            "severity": "high",
            "auto_remediated": True,
        }
        self.add(at_us, "governance/policy_violation", data, module="llm-policy-engine", severity="warning")

    def compliance_check(self, at_us: int, framework: str, statuses: Mapping[str, str]) -> None:
        """`statuses`: control id -> pass, fail, not_applicable or manual; the score is the share that passed."""
        passed = sum(status == "pass" for status in statuses.values())
        data: dict[str, object] = {
            "check_id": self.new_id("check"),
            "framework": framework,
            "controls_checked": list(statuses),
            "passed": "fail" not in statuses.values(),
            "findings": [
                {"control_id": control, "status": status, "description": f"Automated check of {control}"}
                for control, status in statuses.items()
            ],
            "score": round(passed / len(statuses), 4),
        }
        severity = "info" if data["passed"] else "error"
        self.add(at_us, "governance/compliance_check", data, module="llm-governance-dashboard", severity=severity)

    def audit(self, at_us: int, action: str, resource: str) -> None:
        data: dict[str, object] = {
            "action": action,
            "actor": "policy-engine",
            "resource_type": "service",
            "resource_id": resource,
            "changes": {"handled": True},
        }
        self.add(at_us, "governance/audit_trail", data, module="llm-governance-dashboard", event_type="audit")
