"""What an event means, computed the obvious slow way from its JSON: the oracle of the typed columns."""

from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from typing import Any


def naive_usd(amount: Any) -> Decimal:
    """The amount to 12 decimals, half to even."""
    with localcontext(prec=2000, rounding=ROUND_HALF_EVEN):
        return Decimal(str(amount)).quantize(Decimal("1e-12"))


def naive_token_columns(data: dict[str, Any]) -> dict[str, Any]:
    """The token columns of token_usage and token_cost, told case by case."""
    prompt, completion = data["prompt_tokens"], data["completion_tokens"]
    parts = ("input_cache_read_tokens", "input_cache_write_tokens", "output_reasoning_tokens")
    said = data.get("token_derivation")
    if said is None and any(data.get(part) is not None for part in parts):
        said = "inclusive"
    fresh = visible = None
    if said == "exclusive":
        fresh, visible = prompt, completion
    if said == "inclusive":
        fresh = prompt - (data.get(parts[0]) or 0) - (data.get(parts[1]) or 0)
        visible = completion - (data.get(parts[2]) or 0)
        if fresh < 0:
            fresh, said = None, "unknown"
        if visible < 0:
            visible, said = None, "unknown"
    return {
        "input_tokens": prompt,
        "output_tokens": completion,
        "total_tokens": data["total_tokens"],
        "input_fresh_tokens": fresh,
        "output_visible_tokens": visible,
        **{part: data.get(part) for part in parts},
        "token_derivation": said or "unknown",
    }


def naive_columns(payload_type: str, data: dict[str, Any]) -> dict[str, Any]:
    """Every typed column that the payload fills."""
    subtype = data.get("telemetry_type") or data.get("cost_type") or data.get("security_type")
    subtype = subtype or data.get("governance_type")
    if payload_type == "custom":
        return {}
    if subtype in ("token_usage", "token_cost"):
        columns = naive_token_columns(data)
        if data.get("currency", "").upper() == "USD":
            columns["cost_usd"] = naive_usd(data["total_cost_usd"])
        return {**columns, "model": data["model_id"], "request_id": data["request_id"]}
    sources = {
        "latency": {
            "model": "model_id",
            "request_id": "request_id",
            "latency_ms": "total_latency_ms",
            "ttft_ms": "ttft_ms",
            "tokens_per_second": "tokens_per_second",
        },
        "throughput": {
            "model": "model_id",
            "requests_per_second": "requests_per_second",
            "tokens_per_second": "tokens_per_second",
        },
        "error_rate": {
            "model": "model_id",
            "total_requests": "total_requests",
            "failed_requests": "failed_requests",
        },
        "model_performance": {"model": "model_id", "score": "quality_score"},
        "vulnerability": {"score": "severity_score"},
        "compliance_check": {"score": "score"},
        "api_cost": {"cost_usd": "total_cost_usd"},
        "resource_consumption": {"cost_usd": "cost_usd"},
    }
    columns = {column: data.get(field) for column, field in sources.get(str(subtype), {}).items()}
    if "cost_usd" in columns:
        columns["cost_usd"] = naive_usd(columns["cost_usd"])
    return columns
