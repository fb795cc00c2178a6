"""Which typed column a payload's field fills: the hub's vocabulary of measures.

A field that is not named here stays in the event's `payload` only. `total_tokens` is as sent, never added up.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import Any, NamedTuple

from lah_platform.events.money import round_to_column
from lah_platform.events.payloads import Payload
from lah_platform.events.payloads.cost import ApiCost, ResourceConsumption, TokenCost
from lah_platform.events.payloads.governance import ComplianceCheck
from lah_platform.events.payloads.security import Vulnerability
from lah_platform.events.payloads.telemetry import ErrorRate, Latency, ModelPerformance, Throughput, TokenUsage
from lah_platform.events.token_buckets import token_buckets


class Measured(NamedTuple):
    """The typed columns that a payload fills; None everywhere it has nothing to say. Durations are ms, money is USD."""

    model: str | None = None
    request_id: str | None = None
    latency_ms: float | None = None
    ttft_ms: float | None = None
    tokens_per_second: float | None = None
    requests_per_second: float | None = None
    total_requests: int | None = None
    failed_requests: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None
    input_fresh_tokens: int | None = None
    input_cache_read_tokens: int | None = None
    input_cache_write_tokens: int | None = None
    output_visible_tokens: int | None = None
    output_reasoning_tokens: int | None = None
    cost_usd: Decimal | None = None
    score: float | None = None
    token_derivation: str | None = None


_NOTHING = Measured()


def measured(payload: Payload) -> Measured:
    """The columns of one payload; costs have 12 decimals."""
    measure = _MEASURES.get(type(payload))
    return _NOTHING if measure is None else measure(payload)


def _latency(payload: Latency) -> Measured:
    return Measured(
        payload.model_id, payload.request_id, payload.total_latency_ms, payload.ttft_ms, payload.tokens_per_second
    )


def _throughput(payload: Throughput) -> Measured:
    return Measured(
        model=payload.model_id,
        tokens_per_second=payload.tokens_per_second,
        requests_per_second=payload.requests_per_second,
    )


def _error_rate(payload: ErrorRate) -> Measured:
    return Measured(
        model=payload.model_id, total_requests=payload.total_requests, failed_requests=payload.failed_requests
    )


def _tokens(payload: TokenUsage | TokenCost) -> Measured:
    buckets = token_buckets(payload)
    return Measured(
        model=payload.model_id,
        request_id=payload.request_id,
        input_tokens=payload.prompt_tokens,
        output_tokens=payload.completion_tokens,
        total_tokens=payload.total_tokens,
        input_fresh_tokens=buckets.input_fresh,
        input_cache_read_tokens=buckets.input_cache_read,
        input_cache_write_tokens=buckets.input_cache_write,
        output_visible_tokens=buckets.output_visible,
        output_reasoning_tokens=buckets.output_reasoning,
        cost_usd=_usd(payload),
        token_derivation=buckets.derivation,
    )


def _usd(payload: TokenUsage | TokenCost) -> Decimal | None:
    # despite its name the field holds an amount of `currency`
    if isinstance(payload, TokenCost) and payload.currency.upper() == "USD":
        return round_to_column(payload.total_cost_usd)
    return None


_MEASURES: dict[type[Any], Callable[[Any], Measured]] = {
    Latency: _latency,
    Throughput: _throughput,
    ErrorRate: _error_rate,
    TokenUsage: _tokens,
    TokenCost: _tokens,
    ModelPerformance: lambda payload: Measured(model=payload.model_id, score=payload.quality_score),
    Vulnerability: lambda payload: Measured(score=payload.severity_score),
    ComplianceCheck: lambda payload: Measured(score=payload.score),
    ApiCost: lambda payload: Measured(cost_usd=round_to_column(payload.total_cost_usd)),
    ResourceConsumption: lambda payload: Measured(cost_usd=round_to_column(payload.cost_usd)),
}
