"""Telemetry payloads: what one request, or one window of requests, measured. Field names are fixed by the catalog."""

from typing import Literal

import msgspec

from lah_platform.events.payloads.quantities import Count, Name, NonNegative, Number, Percent

TokenDerivation = Literal["inclusive", "exclusive", "unknown"]
"""Whether prompt and completion tokens as sent include the separately counted cache and reasoning tokens."""


class Telemetry(msgspec.Struct, tag_field="telemetry_type", frozen=True, kw_only=True, gc=False):
    model_id: Name


class LatencyBreakdown(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    queue_time_ms: NonNegative
    processing_time_ms: NonNegative
    network_time_ms: NonNegative
    other_ms: NonNegative


class Latency(Telemetry, tag="latency", frozen=True, kw_only=True):
    request_id: str
    total_latency_ms: NonNegative
    ttft_ms: NonNegative | None = None
    tokens_per_second: NonNegative | None = None
    breakdown: LatencyBreakdown | None = None


class Throughput(Telemetry, tag="throughput", frozen=True, kw_only=True):
    requests_per_second: NonNegative
    tokens_per_second: NonNegative
    concurrent_requests: Count
    window_duration_seconds: NonNegative


class ErrorRate(Telemetry, tag="error_rate", frozen=True, kw_only=True):
    total_requests: Count
    failed_requests: Count
    error_rate_percent: Percent
    error_breakdown: dict[str, Count]
    window_duration_seconds: NonNegative


class TokenUsage(Telemetry, tag="token_usage", frozen=True, kw_only=True):
    """The last four fields are the hub's extension; how they become buckets is in `token_buckets.py`."""

    request_id: str
    prompt_tokens: Count
    completion_tokens: Count
    total_tokens: Count
    input_cache_read_tokens: Count | None = None
    input_cache_write_tokens: Count | None = None
    output_reasoning_tokens: Count | None = None
    token_derivation: TokenDerivation | None = None


class ModelPerformance(Telemetry, tag="model_performance", frozen=True, kw_only=True):
    accuracy: Number | None = None
    quality_score: Number | None = None
    user_satisfaction: Number | None = None
    custom_metrics: dict[str, Number]


TelemetryData = Latency | Throughput | ErrorRate | TokenUsage | ModelPerformance
