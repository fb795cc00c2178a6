"""Which typed column a payload's field fills: the hub's vocabulary of measures, by column over many payloads.

A field that is not named here stays in the event's `payload` only. `total_tokens` is as sent, never added up.
"""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from operator import attrgetter
from typing import Any, Literal

from lah_platform.events.money import round_to_column
from lah_platform.events.payloads import Payload
from lah_platform.events.payloads.cost import ApiCost, ResourceConsumption, TokenCost
from lah_platform.events.payloads.governance import ComplianceCheck
from lah_platform.events.payloads.security import Vulnerability
from lah_platform.events.payloads.telemetry import ErrorRate, Latency, ModelPerformance, Throughput, TokenUsage
from lah_platform.events.token_buckets import token_buckets

Columns = dict[str, list[Any]]

MEASURE_TYPES: Mapping[str, Literal["text", "float", "integer", "decimal"]] = {
    "model": "text",
    "request_id": "text",
    "latency_ms": "float",
    "ttft_ms": "float",
    "tokens_per_second": "float",
    "requests_per_second": "float",
    "total_requests": "integer",
    "failed_requests": "integer",
    "input_tokens": "integer",
    "output_tokens": "integer",
    "total_tokens": "integer",
    "input_fresh_tokens": "integer",
    "input_cache_read_tokens": "integer",
    "input_cache_write_tokens": "integer",
    "output_visible_tokens": "integer",
    "output_reasoning_tokens": "integer",
    "cost_usd": "decimal",
    "score": "float",
    "token_derivation": "text",
}
"""Every typed column that payloads fill. Durations are ms, money is USD with 12 decimals."""


def measured(payload_class: type[Payload], payloads: Sequence[Payload]) -> Columns:
    """The columns that payloads of one class fill, one value a payload, None for what it does not say.

    Also of another class with the same fields, whose money may be doubles: those come back as they are.

    A column of MEASURE_TYPES that is absent is null for the whole class.
    """
    measure = _MEASURES.get(payload_class)
    return {} if measure is None or not payloads else measure(payloads)


def _fields(**field_of: str) -> Callable[[Sequence[Any]], Columns]:
    getters = [(column, attrgetter(field)) for column, field in field_of.items()]
    return lambda payloads: {column: list(map(get, payloads)) for column, get in getters}


_tokens_as_sent = _fields(
    model="model_id",
    request_id="request_id",
    input_tokens="prompt_tokens",
    output_tokens="completion_tokens",
    total_tokens="total_tokens",
)

_token_parts = _fields(
    read="input_cache_read_tokens",
    write="input_cache_write_tokens",
    reasoning="output_reasoning_tokens",
    derivation="token_derivation",
)


def _tokens(payloads: Sequence[TokenUsage | TokenCost]) -> Columns:
    sent = _tokens_as_sent(payloads)
    if all(values.count(None) == len(values) for values in _token_parts(payloads).values()):
        return sent | {"token_derivation": ["unknown"] * len(payloads)}  # what nearly all producers send, at once
    buckets = [token_buckets(payload) for payload in payloads]
    fresh, read, write, visible, reasoning, derivation = map(list, zip(*buckets, strict=True))
    return sent | {
        "input_fresh_tokens": fresh,
        "input_cache_read_tokens": read,
        "input_cache_write_tokens": write,
        "output_visible_tokens": visible,
        "output_reasoning_tokens": reasoning,
        "token_derivation": derivation,
    }


def _token_cost(payloads: Sequence[TokenCost]) -> Columns:
    return _tokens(payloads) | {"cost_usd": list(map(_usd, payloads))}


def _usd(payload: TokenCost) -> Decimal | None:
    # despite its name the field holds an amount of `currency`
    return payload.total_cost_usd if payload.currency.upper() == "USD" else None


def _with_money(measure: Callable[[Sequence[Any]], Columns]) -> Callable[[Sequence[Any]], Columns]:
    def rounded(payloads: Sequence[Any]) -> Columns:
        columns = measure(payloads)
        amounts = columns["cost_usd"]
        columns["cost_usd"] = [round_to_column(each) if isinstance(each, Decimal) else each for each in amounts]
        return columns

    return rounded


_MEASURES: dict[type[Any], Callable[[Sequence[Any]], Columns]] = {
    Latency: _fields(
        model="model_id",
        request_id="request_id",
        latency_ms="total_latency_ms",
        ttft_ms="ttft_ms",
        tokens_per_second="tokens_per_second",
    ),
    Throughput: _fields(
        model="model_id", tokens_per_second="tokens_per_second", requests_per_second="requests_per_second"
    ),
    ErrorRate: _fields(model="model_id", total_requests="total_requests", failed_requests="failed_requests"),
    TokenUsage: _tokens,
    TokenCost: _with_money(_token_cost),
    ModelPerformance: _fields(model="model_id", score="quality_score"),
    Vulnerability: _fields(score="severity_score"),
    ComplianceCheck: _fields(score="score"),
    ApiCost: _with_money(_fields(cost_usd="total_cost_usd")),
    ResourceConsumption: _with_money(_fields(cost_usd="cost_usd")),
}
