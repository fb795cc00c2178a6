"""Costs per day: sums of priced requests and of other costs, by tenant, model, environment, service and team."""

import polars as pl

from lah_platform.costs.requests import OTHER_COSTS, REQUESTS
from lah_platform.errors import LahError

__all__ = ["COST_DAILY_SCHEMA", "CostOverflowError", "daily_costs"]

KEY = ("day", "tenant", "model", "environment", "service", "team")
_TOKENS = (
    "input_tokens",
    "input_fresh_tokens",
    "input_cache_read_tokens",
    "input_cache_write_tokens",
    "input_unknown_tokens",
    "output_tokens",
)
_MONEY = pl.Decimal(38, 12)
COST_DAILY_SCHEMA = pl.Schema(
    {
        "day": pl.Date(),
        "tenant": pl.String(),
        "model": pl.String(),
        "environment": pl.String(),
        "service": pl.String(),
        "team": pl.String(),
        "requests": pl.Int64(),
        **dict.fromkeys(_TOKENS, pl.Int64()),
        "reported_usd": _MONEY,
        "priced_usd": _MONEY,
        "unpriced_requests": pl.Int64(),
        "other_usd": _MONEY,
    }
)
"""Table cost_daily without computed_at."""

_MAX_TOKENS = 2**63 - 1  # bigint
_MAX_USD = 10**16  # numeric(28, 12)


class CostOverflowError(LahError):
    """A day's sum does not fit table cost_daily; only nonsensical token counts or amounts get there."""


def daily_costs(rows: pl.DataFrame) -> pl.DataFrame:
    """`rows` of `pricing.priced` as rows of COST_DAILY_SCHEMA, sorted by its key.

    `reported_usd` is what token_cost events said, `priced_usd` the same requests by the price book, null when none of
    them could be priced; `other_usd` is api_cost and resource_consumption. All sums are exact. A null cost_usd, as of
    costs in another currency, adds nothing.
    Raises CostOverflowError naming the row that does not fit the table.
    """
    is_request = pl.col("subtype").is_in(REQUESTS)
    cost_usd = pl.col("cost_usd").cast(_MONEY)
    sums = (
        rows.lazy()
        .group_by(KEY)
        .agg(
            is_request.sum().cast(pl.Int64).alias("requests"),
            *(pl.col(name).filter(is_request).sum() for name in _TOKENS),
            cost_usd.filter(pl.col("subtype") == "token_cost").sum().alias("reported_usd"),
            pl.when(pl.col("priced_usd").count() > 0).then(pl.col("priced_usd").sum()).alias("priced_usd"),
            (is_request & pl.col("priced_usd").is_null()).sum().cast(pl.Int64).alias("unpriced_requests"),
            cost_usd.filter(pl.col("subtype").is_in(OTHER_COSTS)).sum().alias("other_usd"),
        )
        .sort(KEY)
        .collect()
    )
    _refuse_overflow(sums)
    return sums.select(pl.col(name).cast(dtype) for name, dtype in COST_DAILY_SCHEMA.items())


def _refuse_overflow(sums: pl.DataFrame) -> None:
    too_large = pl.any_horizontal(
        *(pl.col(name) > _MAX_TOKENS for name in _TOKENS),
        *(pl.col(name).abs() >= _MAX_USD for name in ("reported_usd", "priced_usd", "other_usd")),
    )
    row = next(sums.filter(too_large).iter_rows(named=True), None)
    if row is not None:
        raise CostOverflowError(
            f"The costs of {row['day']}, tenant {row['tenant']}, model {row['model']!r} do not fit a 64-bit count "
            "or 16 digits of USD",
            "Look for events of that day with absurd token counts or amounts, and erase them",
        )
