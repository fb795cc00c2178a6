"""The obvious slow oracle of daily costs: one event after the other, fractions instead of columns."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import date, datetime
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from fractions import Fraction
from typing import Any

from lah_platform.costs.price_book import PriceRow

Daily = dict[tuple[date, str, str, str, str, str], dict[str, Any]]
BUCKETS = ("input_fresh_tokens", "input_cache_read_tokens", "input_cache_write_tokens")


def naive_price(event: dict[str, Any], prices: Sequence[PriceRow]) -> Decimal | None:
    """The event's request by the only price that is valid then, rounded half to even at 12 places."""
    found = [
        price
        for price in prices
        if price.model == event["priced_model"]
        and price.valid_from <= event["ts"]
        and (price.valid_to is None or event["ts"] < price.valid_to)
    ]
    if not found or (event["input_tokens"] is None and event["output_tokens"] is None and not naive_is_split(event)):
        return None
    (price,) = found
    fresh, read, write, unknown = naive_buckets(event)
    usd = Fraction(price.input_usd_per_mtok) * (fresh + unknown)
    usd += (
        Fraction(price.input_usd_per_mtok if price.cache_read_usd_per_mtok is None else price.cache_read_usd_per_mtok)
        * read
    )
    usd += (
        Fraction(price.input_usd_per_mtok if price.cache_write_usd_per_mtok is None else price.cache_write_usd_per_mtok)
        * write
    )
    usd += Fraction(price.output_usd_per_mtok) * naive_output(event)
    usd /= 1_000_000
    with localcontext() as context:
        context.prec = 60
        return (Decimal(usd.numerator) / usd.denominator).quantize(Decimal("1e-12"), rounding=ROUND_HALF_EVEN)


def naive_is_split(event: dict[str, Any]) -> bool:
    """Whether the producer said how it counts and the buckets make sense; a bucket of None was not said."""
    if event["token_derivation"] not in ("inclusive", "exclusive") or event["input_fresh_tokens"] is None:
        return False
    return all((event[name] or 0) >= 0 for name in BUCKETS)


def naive_buckets(event: dict[str, Any]) -> tuple[int, int, int, int]:
    """(fresh, cache read, cache write, unknown) input tokens."""
    if naive_is_split(event):
        fresh, read, write = (event[name] or 0 for name in BUCKETS)
        return fresh, read, write, 0
    return 0, 0, 0, event["input_tokens"] or 0


def naive_output(event: dict[str, Any]) -> int:
    """All output tokens: an exclusive producer's figure as sent leaves reasoning out."""
    visible, reasoning = event["output_visible_tokens"], event["output_reasoning_tokens"] or 0
    if naive_is_split(event) and visible is not None and visible >= 0 and reasoning >= 0:
        return visible + reasoning
    return event["output_tokens"] or 0


def naive_counted(events: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The events that count: token_usage only where no token_cost tells of the same request that day."""

    def repeats(usage: dict[str, Any]) -> bool:
        return any(
            cost["subtype"] == "token_cost"
            and usage["request_id"] not in (None, "")
            and (cost["tenant"], cost["request_id"], day_of(cost))
            == (usage["tenant"], usage["request_id"], day_of(usage))
            for cost in events
        )

    return [event for event in events if not (event["subtype"] == "token_usage" and repeats(event))]


def naive_daily(events: Sequence[dict[str, Any]], prices: Sequence[PriceRow]) -> Daily:
    """The columns of cost_daily by its key."""
    result: Daily = defaultdict(
        lambda: {
            "requests": 0,
            "input_tokens": 0,
            **dict.fromkeys(BUCKETS, 0),
            "input_unknown_tokens": 0,
            "output_tokens": 0,
            "reported_usd": Decimal(0),
            "priced_usd": None,
            "unpriced_requests": 0,
            "other_usd": Decimal(0),
        }
    )
    for event in naive_counted(events):
        key = (day_of(event), *(event[name] for name in ("tenant", "model", "environment", "service", "team")))
        row = result[key]
        if event["subtype"] in ("api_cost", "resource_consumption"):
            row["other_usd"] += event["cost_usd"] or 0
            continue
        row["requests"] += 1
        buckets = naive_buckets(event)
        for name, tokens in zip((*BUCKETS, "input_unknown_tokens"), buckets, strict=True):
            row[name] += tokens
        row["input_tokens"] += sum(buckets)
        row["output_tokens"] += naive_output(event)
        if event["subtype"] == "token_cost":
            row["reported_usd"] += event["cost_usd"] or 0
        priced = naive_price(event, prices)
        if priced is None:
            row["unpriced_requests"] += 1
        else:
            row["priced_usd"] = priced + (row["priced_usd"] or 0)
    return dict(result)


def day_of(event: dict[str, Any]) -> date:
    ts: datetime = event["ts"]
    return ts.date()
