"""What the price book says a request costs: exact, each request rounded once to a picodollar.

Does not belong here: which events are requests (`requests`), and sums of them (`daily`).
"""

from decimal import Decimal

import polars as pl

from lah_platform.costs.price_book import PRICE_SCALE, PriceBook
from lah_platform.costs.requests import REQUESTS

__all__ = ["priced"]

_USD_SCALE = 12
# A price is a whole number of 10**-14 USD per token; so are products with tokens, all in 128-bit integers.
# Decimal columns are not used: polars rounds their products to the larger of two scales, and overflows to null.
_UNITS_PER_PICO = 100
_PRICES = ("fresh_units", "read_units", "write_units", "output_units")
_BOOK_SCHEMA = pl.Schema(
    {
        "priced_model": pl.String(),
        "valid_from": pl.Datetime("us", "UTC"),
        "valid_to": pl.Datetime("us", "UTC"),
        **dict.fromkeys(_PRICES, pl.Int128()),
    }
)


def priced(rows: pl.DataFrame, book: PriceBook) -> pl.DataFrame:
    """`rows` of `cost_rows` with `priced_usd` (Decimal(38, 12)) by the prices in force at each row's `ts`.

    Null for what is no request, for a model the book does not have at that time, and for a request without tokens.
    Cache reads and writes without a price of their own, and input of unknown derivation, cost what fresh input costs.
    Prices of more than 6 decimals are rounded half to even per request, so sums of requests stay exact.
    """
    dated = rows.sort("ts", maintain_order=True).join_asof(
        _frame(book),
        left_on="ts",
        right_on="valid_from",
        by="priced_model",
        strategy="backward",
        check_sortedness=False,  # it cannot check within groups; both sides are sorted right here
    )
    is_priced = (
        pl.col("subtype").is_in(REQUESTS)
        & pl.col("has_tokens")
        & pl.col("fresh_units").is_not_null()
        & (pl.col("valid_to").is_null() | (pl.col("ts") < pl.col("valid_to")))
    )
    units = (
        (pl.col("input_fresh_tokens") + pl.col("input_unknown_tokens")) * pl.col("fresh_units")
        + pl.col("input_cache_read_tokens") * pl.col("read_units")
        + pl.col("input_cache_write_tokens") * pl.col("write_units")
        + pl.col("output_tokens") * pl.col("output_units")
    )
    pico = pl.col("units") // _UNITS_PER_PICO
    rest = pl.col("units") % _UNITS_PER_PICO
    half = _UNITS_PER_PICO // 2
    is_rounded_up = (rest > half) | ((rest == half) & (pico % 2 == 1))
    return (
        dated.with_columns(units=pl.when(is_priced).then(units))
        .with_columns(
            priced_usd=(pico + is_rounded_up.cast(pl.Int128)).cast(pl.Decimal(38, 0))
            * pl.lit(Decimal(1).scaleb(-_USD_SCALE), dtype=pl.Decimal(38, _USD_SCALE))
        )
        .drop("units", "valid_from", "valid_to", *_PRICES)
    )


def _frame(book: PriceBook) -> pl.DataFrame:
    return pl.DataFrame(
        [
            (
                row.model,
                row.valid_from,
                row.valid_to,
                *map(_units, (row.input_usd_per_mtok, row.cache_read, row.cache_write, row.output_usd_per_mtok)),
            )
            for row in book.rows
        ],
        schema=_BOOK_SCHEMA,
        orient="row",
    ).sort("valid_from")


def _units(usd_per_mtok: Decimal) -> int:
    return int(usd_per_mtok.scaleb(PRICE_SCALE))
