"""Requests as the documentation shows them; every one of them is executed by a test."""

from typing import Any, Final

from lah_platform.events.examples import example_envelope, flat_example, nested_example

__all__ = [
    "ANOMALY_ID",
    "BACKFILL",
    "BACKFILL_ID",
    "BATCH",
    "CONSENT",
    "EVENTS",
    "CONTENT_POLICY",
    "EVENT_ID",
    "HOLD",
    "HOLD_ID",
    "INCIDENT_ID",
    "KEY",
    "KEY_ID",
    "MAINTENANCE",
    "MAINTENANCE_ID",
    "PERSON",
    "RECEIPT",
    "REPORT",
    "REPORT_ID",
    "REPORT_REQUEST_ID",
    "ROTATION",
    "RULE",
    "RULE_ID",
    "TIMESERIES",
    "WITHDRAWAL",
]

EVENT_ID: Final[str] = example_envelope("latency")["event_id"]
INCIDENT_ID: Final = "7d0a52c4-5d0f-5c8e-9a52-1f5f8f0f6b11"
REPORT_ID: Final = "3e0b3c35-95f7-4ef5-9f27-0d1a5c8f3f10"
KEY_ID: Final = "0123456789ab"
ANOMALY_ID: Final = "fd84ffeb-39a4-5459-93e5-d12c2ad78f20"
REPORT_REQUEST_ID: Final = "2d3c1c0e-6f5e-4c6e-8d7a-0f7f0c1b8a33"
MAINTENANCE_ID: Final = 1
RULE_ID: Final = 1
HOLD_ID: Final = 1
BACKFILL_ID: Final = "7b0fd1a4-4d5c-4c36-8a0a-6f1f6f0f9b22"


def _without_id(event: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in event.items() if name != "event_id"}


EVENTS: Final[dict[str, Any]] = {
    "flat spelling": flat_example("latency"),
    "nested spelling": nested_example("token_cost"),
    "without an id": _without_id(flat_example("token_usage")),
}
BATCH: Final[dict[str, Any]] = {"three events": list(EVENTS.values())}
BACKFILL: Final[dict[str, Any]] = {"a month": {"table": "cost_daily", "from": "2026-01-01", "to": "2026-01-31"}}
REPORT: Final[dict[str, Any]] = {"a month": {"from": "2026-01-01", "to": "2026-01-31"}}
KEY: Final[dict[str, Any]] = {
    "a dashboard's key for a year": {"role": "viewer", "label": "dashboards", "expires_in_days": 365}
}
MAINTENANCE: Final[dict[str, Any]] = {
    "a night's move": {
        "from": "2026-11-01T22:00:00Z",
        "to": "2026-11-02T02:00:00Z",
        "model": "gpt-4o",
        "reason": "new cluster",
    }
}
CONTENT_POLICY: Final[dict[str, Any]] = {"not to be stored": {"policy": "drop", "tenant": "acme"}}
RULE: Final[dict[str, Any]] = {
    "prompts for ninety days": {"class": "personal", "event_type": "telemetry", "keep_days": 90}
}
HOLD: Final[dict[str, Any]] = {
    "a dispute's quarter": {
        "class": "events",
        "from": "2025-10-01T00:00:00Z",
        "to": "2026-01-01T00:00:00Z",
        "reason": "case 2026-117",
    }
}
_WHOM: Final[dict[str, str]] = {"identifier": "customer-9", "tenant": "acme"}
PERSON: Final[dict[str, Any]] = {"by identifier": _WHOM}
CONSENT: Final[dict[str, Any]] = {"on the signup form": {**_WHOM, "purpose": "support", "source": "signup-form"}}
WITHDRAWAL: Final[dict[str, Any]] = {"everything": _WHOM}
RECEIPT: Final[dict[str, Any]] = {
    "a receipt": {"document": {"receipt": {"kind": "erasure"}, "public_key": "AAAA", "signature": "AAAA"}}
}
ROTATION: Final[dict[str, Any]] = {"an hour to change over": {"grace_minutes": 60}}
TIMESERIES: Final[dict[str, Any]] = {
    "latency of each service by the hour": {
        "metric": "latency_ms",
        "from": "2026-01-31T00:00:00Z",
        "to": "2026-02-01T00:00:00Z",
        "window": "1h",
        "fields": ["count", "mean", "p95"],
        "group_by": ["service"],
        "filters": [{"dimension": "environment", "value": "production"}],
    },
    "dearest models of a month": {
        "metric": "cost_usd",
        "from": "2026-01-01T00:00:00Z",
        "to": "2026-02-01T00:00:00Z",
        "fields": ["sum"],
        "group_by": ["model"],
        "filters": [{"dimension": "model", "operator": "regex", "value": "^(gpt|claude)-"}],
        "order": ["-sum"],
        "limit": 10,
    },
    "a gap-free chart": {
        "metric": "latency_ms",
        "from": "2026-01-31T07:00:00Z",
        "to": "2026-01-31T09:30:00Z",
        "window": "15m",
        "fields": ["rate", "median", "max"],
        "fill": "zero",
    },
}
