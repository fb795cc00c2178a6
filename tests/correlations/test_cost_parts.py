"""What a rise in cost is for is named right, and the parts add up to it to the last digit."""

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lah_platform.correlations.cost_parts import PARTS, CostParts, Prices, Usage, cost_parts

PRICES = Prices(*(Decimal(each) / 1_000_000 for each in ("3", "0.3", "3.75", "15")))
Cells = dict[tuple[str, str], Usage]


def paid(usage: Usage, prices: Prices = PRICES) -> Usage:
    usd = (
        usage.fresh * prices.fresh
        + usage.cache_read * prices.cache_read
        + usage.cache_write * prices.cache_write
        + usage.output * prices.output
    )
    return replace(usage, usd=usd)


def usage(requests: int, *, fresh: int = 500, read: int = 1500, output: int = 300, failed: int = 0) -> Usage:
    """Tokens are those of one request."""
    counts = (requests, requests * fresh, requests * read, 0, requests * output)
    return paid(Usage(*map(Decimal, counts), failed=Decimal(failed)))


USUAL: Cells = {("chat", "sonnet"): usage(1000), ("chat", "haiku"): replace(usage(4000), usd=Decimal(2))}


def parts(now: Usage, *, haiku: Usage | None = None, **options: bool) -> CostParts:
    cells = {("chat", "sonnet"): now, ("chat", "haiku"): haiku or USUAL["chat", "haiku"]}
    return cost_parts("sonnet", cells, USUAL, PRICES, **options)


@pytest.mark.parametrize(
    ("name", "now"),
    [
        ("volume", usage(1500)),
        ("retry", usage(1500, failed=600)),
        ("cache", usage(1000, fresh=1900, read=100)),
        ("prompt", usage(1000, fresh=1000, read=3000)),
        ("answer", usage(1000, output=900)),
        ("price", replace(usage(1000), usd=2 * usage(1000).usd)),
    ],
)
def test_the_one_thing_that_changed_is_the_only_part(name: str, now: Usage) -> None:
    found = parts(now)
    assert found.main == name
    assert found.main_share == 1.0
    assert found.parts[f"{name}_usd"] == found.usd == (now.usd - USUAL["chat", "sonnet"].usd).quantize(Decimal("1e-6"))


def test_requests_that_move_to_a_dearer_model_are_a_model_change_and_what_they_cost_before_is_told() -> None:
    found = parts(usage(1800), haiku=replace(usage(3200), usd=Decimal("1.6")))
    assert (found.main, found.parts["model_usd"]) == ("model", found.usd)
    assert found.elsewhere_usd == Decimal("-0.4")
    back = cost_parts("haiku", {("chat", "sonnet"): usage(1800), ("chat", "haiku"): usage(3200)}, USUAL, PRICES)
    assert back.parts["model_usd"] == Decimal("-0.4")
    assert back.elsewhere_usd == 800 * usage(1).usd


def test_a_lost_cache_is_told_from_a_model_change_when_both_happen() -> None:
    found = parts(usage(1800, fresh=2000, read=0), haiku=usage(3200))
    assert found.parts["model_usd"] == 800 * usage(1).usd
    assert found.parts["cache_usd"] == 1800 * (usage(1, fresh=2000, read=0).usd - usage(1).usd)
    assert sum(found.parts[f"{name}_usd"] for name in ("volume", "retry", "latency", "prompt", "answer", "price")) == 0


def test_a_model_nobody_used_before_costs_what_was_moved_to_it() -> None:
    now = {("chat", "opus"): usage(500), ("chat", "sonnet"): usage(500), ("chat", "haiku"): USUAL["chat", "haiku"]}
    found = cost_parts("opus", now, USUAL, PRICES)
    assert (found.main, found.parts["model_usd"]) == ("model", usage(500).usd)
    assert cost_parts("opus", {("new", "opus"): usage(5)}, {}, PRICES).main == "volume"
    gone = cost_parts("sonnet", {}, {("chat", "sonnet"): usage(1000)}, PRICES)
    assert (gone.main, gone.parts["volume_usd"]) == ("volume", -usage(1000).usd)


def test_more_requests_after_slow_answers_are_for_latency_and_no_more_of_them_are_retries_than_came() -> None:
    found = parts(usage(1500, failed=200), is_latency_first=True)
    assert found.parts["retry_usd"] == 200 * usage(1).usd
    assert found.parts["latency_usd"] == 300 * usage(1).usd
    assert found.parts["volume_usd"] == 0
    assert parts(usage(1500, failed=9000)).parts["retry_usd"] == 500 * usage(1).usd
    assert parts(usage(900, failed=500), is_latency_first=True).parts["volume_usd"] == -100 * usage(1).usd


def test_without_prices_a_lost_cache_is_a_price_that_rose() -> None:
    cells = {("chat", "sonnet"): usage(1000, fresh=2000, read=0)}
    found = cost_parts("sonnet", cells, {("chat", "sonnet"): usage(1000)}, Prices())
    assert (found.main, found.parts["cache_usd"]) == ("price", 0)


_COUNT = st.integers(0, 10**9).map(Decimal)
_USAGE = st.builds(
    Usage,
    requests=st.integers(0, 10**6).map(Decimal),
    fresh=_COUNT,
    cache_read=_COUNT,
    cache_write=_COUNT,
    output=_COUNT,
    usd=st.decimals(0, 10**9, places=12),
    failed=_COUNT,
)
_CELLS = st.dictionaries(st.tuples(st.sampled_from(["", "chat"]), st.sampled_from("abc")), _USAGE, max_size=6)
_PRICE = st.decimals(0, "0.001", places=14)


@settings(max_examples=100, deadline=None)
@given(_CELLS, _CELLS, st.builds(Prices, _PRICE, _PRICE, _PRICE, _PRICE), st.booleans())
def test_the_parts_always_add_up_and_nothing_differs_where_nothing_changed(
    now: Cells, usual: Cells, prices: Prices, slow: bool
) -> None:
    found = cost_parts("a", now, usual, prices, is_latency_first=slow)
    exact = sum(
        (u.usd * sign for cells, sign in ((now, 1), (usual, -1)) for (_, m), u in cells.items() if m == "a"), Decimal(0)
    )
    assert sum(found.parts.values()) == found.usd == exact.quantize(Decimal("1e-6"))
    assert set(found.parts) == set(PARTS)
    same = cost_parts("a", now, now, prices, is_latency_first=slow)
    assert not any(same.parts.values())
    assert 0.0 <= found.main_share <= 1.0
