"""The events of the landing benchmark: requests of a few hundred series, three events each, 500 bytes on average.

Belongs here: what the messages hold and how often one comes twice. Not: producing or landing them.

One request emits what real producers emit for it, in the flat spelling: its latency, its token usage and its cost.
The mandatory fields of `token_cost` alone exceed 500 bytes, so the size is exact per request: its three events take
1,500 bytes, the latency event's `session` tag being as long as it has to be. For the same reason only the latency
event carries a correlation id, and the billing side sends no team; all three share the request id.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["EVENTS_PER_REQUEST", "EVENT_BYTES", "Series", "generate", "messages", "requests"]

EVENT_BYTES = 500
"""Mean size of a message's value; exact over every three events that belong together."""

_TENANTS = (b"acme", b"globex", b"initech", b"umbra", b"hooli", b"stark", b"wayne", b"tyrell")
_TEAMS = (b"web", b"ops", b"crm", b"core")
_SERVICES = (b"chat", b"rag")
_REGIONS = (b"eu", b"us")
# name, USD per input and output token; written as a JSON encoder writes such a float
_MODELS = (
    (b"gpt-4o", 2.5e-06, 1e-05),
    (b"gpt-mini", 1.5e-07, 6e-07),
    (b"sonnet", 3e-06, 1.5e-05),
    (b"gemini", 1e-07, 4e-07),
    (b"llama", 6e-07, 7e-07),
)
_LATENCY_HEAD = (
    b'{"event_id":"%s","timestamp":"%s%06dZ","source_module":"llm-observatory","event_type":"telemetry",'
    b'"severity":"info","environment":"prod","correlation_id":"%s",'
    b'"tags":{"tenant":"%s","service":"%s","region":"%s","team":"%s","session":"'
)
_LATENCY_TAIL = (
    b'"},"payload":{"payload_type":"telemetry","data":{"telemetry_type":"latency","model_id":"%s","request_id":"%s",'
    b'"total_latency_ms":%.1f,"ttft_ms":%.1f}}}'
)
_USAGE = (
    b'{"event_id":"%s","timestamp":"%s%06dZ","source_module":"llm-observatory","event_type":"telemetry",'
    b'"severity":"info","environment":"prod",'
    b'"tags":{"tenant":"%s","service":"%s","region":"%s","team":"%s"},'
    b'"payload":{"payload_type":"telemetry","data":{"telemetry_type":"token_usage","model_id":"%s","request_id":"%s",'
    b'"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d}}}'
)
_COST = (
    b'{"event_id":"%s","timestamp":"%s%06dZ","source_module":"llm-costops","event_type":"cost",'
    b'"severity":"info","environment":"prod","tags":{"tenant":"%s","service":"%s","region":"%s"},'
    b'"payload":{"payload_type":"cost","data":{"cost_type":"token_cost","model_id":"%s","request_id":"%s",'
    b'"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d,"cost_per_prompt_token":%s,'
    b'"cost_per_completion_token":%s,"total_cost_usd":%.9f,"currency":"USD"}}}'
)
_REQUESTS_AT_ONCE = 10_000
EVENTS_PER_REQUEST = 3


def messages(
    count: int, *, seed: int, start: datetime, events_per_second: int = 100_000, duplicate_share: float = 0.0
) -> list[tuple[bytes, bytes]]:
    """`generate` as a list; a million of them take about 650 MB."""
    return list(
        generate(count, seed=seed, start=start, events_per_second=events_per_second, duplicate_share=duplicate_share)
    )


def generate(
    count: int, *, seed: int, start: datetime, events_per_second: int = 100_000, duplicate_share: float = 0.0
) -> Iterator[tuple[bytes, bytes]]:
    """`count` (key, value) pairs in the order to produce them; the key is the request id.

    Timestamps begin at `start` (UTC) and rise with `events_per_second`, each
    at a random moment of its own slot.
    `duplicate_share` of the messages repeat an earlier one byte for byte, at a random place after it.
    """
    repeats = round(count * duplicate_share)
    originals = _originals(count - repeats, seed, start, events_per_second)
    if not repeats:
        yield from originals
        return
    rng = np.random.default_rng([seed, repeats])
    sources = rng.choice(count - repeats, repeats, replace=False)
    places = rng.integers(
        sources + 1, count - repeats + 1
    )  # repeated before the original of that number, or at the end
    repeated_at: dict[int, int] = dict(zip(sources.tolist(), places.tolist(), strict=True))
    waiting: dict[int, list[tuple[bytes, bytes]]] = {}
    for number, message in enumerate(originals):
        yield from waiting.pop(number, ())
        if number in repeated_at:
            waiting.setdefault(repeated_at[number], []).append(message)
        yield message
    yield from waiting.pop(count - repeats, ())


def _originals(count: int, seed: int, start: datetime, events_per_second: int) -> Iterator[tuple[bytes, bytes]]:
    rng = np.random.default_rng(seed)
    for first in range(0, count, _REQUESTS_AT_ONCE * EVENTS_PER_REQUEST):
        chunk = _requests(rng, start + timedelta(seconds=first / events_per_second), events_per_second)
        yield from chunk[: count - first]


class Series(NamedTuple):
    """Where requests of one kind come from, as they stand in the messages; prices in USD a token."""

    tenant: bytes
    service: bytes
    region: bytes
    team: bytes
    model: bytes
    input_price: float
    output_price: float


_SERIES = [
    Series(tenant, _SERVICES[place & 1], _REGIONS[place >> 1], _TEAMS[number & 3], *model)
    for number, tenant in enumerate(_TENANTS)
    for model in _MODELS
    for place in range(len(_SERVICES) * len(_REGIONS))
]


def _requests(rng: np.random.Generator, start: datetime, events_per_second: int) -> list[tuple[bytes, bytes]]:
    count = _REQUESTS_AT_ONCE
    slot_us = 1_000_000 / events_per_second
    at_us = (np.arange(count * EVENTS_PER_REQUEST) + rng.random(count * EVENTS_PER_REQUEST)) * slot_us
    return requests(rng, start, at_us.astype(np.int64), _SERIES, rng.integers(0, len(_SERIES), count))


def requests(
    rng: np.random.Generator,
    start: datetime,
    at_us: npt.NDArray[np.int64],
    series: Sequence[Series],
    series_of: npt.NDArray[np.int64],
) -> list[tuple[bytes, bytes]]:
    """The (key, value) pairs of one request for each of `series_of`: its latency, its usage and its cost.

    `at_us`: the events' times, rising, three a request, in microseconds after `start`.
    """
    count = len(series_of)
    ids = rng.bytes(16 * 4 * count).hex().encode()
    filler = rng.bytes(64).hex().encode()
    latencies = np.minimum(rng.lognormal(7.0, 0.6, count), 90_000.0)
    first_tokens = (latencies * rng.uniform(0.1, 0.5, count)).tolist()
    prompts = np.minimum(rng.lognormal(6.5, 1.0, count) + 1, 99_999).astype(int).tolist()
    completions = np.minimum(rng.lognormal(5.0, 0.8, count) + 1, 8_000).astype(int).tolist()
    times = (start.microsecond + at_us).tolist()
    whole = start.replace(microsecond=0)
    first_second = times[0] // 1_000_000
    seconds = [
        (whole + timedelta(seconds=s)).strftime("%Y-%m-%dT%H:%M:%S.").encode()
        for s in range(first_second, times[-1] // 1_000_000 + 1)
    ]

    def when(place: int) -> tuple[bytes, int]:
        second, micro = divmod(times[place], 1_000_000)
        return seconds[second - first_second], micro

    result = []
    for n, which in enumerate(series_of.tolist()):
        tenant, service, region, team, model, input_price, output_price = series[which]
        correlation, latency_id, usage_id, cost_id = (
            _uuid4(ids[at : at + 32]) for at in range(128 * n, 128 * n + 128, 32)
        )
        request = b"r" + correlation[:8]
        prompt, completion = prompts[n], completions[n]
        spent = prompt * input_price + completion * output_price
        usage = _USAGE % (
            (usage_id, *when(3 * n + 1), tenant, service, region, team, model, request)
            + (prompt, completion, prompt + completion)
        )
        cost = _COST % (
            (cost_id, *when(3 * n + 2), tenant, service, region, model, request)
            + (prompt, completion, prompt + completion, b"%r" % input_price, b"%r" % output_price, spent)
        )
        head = _LATENCY_HEAD % (latency_id, *when(3 * n), correlation, tenant, service, region, team)
        tail = _LATENCY_TAIL % (model, request, latencies[n], first_tokens[n])
        session = filler[: EVENTS_PER_REQUEST * EVENT_BYTES - len(usage) - len(cost) - len(head) - len(tail)]
        result += [(request, head + session + tail), (request, usage), (request, cost)]
    return result


def _uuid4(digits: bytes) -> bytes:
    return b"%s-%s-4%s-a%s-%s" % (digits[:8], digits[8:12], digits[13:16], digits[17:20], digits[20:])
