"""Request traces, one row per request: Azure code and Mooncake conversations, and their events.

Belongs here: reading the two traces and spelling a request as token_usage, token_cost and latency. Does not:
latencies themselves, which the traces lack (`latency_model`), and which rows are kept (`thinning`).

A request's frame, here called REQUESTS: row Int64 (position in the trace), offset_us Int64 (microseconds since the
first request), input_tokens Int64 (cache reads included), output_tokens Int64, cache_read_tokens Int64 (null where
the trace knows nothing of a cache).
"""

from pathlib import Path
from typing import NamedTuple

import polars as pl

from lah_platform.replay.files import read_trace
from lah_platform.replay.models import MODELS, price_history, usd
from lah_platform.replay.wire import Draft, Identity, Source, draft

__all__ = ["COST_DELAY_US", "REQUEST_STREAMS", "RequestStream", "read_azure", "read_mooncake", "request_events"]

PREFIX_BLOCK_TOKENS = 512  # Mooncake hashes the prompt in blocks of 512 tokens
COST_DELAY_US = 1_000  # a cost event follows the usage event that caused it


def read_azure(traces_dir: Path) -> pl.DataFrame:
    """The Azure code trace as REQUESTS. Raises ConfigurationError when the file is missing."""
    columns = ("timestamp", "context_tokens", "generated_tokens")
    frame = read_trace(traces_dir / "llm_traces" / "azure2023_code_requests.parquet", columns)
    instant_us = pl.col("timestamp").dt.timestamp("us")
    return frame.with_row_index("row").select(
        pl.col("row").cast(pl.Int64),
        (instant_us - instant_us.min()).alias("offset_us"),
        pl.col("context_tokens").alias("input_tokens"),
        pl.col("generated_tokens").alias("output_tokens"),
        pl.lit(None, pl.Int64).alias("cache_read_tokens"),
    )


def read_mooncake(traces_dir: Path) -> pl.DataFrame:
    """The Mooncake conversation trace as REQUESTS: cache reads are whole blocks seen before, at most the prompt."""
    columns = ("timestamp_ms", "input_length", "output_length", "n_prefix_blocks", "cached_blocks")
    frame = read_trace(traces_dir / "llm_traces" / "mooncake_conversation_requests.parquet", columns)
    cached_tokens = pl.col("cached_blocks") * PREFIX_BLOCK_TOKENS
    return frame.with_row_index("row").select(
        pl.col("row").cast(pl.Int64),
        ((pl.col("timestamp_ms") - pl.col("timestamp_ms").min()) * 1_000).alias("offset_us"),
        pl.col("input_length").alias("input_tokens"),
        pl.col("output_length").alias("output_tokens"),
        pl.min_horizontal(cached_tokens, pl.col("input_length")).alias("cache_read_tokens"),
    )


class RequestStream(NamedTuple):
    """Who the requests of one trace are said to come from; the traces themselves say nothing about that."""

    trace: str
    tenant: str
    service: str
    version: str
    placements: tuple[tuple[str, str], ...]  # (region, team)


REQUEST_STREAMS = {
    "azure-code": RequestStream(
        "azure-code",
        "acme",
        "code-assistant",
        "1.8.2",
        (("us-east", "developer-tools"), ("eu-west", "developer-tools"), ("us-east", "data-platform")),
    ),
    "mooncake": RequestStream(
        "mooncake",
        "globex",
        "chat",
        "3.1.0",
        (("ap-south", "consumer"), ("eu-west", "consumer"), ("ap-south", "support")),
    ),
}


def request_events(stream: RequestStream, frame: pl.DataFrame, identity: Identity) -> list[Draft]:
    """token_usage, token_cost (its child) and latency of every request, all sharing request and correlation id.

    `frame` is REQUESTS with at_us (microseconds since 1970 UTC) in place of offset_us, and the drawn ttft_ms and
    latency_ms (Float64). A model without a price has no token_cost.
    """
    trace, model = stream.trace, MODELS[stream.trace]
    history = price_history(model)
    usage, cost, latency = zip(*(_sources(stream, *placement) for placement in stream.placements), strict=True)
    events: list[Draft] = []
    columns = ("row", "at_us", "input_tokens", "output_tokens", "cache_read_tokens", "ttft_ms", "latency_ms")
    for row, at_us, inputs, outputs, cache_read, ttft_ms, latency_ms in frame.select(columns).iter_rows():
        place = (row * 2654435761 >> 8) % len(stream.placements)  # Knuth's multiplicative hash: the row decides
        correlation_id = identity.uuid(trace, row, "request")
        usage_id = identity.uuid(trace, row, "token_usage")
        request_id = f"{trace}-{row}-{correlation_id[:8]}"
        tokens: dict[str, object] = {
            "model_id": model,
            "request_id": request_id,
            "prompt_tokens": inputs,
            "completion_tokens": outputs,
            "total_tokens": inputs + outputs,
            "token_derivation": "inclusive",
        }
        if cache_read is not None:
            tokens["input_cache_read_tokens"] = cache_read
        kind = "telemetry/token_usage"
        events.append(draft(usage[place], at_us, usage_id, kind, tokens, correlation_id=correlation_id))
        timing: dict[str, object] = {
            "model_id": model,
            "request_id": request_id,
            "total_latency_ms": latency_ms,
            "ttft_ms": ttft_ms,
            "tokens_per_second": round(outputs / latency_ms * 1_000, 3),
        }
        event_id = identity.uuid(trace, row, "latency")
        kind = "telemetry/latency"
        events.append(draft(latency[place], at_us, event_id, kind, timing, correlation_id=correlation_id))
        price = history.at(at_us + COST_DELAY_US)
        if price is None:
            continue
        money = {
            "cost_per_prompt_token": usd(price.input),
            "cost_per_completion_token": usd(price.output),
            "total_cost_usd": usd(price.cost(inputs, outputs, cache_read or 0)),
            "currency": "USD",
        }
        events.append(
            draft(
                cost[place],
                at_us + COST_DELAY_US,
                identity.uuid(trace, row, "token_cost"),
                "cost/token_cost",
                tokens | money,
                correlation_id=correlation_id,
                parent_event_id=usage_id,
            )
        )
    return events


def _sources(stream: RequestStream, region: str, team: str) -> tuple[Source, Source, Source]:
    tags = {
        "tenant": stream.tenant,
        "region": region,
        "service": stream.service,
        "team": team,
        "version": stream.version,
        "trace": stream.trace,
    }
    return (
        Source("llm-observatory", tags | {"synthetic_fields": "model_id,tags"}),
        Source("llm-costops", tags | {"synthetic_fields": "model_id,tags,cost"}),
        Source("llm-observatory", tags | {"synthetic": "true"}),
    )
