"""Scales on which errors of different sizes are alike, and the way back. Never for what can be negative."""

from collections.abc import Callable
from typing import Literal

import numpy as np

from lah_platform.forecasts.series import Floats

__all__ = ["Scale", "scale_of"]

Scale = Literal["log", "root"]
_To = Callable[[Floats], Floats]
_LEAST_SHARE = 1e-3


def scale_of(values: Floats, scale: Scale) -> tuple[_To, _To]:
    """There and back: logarithm or square root; both the identity where a value is negative.

    Where there are zeros the logarithm is of y + c, with c the smallest value above zero (1 for counts) and no less
    than a thousandth of the mean. The unit does not matter. Back from below the scale is zero.
    """
    if len(values) == 0 or values.min() < 0 or values.max() == 0:
        return _same, _same
    if scale == "root":
        return np.sqrt, _square
    if values.min() > 0:
        return np.log, np.exp
    c = max(float(values[values > 0].min()), _LEAST_SHARE * float(values.mean()))
    return (lambda y: np.log((y + c) / c)), (lambda x: np.maximum(c * np.expm1(x), 0.0))


def _same(y: Floats) -> Floats:
    return y


def _square(x: Floats) -> Floats:
    return np.maximum(x, 0.0) ** 2
