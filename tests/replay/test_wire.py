"""One event's bytes: what a producer promises about ids and spelling."""

from datetime import timedelta
from decimal import Decimal
from uuid import uuid5

from hypothesis import given
from hypothesis import strategies as st

from lah_platform.events.decode import decode
from lah_platform.events.envelope import Event
from lah_platform.replay.wire import NAMESPACE, Identity, Source, draft, encode, instant

NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=20)


@given(trace=NAMES, row=st.integers(), role=NAMES, run_id=NAMES)
def test_an_id_is_the_uuid5_of_trace_row_role_and_run(trace: str, row: int, role: str, run_id: str) -> None:
    expected = uuid5(NAMESPACE, f"{trace}/{row}/{role}/{run_id}")
    assert Identity(run_id).uuid(trace, row, role) == str(expected)


@given(
    at_us=st.integers(1_700_000_000_000_000, 1_900_000_000_000_000),
    latency_ms=st.floats(0, 1e6),
    ttft_ms=st.none() | st.floats(0, 1e6),
)
def test_both_spellings_of_an_event_mean_the_same(at_us: int, latency_ms: float, ttft_ms: float | None) -> None:
    data: dict[str, object] = {"model_id": "gpt-4", "request_id": "r", "total_latency_ms": latency_ms}
    if ttft_ms is not None:
        data["ttft_ms"] = ttft_ms
    source = Source("llm-observatory", {"tenant": "acme", "service": "chat"})
    event = draft(source, at_us, Identity("run").uuid("t", 1, "latency"), "telemetry/latency", data)
    now = instant(at_us) + timedelta(days=1)
    flat, nested = decode(encode(event), now=now), decode(encode(event, nested=True), now=now)
    assert isinstance(flat, Event)
    assert isinstance(nested, Event)
    assert encode(event) != encode(event, nested=True)
    assert flat.payload == nested.payload
    assert flat.timestamp == nested.timestamp == instant(at_us)
    assert (flat.tenant, flat.event_id, flat.tags) == (nested.tenant, nested.event_id, nested.tags)


@given(units=st.integers(0, 10**18), decimals=st.integers(0, 12))
def test_money_leaves_with_the_digits_it_has(units: int, decimals: int) -> None:
    amount = Decimal(units).scaleb(-decimals)
    data: dict[str, object] = {
        "provider": "p",
        "api_endpoint": "/",
        "request_count": 1,
        "cost_per_request": amount,
        "total_cost_usd": amount,
        "billing_period": "2026-11",
    }
    source = Source("llm-costops", {"tenant": "acme"})
    at_us = 1_800_000_000_000_000
    event = draft(source, at_us, Identity("run").uuid("t", 1, "api"), "cost/api_cost", data)
    decoded = decode(encode(event), now=instant(at_us))
    if amount < 10**16:
        assert isinstance(decoded, Event)
        assert getattr(decoded.payload, "total_cost_usd") == amount  # noqa: B009  # a union's member
