"""The real traces, replayed: nothing of them changes but the clock. Skipped by name where they are not."""

from collections import Counter
from datetime import datetime
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from lah_platform.costs.price_book import PriceBook
from lah_platform.events.envelope import Event
from lah_platform.replay.models import MODELS
from lah_platform.replay.plan import ReplayPlan
from tests.replay.conftest import END
from tests.replay.reading import data_of, events_of

AZURE = "llm_traces/azure2023_code_requests.parquet"
MOONCAKE = "llm_traces/mooncake_conversation_requests.parquet"


def replayed(traces: Path, source: str) -> list[Event]:
    plan = ReplayPlan.of_traces(
        end=END, run_id="tests", traces_dir=traces, source=source, events=None, duplicate_share=0, malformed_count=0
    )
    assert plan.describe().startswith("real traces: ")
    return events_of(plan, now=END)


def of_subtype(events: list[Event], subtype: str) -> dict[str, tuple[Event, dict[str, Any]]]:
    """By request id."""
    found = {data_of(event)["request_id"]: (event, data_of(event)) for event in events if event.subtype == subtype}
    assert len(found) == sum(event.subtype == subtype for event in events)
    return found


def rows_of(request_id: str) -> int:
    return int(request_id.split("-")[-2])


def test_every_azure_request_is_replayed_with_its_tokens_and_its_distance_in_time(traces: Path) -> None:
    usage = of_subtype(replayed(traces, "azure-code"), "token_usage")
    rows = pl.read_parquet(traces / AZURE).to_dicts()
    assert len(usage) == len(rows) == 8819
    # the newest request's cost event, a millisecond later, is the one at the end
    newest = max(row["timestamp"] for row in rows)
    for request_id, (event, fields) in usage.items():
        row = rows[rows_of(request_id)]
        assert (fields["prompt_tokens"], fields["completion_tokens"]) == (
            row["context_tokens"],
            row["generated_tokens"],
        )
        assert "input_cache_read_tokens" not in fields
        distance: datetime = END - (newest - row["timestamp"])
        assert abs((distance - event.timestamp).total_seconds() - 0.001) < 2e-6


def test_every_mooncake_request_is_replayed_with_its_cache_reads(traces: Path) -> None:
    usage = of_subtype(replayed(traces, "mooncake"), "token_usage")
    rows = pl.read_parquet(traces / MOONCAKE).to_dicts()
    assert len(usage) == len(rows) == 12031
    for request_id, (_, fields) in usage.items():
        row = rows[rows_of(request_id)]
        assert fields["prompt_tokens"] == row["input_length"]
        assert fields["completion_tokens"] == row["output_length"]
        assert fields["total_tokens"] == row["input_length"] + row["output_length"]
        assert fields["input_cache_read_tokens"] == min(512 * row["cached_blocks"], row["input_length"])
        assert fields["token_derivation"] == "inclusive"


@pytest.mark.parametrize("source", ["azure-code", "mooncake"])
def test_a_request_costs_what_the_price_book_says_to_the_last_digit(traces: Path, source: str) -> None:
    book = PriceBook.shipped()
    for event, _ in of_subtype(replayed(traces, source), "token_cost").values():
        payload: Any = event.payload
        price = book.at(payload.model_id, event.timestamp)
        assert price is not None
        cached = payload.input_cache_read_tokens or 0
        expected = (
            (payload.prompt_tokens - cached) * price.input_usd_per_mtok
            + cached * price.cache_read
            + payload.completion_tokens * price.output_usd_per_mtok
        ) / Decimal(10**6)
        assert payload.total_cost_usd == expected


def test_a_servegen_rate_times_its_window_is_the_recorded_count(trace_plan: ReplayPlan, traces: Path) -> None:
    counts: dict[tuple[str, int], list[int]] = {}
    for model in ("m-small_days0-9", "m-large_days0-9", "deepseek-r1_1day"):
        frame = pl.read_parquet(traces / f"llm_traces/servegen_{model}.parquet").sort("client", "t_s")
        for (name, client), rows in frame.partition_by("model", "client", as_dict=True).items():
            counts[name, client] = rows["requests"].to_list()
    replayed: dict[tuple[str, int], list[tuple[datetime, float]]] = {}
    distinct = {event.event_id: event for event in events_of(trace_plan, now=END)}
    for event in distinct.values():
        if event.tags["trace"].startswith("servegen"):
            client = int(event.tags["service"].rpartition("-")[2])
            rate = data_of(event)["requests_per_second"]
            replayed.setdefault((data_of(event)["model_id"], client), []).append((event.timestamp, rate))
    assert {model for model, _ in replayed} == {"m-small", "m-large", "deepseek-r1"}
    for series, rates in replayed.items():
        in_order = [round(rate * 600) for _, rate in sorted(rates)]
        assert in_order == counts[series], series
        times = sorted(at for at, _ in rates)
        assert {(later - earlier).total_seconds() for earlier, later in pairwise(times)} == {600.0}
        assert times[-1] == END


def test_llmperf_latencies_and_errors_are_those_measured_in_file_order(traces: Path) -> None:
    events = replayed(traces, "llmperf")
    frame = pl.read_parquet(traces / "latency/llmperf_requests.parquet")
    measured = {
        (row["provider"], row["model_size"], row["seq"]): row
        for row in frame.to_dicts()
        if row["end_to_end_latency_s"] > 0
    }
    seen: dict[tuple[str, str], list[int]] = {}
    for event in sorted(events, key=lambda event: event.timestamp):
        if event.subtype != "latency":
            continue
        fields = data_of(event)
        _, provider, size, seq, _ = fields["request_id"].split("-")
        row = measured.pop((provider, size, int(seq)))
        assert fields["total_latency_ms"] == pytest.approx(row["end_to_end_latency_s"] * 1000)
        assert fields["ttft_ms"] == pytest.approx(row["ttft_s"] * 1000)
        assert fields["model_id"] == MODELS[size]
        assert "timestamp" in event.tags["synthetic_fields"]
        seen.setdefault((provider, size), []).append(int(seq))
    assert not measured
    assert all(order == sorted(order) for order in seen.values())
    rates = [data_of(event) for event in events if event.subtype == "error_rate"]
    assert sum(rate["total_requests"] for rate in rates) == frame.height
    assert sum(rate["failed_requests"] for rate in rates) == frame["error_code"].is_not_null().sum()
    named: Counter[str] = Counter()
    for rate in rates:
        named.update(rate["error_breakdown"])
    assert named == {"output_too_few_tokens": 146, "http_429": 2}


def test_the_default_replay_of_the_traces_can_be_stored_and_says_what_it_is(trace_plan: ReplayPlan) -> None:
    stored = events_of(trace_plan, now=END)
    assert len(stored) == trace_plan.expected.stored + trace_plan.expected.duplicate
    assert len({(event.tenant, event.event_id, event.timestamp) for event in stored}) == trace_plan.expected.stored
    assert trace_plan.describe().startswith("real traces: ")
    assert set(trace_plan.counts) == {"azure-code", "mooncake", "servegen", "llmperf", "synthetic", "planted"}
