"""Which model id stands for which trace, and what its tokens cost at an instant.

The ids are those of the costs room's price book, so that reported and recomputed costs can be compared. Does not
belong here: the prices themselves and repricing; those are `lah_platform.costs`.
"""

from bisect import bisect_right
from datetime import datetime
from decimal import Decimal
from functools import cache
from typing import NamedTuple

from lah_platform.costs.price_book import PriceBook, PriceRow

__all__ = ["MODELS", "PARTS_PER_USD", "Price", "PriceHistory", "price_history", "usd"]

# The book's prices have at most eight decimals per million tokens: in parts of 10^-14 USD every token's price is a
# whole number, and a request's cost is exact integer arithmetic.
PARTS_PER_USD = 10**14
_PARTS_PER_TOKEN_OF_USD_PER_MTOK = PARTS_PER_USD // 10**6

# No trace names a commercial model: gpt-4 and kimi-k2 stand in (the largest model of the Azure service in 2023, and
# the model of Moonshot AI, whose service Mooncake is). ServeGen's anonymous names are kept and have no list price;
# llmperf measured Llama 2 chat at several providers, of which the book has one's price.
MODELS = {
    "azure-code": "gpt-4",
    "mooncake": "kimi-k2-0905-preview",
    "agents": "claude-sonnet-5",
    "assistant": "gpt-4o-mini",
    "m-small": "m-small",
    "m-large": "m-large",
    "deepseek-r1": "deepseek-r1",
    "7b": "llama-2-7b-chat",
    "13b": "llama-2-13b-chat",
    "70b": "llama-2-70b-chat",
}


class Price(NamedTuple):
    """Parts of 10^-14 USD per token."""

    input: int
    cache_read: int
    cache_write: int
    output: int

    def cost(self, input_tokens: int, output_tokens: int, cache_read: int = 0, cache_write: int = 0) -> int:
        """Parts of 10^-14 USD for a request whose `input_tokens` include cache reads and writes."""
        fresh = input_tokens - cache_read - cache_write
        return (
            fresh * self.input
            + cache_read * self.cache_read
            + cache_write * self.cache_write
            + output_tokens * self.output
        )


class PriceHistory(NamedTuple):
    """One model's prices in order of time: `rows[i]` begins at `starts_us[i]` (microseconds since 1970 UTC)."""

    starts_us: tuple[int, ...]
    rows: tuple[Price | None, ...]

    def at(self, at_us: int) -> Price | None:
        """The price in force at that instant, or None where the book has none."""
        index = bisect_right(self.starts_us, at_us) - 1
        return self.rows[index] if index >= 0 else None


@cache
def price_history(model: str) -> PriceHistory:
    """The prices of `model` in the book that comes with the hub; empty for a model it does not know."""
    changes: dict[int, Price | None] = {}
    for row in _book().rows:  # in order of time: a period's begin replaces the end of the one before
        if row.model == model:
            changes[_us(row.valid_from)] = _price(row)
            if row.valid_to is not None:
                changes[_us(row.valid_to)] = None
    return PriceHistory(tuple(changes), tuple(changes.values()))


def usd(parts: int) -> Decimal:
    """Parts of 10^-14 USD as exact USD."""
    return Decimal(parts) / PARTS_PER_USD


@cache
def _book() -> PriceBook:
    return PriceBook.shipped()


def _us(instant: datetime) -> int:
    return int(instant.timestamp()) * 1_000_000


def _price(row: PriceRow) -> Price:
    figures = (row.input_usd_per_mtok, row.cache_read, row.cache_write, row.output_usd_per_mtok)
    return Price(*(int(figure * _PARTS_PER_TOKEN_OF_USD_PER_MTOK) for figure in figures))
