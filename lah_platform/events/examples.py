"""One valid event per subtype: for the published documentation and for tests. Nothing in production reads these."""

from typing import Any
from uuid import NAMESPACE_URL, uuid5

from lah_platform.events.nested import LATENCY_ALIAS, LATENCY_FIELD
from lah_platform.events.payloads import CUSTOM, PAYLOAD_TYPE_OF, TAG_FIELD

EXAMPLE_TIMESTAMP = "2026-01-31T08:00:00.250000Z"

_MODEL = {"model_id": "gpt-4o"}
_REQUEST = {**_MODEL, "request_id": "req-7f3a"}
_TOKENS = {"prompt_tokens": 1200, "completion_tokens": 340, "total_tokens": 1540}

EXAMPLE_DATA: dict[str, dict[str, Any]] = {
    "latency": {
        **_REQUEST,
        "total_latency_ms": 234.5,
        "ttft_ms": 81.25,
        "tokens_per_second": 42.0,
        "breakdown": {
            "queue_time_ms": 12.5,
            "processing_time_ms": 200.0,
            "network_time_ms": 20.0,
            "other_ms": 2.0,
        },
    },
    "throughput": {
        **_MODEL,
        "requests_per_second": 12.5,
        "tokens_per_second": 4200.0,
        "concurrent_requests": 31,
        "window_duration_seconds": 60,
    },
    "error_rate": {
        **_MODEL,
        "total_requests": 750,
        "failed_requests": 15,
        "error_rate_percent": 2.0,
        "error_breakdown": {"timeout": 9, "rate_limited": 6},
        "window_duration_seconds": 60,
    },
    "token_usage": {
        **_REQUEST,
        **_TOKENS,
        "input_cache_read_tokens": 1024,
        "output_reasoning_tokens": 128,
        "token_derivation": "inclusive",
    },
    "model_performance": {
        **_MODEL,
        "accuracy": 0.93,
        "quality_score": 0.88,
        "user_satisfaction": 4.5,
        "custom_metrics": {"groundedness": 0.91},
    },
    "threat": {
        "threat_id": "thr-1",
        "threat_type": "prompt_injection",
        "threat_level": "high",
        "source_ip": "203.0.113.7",
        "target_resource": "chat-api",
        "attack_vector": "user message",
        "mitigation_status": "blocked",
        "indicators_of_compromise": ["ignore previous instructions"],
    },
    "vulnerability": {
        "vulnerability_id": "vul-1",
        "cve_id": "CVE-2026-0001",
        "severity_score": 7.5,
        "affected_component": "tokenizer",
        "description": "Crafted input exhausts memory.",
        "remediation_status": "patch_available",
    },
    "compliance_violation": {
        "violation_id": "cv-1",
        "regulation": "GDPR",
        "requirement": "Art. 5(1)(e)",
        "violation_description": "Prompts kept longer than stated.",
        "affected_data_types": ["prompt"],
        "remediation_required": True,
    },
    "auth": {
        "user_id": "u-17",
        "action": "permission_denied",
        "resource": "model/gpt-4o",
        "success": False,
        "failure_reason": "role viewer may not call this model",
    },
    "privacy": {
        "data_type": "email",
        "operation": "data_access",
        "user_consent": True,
        "data_subjects": ["customer-9"],
        "purpose": "support",
    },
    "token_cost": {
        **_REQUEST,
        **_TOKENS,
        "cost_per_prompt_token": 0.0000025,
        "cost_per_completion_token": 0.00001,
        "total_cost_usd": 0.0064,
        "currency": "USD",
    },
    "api_cost": {
        "provider": "openai",
        "api_endpoint": "/v1/chat/completions",
        "request_count": 750,
        "cost_per_request": 0.002,
        "total_cost_usd": 1.5,
        "billing_period": "2026-01",
    },
    "resource_consumption": {
        "resource_type": "gpu",
        "resource_id": "a100-3",
        "quantity": 1.5,
        "unit": "hours",
        "cost_usd": 4.65,
        "utilization_percent": 71.5,
    },
    "budget_alert": {
        "budget_id": "b-search",
        "budget_name": "Search team, January",
        "budget_limit_usd": 5000,
        "current_spend_usd": 4510.25,
        "threshold_percent": 90,
        "alert_type": "warning",
    },
    "policy_violation": {
        "policy_id": "pol-3",
        "policy_name": "No customer data in prompts",
        "violation_description": "An e-mail address was sent.",
        "violated_rules": ["pii.email"],
        "resource_id": "req-7f3a",
        "user_id": "u-17",
        "severity": "medium",
        "auto_remediated": True,
    },
    "audit_trail": {
        "action": "policy.update",
        "actor": "u-1",
        "resource_type": "policy",
        "resource_id": "pol-3",
        "changes": {"enabled": {"from": False, "to": True}, "version": 4},
        "ip_address": "198.51.100.4",
        "user_agent": "console/2.1",
    },
    "compliance_check": {
        "check_id": "chk-8",
        "framework": "SOC 2",
        "controls_checked": ["CC6.1", "CC7.2"],
        "passed": False,
        "findings": [
            {"control_id": "CC6.1", "status": "pass", "description": "Keys are rotated."},
            {"control_id": "CC7.2", "status": "fail", "description": "No alert on drift.", "evidence": "run 512"},
        ],
        "score": 50.0,
    },
    "data_lineage": {
        "data_asset_id": "ds-4",
        "operation": "transform",
        "source": "raw_prompts",
        "destination": "clean_prompts",
        "transformation": "redact",
        "lineage_path": ["raw_prompts", "clean_prompts"],
    },
    CUSTOM: {"custom_type": "shadow_ai_scan", "data": {"hosts": 12, "findings": ["unsanctioned model"]}},
}
"""subtype -> the payload's own fields, without the tag. `custom` carries its subtype in `custom_type`."""


def example_envelope(subtype: str, timestamp: str = EXAMPLE_TIMESTAMP) -> dict[str, Any]:
    """Envelope fields of the example; the event_id is the same at every call."""
    payload_type = PAYLOAD_TYPE_OF.get(subtype, CUSTOM)
    return {
        "event_id": str(uuid5(NAMESPACE_URL, f"urn:lah:example:{subtype}")),
        "timestamp": timestamp,
        "source_module": "llm-observatory",
        "event_type": "telemetry" if payload_type == CUSTOM else payload_type,
        "severity": "info",
        "environment": "production",
        "schema_version": "1.0.0",
        "tags": {"region": "eu-west-1", "service": "chat", "team": "search"},
    }


def flat_example(subtype: str, timestamp: str = EXAMPLE_TIMESTAMP) -> dict[str, Any]:
    """A valid event of the subtype in the flat spelling. Raises KeyError for a subtype that is not in the catalog."""
    data = dict(EXAMPLE_DATA[subtype])
    payload_type = PAYLOAD_TYPE_OF.get(subtype, CUSTOM)
    if payload_type != CUSTOM:
        data = {TAG_FIELD[payload_type]: subtype, **data}
    return {**example_envelope(subtype, timestamp), "payload": {"payload_type": payload_type, "data": data}}


def nested_example(subtype: str, timestamp: str = EXAMPLE_TIMESTAMP) -> dict[str, Any]:
    """The same event as `flat_example` in the nested spelling."""
    renamed = {LATENCY_FIELD: LATENCY_ALIAS}
    data = {renamed.get(name, name): value for name, value in EXAMPLE_DATA[subtype].items()}
    return {"common": example_envelope(subtype, timestamp), "payload": {"type": subtype, **data}}
