"""llmperf: measured latencies and errors of twelve provider and model-size pairs, and their events.

Belongs here: reading the benchmark, placing it in time, spelling latency and error_rate. The benchmark has no
timestamps: each pair's requests are placed evenly over ten days in file order, and the events' tags say so.

A frame, here called BENCHMARK: provider Utf8, model_size Utf8, seq Int64, ttft_s, inter_token_s, end_to_end_s,
output_tokens_per_s Float64, output_tokens Int64, error Utf8 (null when the request succeeded).
"""

from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl

from lah_platform.replay.files import read_trace
from lah_platform.replay.models import MODELS
from lah_platform.replay.thinning import Unit
from lah_platform.replay.wire import Draft, Identity, Source, draft

__all__ = ["SPAN_US", "benchmark_units", "read_llmperf"]

SPAN_US = 10 * 86_400 * 1_000_000  # as long as ServeGen's traces
_REQUESTS_PER_PAIR = 150
_SPACING_US = SPAN_US // _REQUESTS_PER_PAIR
_BATCH = 10  # requests per error_rate event
_ERROR_NAMES = {"-100.0": "output_too_few_tokens", "429.0": "http_429"}
_WARNING_PERCENT = 10.0
_GLOBEX_PROVIDERS = frozenset({"perplexity", "replicate"})


def read_llmperf(traces_dir: Path) -> pl.DataFrame:
    """The benchmark as BENCHMARK, in file order. Raises ConfigurationError when the file is missing."""
    columns = {
        "provider": "provider",
        "model_size": "model_size",
        "seq": "seq",
        "ttft_s": "ttft_s",
        "inter_token_latency_s": "inter_token_s",
        "end_to_end_latency_s": "end_to_end_s",
        "request_output_throughput_token_per_s": "output_tokens_per_s",
        "number_output_tokens": "output_tokens",
        "error_code": "error",
    }
    frame = read_trace(traces_dir / "latency" / "llmperf_requests.parquet", tuple(columns)).rename(columns)
    return frame.with_columns(pl.col("error").replace(_ERROR_NAMES))


def benchmark_units(frame: pl.DataFrame, identity: Identity, end_us: int) -> list[Unit]:
    """Ten consecutive requests of a pair and their error_rate event as one unit each; the last ends at `end_us`."""
    pairs = frame.partition_by("provider", "model_size", as_dict=True, maintain_order=True)
    units: list[Unit] = []
    for number, ((provider, size), requests) in enumerate(pairs.items()):
        # pairs are staggered so that they do not all speak in the same microsecond
        start_us = end_us - SPAN_US - number * (_SPACING_US // len(pairs))
        stream = _Pair(str(provider), str(size), identity, start_us)
        for rows in requests.iter_slices(_BATCH):
            units.append(Unit(f"{provider}/{size}", stream.batch(rows.to_dicts())))
    return units


class _Pair:
    """The events of one provider and model size."""

    def __init__(self, provider: str, size: str, identity: Identity, start_us: int) -> None:
        tenant = "globex" if provider in _GLOBEX_PROVIDERS else "acme"
        service = f"gateway-{provider}"
        tags = {
            "tenant": tenant,
            "region": "us-east",
            "service": service,
            "team": "platform",
            "version": "2.0.0",
            "trace": "llmperf",
            "provider": provider,
            "placement": "file order, evenly over ten days",
        }
        self._name = f"llmperf-{provider}-{size}"
        self._model = MODELS[size]
        self._identity = identity
        self._start_us = start_us
        self._request = Source("llm-observatory", tags | {"synthetic_fields": "timestamp,tags"})
        self._window = Source("llm-observatory", tags | {"synthetic_fields": "timestamp,window_duration_seconds,tags"})

    def batch(self, rows: list[dict[str, Any]]) -> list[Draft]:
        # a request that was refused has no latency: zero would be a lie
        events = [self._latency(row) for row in rows if row["end_to_end_s"] > 0]
        events.append(self._error_rate(rows))
        return events

    def _at_us(self, row: dict[str, Any]) -> int:
        return self._start_us + (int(row["seq"]) + 1) * _SPACING_US

    def _latency(self, row: dict[str, Any]) -> Draft:
        seq = int(row["seq"])
        correlation_id = self._identity.uuid(self._name, seq, "request")
        data: dict[str, object] = {
            "model_id": self._model,
            "request_id": f"{self._name}-{seq}-{correlation_id[:8]}",
            "total_latency_ms": row["end_to_end_s"] * 1_000,
            "ttft_ms": row["ttft_s"] * 1_000,
            "tokens_per_second": row["output_tokens_per_s"],
        }
        event_id = self._identity.uuid(self._name, seq, "latency")
        return draft(
            self._request,
            self._at_us(row),
            event_id,
            "telemetry/latency",
            data,
            severity="info" if row["error"] is None else "warning",
            correlation_id=correlation_id,
        )

    def _error_rate(self, rows: list[dict[str, Any]]) -> Draft:
        errors = Counter(row["error"] for row in rows if row["error"] is not None)
        failed = errors.total()
        percent = 100.0 * failed / len(rows)
        data: dict[str, object] = {
            "model_id": self._model,
            "total_requests": len(rows),
            "failed_requests": failed,
            "error_rate_percent": percent,
            "error_breakdown": dict(errors),
            "window_duration_seconds": len(rows) * _SPACING_US // 1_000_000,
        }
        return draft(
            self._window,
            self._at_us(rows[-1]),
            self._identity.uuid(self._name, int(rows[-1]["seq"]), "error_rate"),
            "telemetry/error_rate",
            data,
            severity="warning" if percent >= _WARNING_PERCENT else "info",
        )
