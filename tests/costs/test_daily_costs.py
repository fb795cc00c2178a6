"""Daily costs: nothing counted twice, nothing rounded away, and re-pricing only where prices changed."""

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lah_platform.costs.daily import COST_DAILY_SCHEMA, KEY, CostOverflowError, daily_costs
from lah_platform.costs.price_book import PriceBook, PriceRow
from lah_platform.costs.pricing import priced
from lah_platform.costs.requests import INPUT_BUCKETS, cost_rows
from tests.costs.naive import naive_counted, naive_daily, naive_price
from tests.costs.strategies import DAYS, FIRST_DAY, events, frame, price_row, price_rows


def costs(events: list[dict[str, Any]], prices: list[PriceRow]) -> pl.DataFrame:
    return daily_costs(priced(cost_rows(frame(events)), PriceBook(prices)))


def event(**changes: Any) -> dict[str, Any]:
    return {
        "ts": FIRST_DAY + timedelta(hours=1),
        "tenant": "acme",
        "subtype": "token_cost",
        "request_id": "r1",
        "priced_model": "gpt-a",
        "model": "gpt-a",
        "environment": "production",
        "service": "chat",
        "team": "search",
        "input_tokens": 1000,
        "output_tokens": 200,
        "input_fresh_tokens": 300,
        "input_cache_read_tokens": 600,
        "input_cache_write_tokens": 100,
        "output_visible_tokens": 200,
        "output_reasoning_tokens": None,
        "token_derivation": "inclusive",
        "cost_usd": Decimal("0.01"),
    } | changes


PRICE = price_row("gpt-a", FIRST_DAY, None, Decimal(3), Decimal(15), Decimal("0.3"), Decimal("3.75"))


@settings(deadline=None)
@given(events(), price_rows())
def test_daily_costs_equal_a_naive_recomputation(events: list[dict[str, Any]], prices: list[PriceRow]) -> None:
    table = costs(events, prices)
    assert table.schema == COST_DAILY_SCHEMA
    rows = {
        tuple(row[name] for name in KEY): {k: v for k, v in row.items() if k not in KEY} for row in table.to_dicts()
    }
    assert rows == naive_daily(events, prices)
    assert table.equals(table.sort(KEY))


@settings(deadline=None)
@given(events(), price_rows())
def test_input_tokens_are_always_the_sum_of_their_buckets(events: list[dict[str, Any]], prices: list[PriceRow]) -> None:
    table = costs(events, prices)
    assert (table["input_tokens"] == table.select(pl.sum_horizontal(INPUT_BUCKETS)).to_series()).all()


@settings(deadline=None)
@given(events(), price_rows())
def test_sums_over_groups_equal_sums_over_events_to_the_last_digit(
    events: list[dict[str, Any]], prices: list[PriceRow]
) -> None:
    table = costs(events, prices)
    requests = [event for event in naive_counted(events) if event["subtype"] in ("token_cost", "token_usage")]
    by_event = [naive_price(event, prices) for event in requests]
    assert table["priced_usd"].sum() == sum(usd for usd in by_event if usd is not None)
    assert table["unpriced_requests"].sum() == by_event.count(None)
    assert table["reported_usd"].sum() + table["other_usd"].sum() == sum(
        event["cost_usd"] or 0 for event in events if event["subtype"] != "token_usage"
    )


@settings(deadline=None)
@given(events(), price_rows(), st.integers(0, DAYS), st.integers(1, 1000))
def test_a_dated_price_change_leaves_the_days_before_it_alone(
    events: list[dict[str, Any]], prices: list[PriceRow], change_day: int, more: int
) -> None:
    change = FIRST_DAY + timedelta(days=change_day)
    table, changed = costs(events, prices), costs(events, raised_from(prices, change, more))
    before = pl.col("day") < change.date()
    assert changed.filter(before).equals(table.filter(before))
    assert changed.drop("priced_usd").equals(table.drop("priced_usd"))
    assert (changed["priced_usd"].fill_null(0) >= table["priced_usd"].fill_null(0)).all()


def raised_from(prices: list[PriceRow], change: datetime, more: int) -> list[PriceRow]:
    """The same book with every price `more` USD higher from `change` on."""
    result = []
    for row in prices:
        if row.valid_from < change:
            result.append(replace(row, valid_to=min(row.valid_to or change, change)))
        if row.valid_to is None or row.valid_to > change:
            result.append(
                replace(
                    row,
                    valid_from=max(row.valid_from, change),
                    input_usd_per_mtok=min(row.input_usd_per_mtok + more, Decimal(999_999)),
                    output_usd_per_mtok=min(row.output_usd_per_mtok + more, Decimal(999_999)),
                )
            )
    return result


def test_every_bucket_has_its_own_price() -> None:
    (row,) = costs([event()], [PRICE]).to_dicts()
    # 300 fresh at 3, 600 read at 0.3, 100 written at 3.75 and 200 out at 15 USD per million
    assert row["priced_usd"] == Decimal("0.000900") + Decimal("0.000180") + Decimal("0.000375") + Decimal("0.003")
    assert row["reported_usd"] == Decimal("0.01")


@pytest.mark.parametrize(("tokens", "pico_usd"), [(1, 0), (2, 1), (3, 2), (5, 2), (7, 4)])
def test_half_a_picodollar_is_rounded_to_the_even_one_per_request(tokens: int, pico_usd: int) -> None:
    half = price_row("gpt-a", FIRST_DAY, None, Decimal("0.0000005"), Decimal(1))
    request = event(token_derivation="unknown", input_tokens=tokens, output_tokens=0)
    (row,) = costs([request, request], [half]).to_dicts()
    assert row["priced_usd"] == 2 * Decimal(pico_usd).scaleb(-12)


def test_no_price_is_applied_from_the_instant_it_ends() -> None:
    end = FIRST_DAY + timedelta(hours=1)
    ended = [price_row("gpt-a", FIRST_DAY, end, Decimal(1), Decimal(1))]
    before, at = event(ts=end - timedelta(microseconds=1)), event(ts=end, request_id="r2")
    (row,) = costs([before, at], ended).to_dicts()
    assert (row["requests"], row["unpriced_requests"], row["priced_usd"]) == (2, 1, Decimal("0.0012"))


def test_input_of_unknown_derivation_costs_the_input_price_and_is_shown() -> None:
    (row,) = costs([event(token_derivation="unknown")], [PRICE]).to_dicts()
    assert row["priced_usd"] == Decimal("0.003") + Decimal("0.003")
    assert (row["input_unknown_tokens"], row["input_fresh_tokens"], row["input_cache_read_tokens"]) == (1000, 0, 0)


def test_an_exclusive_producers_cache_and_reasoning_are_added_to_what_it_sent() -> None:
    exclusive = event(token_derivation="exclusive", input_tokens=300, output_tokens=200, output_reasoning_tokens=50)
    (row,) = costs([exclusive], [PRICE]).to_dicts()
    assert (row["input_tokens"], row["output_tokens"]) == (1000, 250)
    assert row["priced_usd"] == Decimal("0.004455") + 50 * Decimal("0.000015")


def test_a_producer_that_says_how_it_counts_and_names_no_cache_used_none() -> None:
    plain = event(input_fresh_tokens=1000, input_cache_read_tokens=None, input_cache_write_tokens=None)
    (row,) = costs([plain], [PRICE]).to_dicts()
    assert (row["input_fresh_tokens"], row["input_unknown_tokens"], row["input_tokens"]) == (1000, 0, 1000)


def test_a_cost_in_another_currency_is_priced_and_reports_nothing() -> None:
    (row,) = costs([event(cost_usd=None)], [PRICE]).to_dicts()
    assert (row["reported_usd"], row["priced_usd"]) == (0, Decimal("0.004455"))


def test_a_request_told_twice_is_counted_once() -> None:
    usage = event(subtype="token_usage", cost_usd=None)
    (both,) = costs([usage, event()], [PRICE]).to_dicts()
    (alone,) = costs([event()], [PRICE]).to_dicts()
    assert both == alone


def test_usage_without_a_cost_event_is_priced_and_reports_nothing() -> None:
    (row,) = costs([event(subtype="token_usage", cost_usd=None)], [PRICE]).to_dicts()
    assert (row["requests"], row["reported_usd"], row["priced_usd"]) == (1, 0, Decimal("0.004455"))


@pytest.mark.parametrize("other", [{"tenant": "globex"}, {"request_id": "r2"}, {"ts": FIRST_DAY + timedelta(days=1)}])
def test_a_cost_event_of_another_tenant_request_or_day_hides_no_usage(other: dict[str, Any]) -> None:
    usage = event(subtype="token_usage", cost_usd=None)
    assert costs([usage, event(**other)], [PRICE])["requests"].sum() == 2


def test_a_model_the_book_does_not_have_is_unpriced_and_its_sum_is_null() -> None:
    (row,) = costs([event(priced_model="unlisted"), event(priced_model=None)], [PRICE]).to_dicts()
    assert (row["requests"], row["unpriced_requests"], row["priced_usd"]) == (2, 2, None)


def test_past_a_tenants_series_limit_requests_are_still_priced_by_their_own_model() -> None:
    (row,) = costs([event(model="__other__", environment="__other__")], [PRICE]).to_dicts()
    assert (row["model"], row["unpriced_requests"], row["priced_usd"]) == ("__other__", 0, Decimal("0.004455"))


def test_a_day_begins_at_midnight_utc() -> None:
    last, first = datetime.combine(FIRST_DAY, time.max, UTC), FIRST_DAY + timedelta(days=1)
    table = costs([event(ts=last), event(ts=first, request_id="r2")], [PRICE])
    assert table["day"].to_list() == [FIRST_DAY.date(), first.date()]


def test_nothing_in_nothing_out() -> None:
    table = costs([], [PRICE])
    assert table.is_empty()
    assert table.schema == COST_DAILY_SCHEMA


def test_the_largest_counts_are_priced_exactly() -> None:
    most = 2**63 - 1
    huge = event(input_tokens=most, output_tokens=0, token_derivation="unknown", output_visible_tokens=None)
    (row,) = costs([huge], [PRICE]).to_dicts()
    assert row["priced_usd"] == Decimal(most) * 3 / 1_000_000


def test_sums_that_do_not_fit_the_table_are_an_error_that_names_them() -> None:
    huge = event(input_tokens=2**63 - 1, token_derivation="unknown")
    with pytest.raises(CostOverflowError, match="2026-03-01, tenant acme, model 'gpt-a'"):
        costs([huge, huge | {"request_id": "r2"}], [PRICE])
