"""Rolling-origin backtests: the error a method would have made on buckets it had not seen."""

import numpy as np

from lah_platform.forecasts.methods import Method, NotFitted
from lah_platform.forecasts.series import Bools, Floats

__all__ = ["backtest_wape"]

_MOST_ORIGINS = 3
_BLOCK = 24  # without a season; with one, a season is held out at a time


def backtest_wape(
    method: Method, values: Floats, is_observed: Bools, period: int, horizon: int, level: float, *, non_negative: bool
) -> float | None:
    """Weighted absolute percentage error, sum |actual - forecast| / sum |actual|, over up to three held-out blocks.

    Parameters are estimated once, before the first block; every block is forecast from all that came before it
    (Tashman 2000, rolling origin without recalibration). A block is a season long (24 buckets where there is none)
    and no longer than the horizon. Only observed buckets count. None when the history is too short for a block, the
    method does not apply to what is left, or everything held out is zero.
    """
    least = max(2 * period, len(values) // 2)
    block = min(horizon, period if period > 1 else _BLOCK, len(values) - least)
    if block < 1:
        return None
    origins = min(_MOST_ORIGINS, (len(values) - least) // block)
    errors = actuals = 0.0
    try:
        fitted = method(values[: len(values) - origins * block], period)
        for origin in range(origins, 0, -1):
            start = len(values) - origin * block
            ahead = fitted.predict(values[:start], is_observed[:start], block, level).value
            held_out, counts = values[start : start + block], is_observed[start : start + block]
            errors += float(np.abs(held_out - (ahead.clip(min=0) if non_negative else ahead))[counts].sum())
            actuals += float(np.abs(held_out)[counts].sum())
    except NotFitted:
        return None
    return errors / actuals if actuals > 0 else None
