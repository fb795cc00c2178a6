"""Messages for landing tests: small, valid, and distinct in what a ledger has to tell apart."""

import json
import uuid
from datetime import UTC, datetime, timedelta

__all__ = ["NOW", "api_cost", "message"]

NOW = datetime(2026, 3, 4, 12, 0, 30, tzinfo=UTC)
_NAMESPACE = uuid.UUID("6f0f0d3c-0000-4000-8000-000000000000")


def api_cost(total_cost_usd: float | str) -> dict[str, object]:
    """The data of an api_cost event."""
    return {
        "cost_type": "api_cost",
        "provider": "p",
        "api_endpoint": "/",
        "request_count": 1,
        "cost_per_request": 0,
        "total_cost_usd": total_cost_usd,
        "billing_period": "2026-03",
    }


def message(
    number: int, *, tenant: str = "acme", minutes_ago: float = 1.0, latency_ms: float = 100.0, **envelope: object
) -> bytes:
    """Event `number` of `tenant`: the same number is the same event, whatever else it says."""
    return json.dumps(
        {
            "event_id": str(uuid.uuid5(_NAMESPACE, f"{number}")),
            "timestamp": (NOW - timedelta(minutes=minutes_ago)).isoformat(),
            "source_module": "llm-observatory",
            "event_type": "telemetry",
            "severity": "info",
            "environment": "production",
            "tags": {"tenant": tenant, "service": "chat"},
            "payload": {
                "payload_type": "telemetry",
                "data": {
                    "telemetry_type": "latency",
                    "model_id": "gpt-4",
                    "request_id": f"r{number}",
                    "total_latency_ms": latency_ms,
                },
            },
        }
        | envelope
    ).encode()
