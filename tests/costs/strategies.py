"""Events and price books as hypothesis makes them: few names, so that requests meet and prices apply."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
from hypothesis import strategies as st

from lah_platform.costs.price_book import PriceRow
from lah_platform.costs.requests import COST_EVENTS_SCHEMA

FIRST_DAY = datetime(2026, 3, 1, tzinfo=UTC)
DAYS = 4
MODELS = ("gpt-a", "gpt-b", "unlisted")

# on the hour as well, so that events happen at the very instant a price changes
instants = st.one_of(
    st.integers(0, DAYS * 86_400_000_000 - 1).map(lambda us: FIRST_DAY + timedelta(microseconds=us)),
    st.integers(0, DAYS * 24 - 1).map(lambda hours: FIRST_DAY + timedelta(hours=hours)),
)
_tokens = st.one_of(st.none(), st.integers(0, 100), st.integers(0, 2**40))
_bucket = st.one_of(_tokens, st.integers(-5, 5))
_usd = st.decimals(min_value=-10, max_value=10**9, places=12)
_price = st.one_of(
    st.decimals(min_value=0, max_value=999_999, places=8), st.sampled_from([Decimal("0.00000001"), Decimal(3)])
)


@st.composite
def events(draw: st.DrawFn) -> list[dict[str, Any]]:
    return draw(
        st.lists(
            st.fixed_dictionaries(
                {
                    "ts": instants,
                    "tenant": st.sampled_from(["acme", "globex"]),
                    "subtype": st.sampled_from(["token_cost", "token_usage", "api_cost", "resource_consumption"]),
                    "request_id": st.sampled_from([None, "", "r1", "r2", "r3"]),
                    "priced_model": st.sampled_from([*MODELS, None]),
                    "model": st.sampled_from(["gpt-a", "__other__", ""]),
                    "environment": st.sampled_from(["production", "staging"]),
                    "service": st.just("chat"),
                    "team": st.sampled_from(["", "search"]),
                    "input_tokens": _tokens,
                    "output_tokens": _tokens,
                    "input_fresh_tokens": _bucket,
                    "input_cache_read_tokens": _bucket,
                    "input_cache_write_tokens": _bucket,
                    "output_visible_tokens": _bucket,
                    "output_reasoning_tokens": _bucket,
                    "token_derivation": st.sampled_from(["inclusive", "exclusive", "unknown", None]),
                    "cost_usd": st.one_of(st.none(), _usd),
                }
            ),
            max_size=30,
        )
    )


@st.composite
def price_rows(draw: st.DrawFn) -> list[PriceRow]:
    """Prices of two models; consecutive periods of a model may touch and may leave gaps, and never overlap."""
    rows = []
    for model in MODELS[:2]:
        edges = sorted(draw(st.lists(instants, max_size=6, unique=True)))
        for start, end in zip(edges[::2], [*edges[1::2], None], strict=False):
            rows.append(
                price_row(
                    model, start, end, *(draw(_price) for _ in range(2)), *(draw(st.none() | _price) for _ in range(2))
                )
            )
    return rows


def price_row(
    model: str,
    valid_from: datetime,
    valid_to: datetime | None,
    input_usd: Decimal,
    output_usd: Decimal,
    cache_read_usd: Decimal | None = None,
    cache_write_usd: Decimal | None = None,
) -> PriceRow:
    return PriceRow(
        model=model,
        provider="somebody",
        valid_from=valid_from,
        valid_to=valid_to,
        input_usd_per_mtok=input_usd,
        cache_read_usd_per_mtok=cache_read_usd,
        cache_write_usd_per_mtok=cache_write_usd,
        output_usd_per_mtok=output_usd,
        source="a test",
    )


def frame(events: list[dict[str, Any]]) -> pl.DataFrame:
    return pl.DataFrame(events, schema=COST_EVENTS_SCHEMA, orient="row")
