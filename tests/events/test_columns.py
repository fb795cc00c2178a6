"""Columns: each figure stands where everybody looks for it, exactly; tokens are never counted in two buckets."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lah_platform.events.decode import decode
from lah_platform.events.envelope import Event
from lah_platform.events.examples import flat_example
from lah_platform.events.measures import MEASURE_TYPES, measured
from lah_platform.events.payloads.cost import ApiCost
from lah_platform.events.payloads.quantities import MAX_MAGNITUDE
from lah_platform.rollups import metrics
from tests.events.naive import naive_columns, naive_usd
from tests.events.strategies import NOW, AsWritten, flat_events, to_wire


def row_of(message: dict[str, Any]) -> dict[str, Any]:
    event = decode(to_wire(message).encode(), now=NOW)
    assert isinstance(event, Event), event
    columns = measured(type(event.payload), [event.payload])
    return {name: columns.get(name, [None])[0] for name in MEASURE_TYPES}


def with_data(subtype: str, **data: Any) -> dict[str, Any]:
    message = flat_example(subtype)
    message["payload"]["data"] |= data
    return message


@settings(deadline=None, max_examples=100)
@given(flat_events(("telemetry", "cost", "security", "governance", "custom")))
def test_the_typed_columns_equal_a_naive_reading_of_the_payload(message: dict[str, Any]) -> None:
    payload = message["payload"]
    expected = naive_columns(payload["payload_type"], payload["data"])
    assert row_of(message) == {name: expected.get(name) for name in MEASURE_TYPES}


_few = st.none() | st.integers(0, 12)


@settings(deadline=None, max_examples=150)
@given(
    st.sampled_from(["token_usage", "token_cost"]),
    st.fixed_dictionaries(
        {"prompt_tokens": st.integers(0, 12), "completion_tokens": st.integers(0, 12)},
        optional={
            "input_cache_read_tokens": _few,
            "input_cache_write_tokens": _few,
            "output_reasoning_tokens": _few,
            "token_derivation": st.sampled_from([None, "inclusive", "exclusive", "unknown"]),
        },
    ),
)
def test_token_buckets_are_disjoint_and_a_negative_rest_is_unknown_not_zero(subtype: str, sent: dict[str, Any]) -> None:
    message = with_data(subtype)
    data = message["payload"]["data"]
    for name in ("input_cache_read_tokens", "input_cache_write_tokens", "output_reasoning_tokens", "token_derivation"):
        data.pop(name, None)
    data |= sent
    row = row_of(message)
    expected = naive_columns("x", data)
    assert {name: row[name] for name in expected} == expected
    if row["token_derivation"] == "inclusive":
        read, write = row["input_cache_read_tokens"] or 0, row["input_cache_write_tokens"] or 0
        assert row["input_fresh_tokens"] + read + write == row["input_tokens"]
        assert row["output_visible_tokens"] + (row["output_reasoning_tokens"] or 0) == row["output_tokens"]


@pytest.mark.parametrize(
    "text", ["0.1", "1e-7", "0.30000000000000004", "1E-12", "12345678901234.123456789012", "-0.1", "0", "5E-1"]
)
def test_money_is_exact_to_the_last_digit(text: str) -> None:
    for written in (AsWritten(text), text):
        message = with_data("api_cost", total_cost_usd=written)
        event = decode(to_wire(message).encode(), now=NOW)
        assert isinstance(event, Event)
        assert isinstance(event.payload, ApiCost)
        assert event.payload.total_cost_usd == Decimal(text)
        assert row_of(message)["cost_usd"].as_tuple().exponent == -12


@settings(deadline=None, max_examples=150)
@given(st.integers(-(10**17), 10**17), st.integers(0, 10**16), st.integers(0, 40), st.booleans())
def test_money_is_rounded_half_to_even_and_refused_when_the_column_cannot_hold_it(
    whole: int, fraction: int, shift: int, as_exponent: bool
) -> None:
    fits = Decimal(10) ** 16
    text = f"{whole or 1}{fraction:016d}e-{shift}" if as_exponent else f"{whole}.{fraction:016d}"
    outcome = decode(to_wire(with_data("api_cost", total_cost_usd=AsWritten(text))).encode(), now=NOW)
    expected = naive_usd(text)
    if abs(expected) < fits:
        assert isinstance(outcome, Event)
        assert measured(type(outcome.payload), [outcome.payload])["cost_usd"] == [expected]
    else:
        assert not isinstance(outcome, Event)
        assert outcome.field == "payload.data.total_cost_usd"


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("9999999999999999.9999999999994999", "9999999999999999.999999999999"),
        ("9999999999999999.9999999999995", None),
        ("-9999999999999999.9999999999995", None),
        ("0.0000000000005", "0"),
        ("0.0000000000015", "0.000000000002"),
    ],
)
def test_money_at_the_edges_of_the_column(text: str, stored: str | None) -> None:
    outcome = decode(to_wire(with_data("api_cost", total_cost_usd=AsWritten(text))).encode(), now=NOW)
    if stored is None:
        assert not isinstance(outcome, Event)
    else:
        assert row_of(with_data("api_cost", total_cost_usd=AsWritten(text)))["cost_usd"] == Decimal(stored)


def test_a_cost_in_another_currency_is_not_dollars() -> None:
    assert row_of(with_data("token_cost", currency="EUR"))["cost_usd"] is None
    assert row_of(with_data("token_cost", currency="usd"))["cost_usd"] == Decimal("0.0064")


def test_a_budgets_limit_is_no_cost() -> None:
    assert row_of(flat_example("budget_alert"))["cost_usd"] is None


def test_no_accepted_figure_is_too_large_for_the_rollups() -> None:
    assert MAX_MAGNITUDE <= metrics.MAX_MAGNITUDE
