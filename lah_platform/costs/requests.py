"""Which events are requests, and how a request's input splits into disjoint token buckets.

Does not belong here: prices (`pricing`) and sums (`daily`).
"""

import polars as pl

__all__ = ["COST_EVENTS_SCHEMA", "INPUT_BUCKETS", "OTHER_COSTS", "REQUESTS", "cost_rows"]

COST_EVENTS_SCHEMA = pl.Schema(
    {
        "ts": pl.Datetime("us", "UTC"),
        "tenant": pl.String(),
        "subtype": pl.String(),
        "request_id": pl.String(),
        "priced_model": pl.String(),  # as the event says it; `model` and what follows are those of its series
        "model": pl.String(),
        "environment": pl.String(),
        "service": pl.String(),
        "team": pl.String(),
        "input_tokens": pl.Int64(),
        "output_tokens": pl.Int64(),
        "input_fresh_tokens": pl.Int64(),
        "input_cache_read_tokens": pl.Int64(),
        "input_cache_write_tokens": pl.Int64(),
        "output_visible_tokens": pl.Int64(),
        "output_reasoning_tokens": pl.Int64(),
        "token_derivation": pl.String(),
        "cost_usd": pl.Decimal(38, 12),
    }
)
"""One row per event of cost/token_cost, telemetry/token_usage, cost/api_cost and cost/resource_consumption."""

REQUESTS = ("token_cost", "token_usage")
OTHER_COSTS = ("api_cost", "resource_consumption")
INPUT_BUCKETS = ("input_fresh_tokens", "input_cache_read_tokens", "input_cache_write_tokens", "input_unknown_tokens")
_KNOWN_DERIVATIONS = ("inclusive", "exclusive")
# Two counts that each fit a bigint need not do so together
_TOKENS = pl.Int128()


def cost_rows(events: pl.DataFrame) -> pl.DataFrame:
    """The events that count, each once, with `day` (UTC), disjoint INPUT_BUCKETS and their sum as `input_tokens`.

    `events` has COST_EVENTS_SCHEMA. A token_usage event tells the tokens of a request; where a token_cost event of
    the same day, tenant and request_id repeats them, it is left out. An empty request_id names no request, so such
    events are all kept.

    As in the columns of `events`, a bucket that is null was not said. Where the producer stated how it counts
    (`inclusive`, `exclusive`), `input_tokens` and `output_tokens` are the sums of the buckets, whether or not the
    figure as sent includes them. Elsewhere they are as sent, and all input is `input_unknown_tokens`.
    """
    rows = events.with_columns(
        day=pl.col("ts").dt.date(),
        request_id=pl.when(pl.col("request_id") != "").then(pl.col("request_id")),
    )
    paired = rows.filter(pl.col("subtype") == "token_cost").select("day", "tenant", "request_id").unique()
    usage = rows.filter(pl.col("subtype") == "token_usage")
    counted = pl.concat(
        [
            rows.filter(pl.col("subtype").is_in(("token_cost", *OTHER_COSTS))),
            usage.join(paired, on=["day", "tenant", "request_id"], how="anti"),
        ]
    )
    return counted.with_columns(_buckets()).with_columns(input_tokens=pl.sum_horizontal(INPUT_BUCKETS))


def _buckets() -> list[pl.Expr]:
    stated = [pl.col(name) for name in INPUT_BUCKETS[:3]]
    is_split = (
        pl.col("token_derivation").is_in(_KNOWN_DERIVATIONS).fill_null(value=False)
        & stated[0].is_not_null()
        & pl.all_horizontal(bucket.fill_null(0) >= 0 for bucket in stated)
    )
    visible, reasoning = pl.col("output_visible_tokens"), pl.col("output_reasoning_tokens").fill_null(0)
    is_output_split = is_split & (visible >= 0).fill_null(value=False) & (reasoning >= 0)
    as_sent = pl.col("input_tokens"), pl.col("output_tokens")
    return [
        *(pl.when(is_split).then(bucket.fill_null(0)).otherwise(0).cast(_TOKENS) for bucket in stated),
        pl.when(is_split).then(0).otherwise(as_sent[0].fill_null(0)).cast(_TOKENS).alias("input_unknown_tokens"),
        pl.when(is_output_split)
        .then(visible.cast(_TOKENS) + reasoning.cast(_TOKENS))
        .otherwise(as_sent[1].fill_null(0).cast(_TOKENS))
        .alias("output_tokens"),
        (is_split | is_output_split | as_sent[0].is_not_null() | as_sent[1].is_not_null()).alias("has_tokens"),
    ]
