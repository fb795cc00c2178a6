"""How far forecasts were off, as shares: 0.1 is 10 %. None where a measure does not exist."""

from dataclasses import dataclass

import numpy as np

from lah_platform.forecasts.series import Bools, Floats

__all__ = ["Errors", "errors_of", "naive_step"]

_NOTHING = 1e-150  # smaller values are 0, as in `series`


@dataclass(frozen=True)
class Errors:
    """MAPE without the buckets that are 0; sMAPE up to 2; WAPE, sum |y - f| / sum |y|; MASE against the naive step."""

    mape: float | None
    smape: float | None
    wape: float | None
    mase: float | None


def errors_of(actual: Floats, forecast: Floats, is_judged: Bools, step: float) -> Errors:
    """Of arrays of one shape; `step` is `naive_step` of the past.

    sMAPE is the M4 competition's, 2 |y - f| / (|y| + |f|) and 0 where both are 0 (Makridakis, Spiliotis &
    Assimakopoulos, IJF 36(1), 2020).
    """
    y, f = actual[is_judged], forecast[is_judged]
    if not len(y):
        return Errors(None, None, None, None)
    miss, size = np.abs(y - f), np.abs(y) + np.abs(f)
    is_some = np.abs(y) > _NOTHING
    return Errors(
        mape=float(np.mean(miss[is_some] / np.abs(y[is_some]))) if is_some.any() else None,
        smape=float(np.mean(np.divide(2 * miss, size, out=np.zeros_like(miss), where=size > 0))),
        wape=float(miss.sum() / np.abs(y).sum()) if is_some.any() else None,
        mase=float(miss.mean()) / step if step > 0 else None,
    )


def naive_step(values: Floats, period: int) -> float:
    """The mean size of the seasonal naive method's one-season steps (Hyndman & Koehler, IJF 22(4), 2006); 0: none."""
    return float(np.abs(values[period:] - values[:-period]).mean()) if len(values) > period else 0.0
