"""What a forecast would be with more or fewer requests, or at other prices."""

import polars as pl

from lah_platform.forecasts.metrics import COSTS, VOLUMES

__all__ = ["factor_of", "what_if"]

_AMOUNTS = ("value", "lower", "upper", "lower_80", "upper_80")


def factor_of(metric: str, *, growth: float = 1.0, price: float = 1.0) -> float:
    """By what a metric's values are multiplied: volumes by growth, costs by growth and price, all others by 1.

    Raises ValueError for a factor that is negative or not finite.
    """
    for factor in (growth, price):
        if not 0 <= factor < float("inf"):
            raise ValueError(f"a factor of {factor} makes no sense")
    if metric in COSTS:
        return growth * price
    return growth if metric in VOLUMES else 1.0


def what_if(frame: pl.DataFrame, *, growth: float = 1.0, price: float = 1.0) -> pl.DataFrame:
    """`frame` (FORECAST_SCHEMA) with `growth` times the requests and `price` times the prices, proportionally.

    That intervals grow like the value is what they do when every customer does more of the same; it says nothing of
    prices that depend on volume.
    """
    factors = {metric: factor_of(metric, growth=growth, price=price) for metric in frame["metric"].unique().to_list()}
    by_metric = pl.col("metric").replace_strict(factors, return_dtype=pl.Float64) if factors else pl.lit(1.0)
    return frame.with_columns(pl.col(name) * by_metric for name in _AMOUNTS)
