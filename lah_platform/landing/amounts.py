"""Amounts of money by column, in units of the twelfth decimal place, which is what the column keeps."""

from collections.abc import Sequence
from decimal import Context, Decimal
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["units_of", "units_of_doubles"]

_PLACES = 12
_WIDE = Context(prec=60)  # the caller's own context may round
_UNITS = 10.0**_PLACES
_FEW_UNITS = 2.0**48
_SURELY_NEAREST = 0.25


def units_of_doubles(amounts: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """What `round_to_column` would make of the amounts as they were written, and for which of them that is certain.

    A double read from a decimal text is off by at most 2^-53 of the amount, and the product here by as much again:
    below 2^48 units (281 USD) together by less than 2^-4 of a unit. So the nearest unit is the written amount's too,
    unless the product lies about half way between two.
    """
    with np.errstate(over="ignore"):
        product = amounts * _UNITS
    nearest = np.rint(product)
    is_certain = np.abs(product) < _FEW_UNITS
    product, nearest = np.where(is_certain, product, 0.0), np.where(is_certain, nearest, 0.0)
    is_certain &= np.abs(product - nearest) < _SURELY_NEAREST
    return np.where(is_certain, nearest, 0.0).astype(np.int64), is_certain


def units_of(amounts: Sequence[Decimal | float | int]) -> npt.NDArray[Any]:
    """int64, or Python integers where those are too small.

    Decimals are rounded to the twelfth place already, and of doubles `units_of_doubles` was certain.
    """
    if set(map(type, amounts)) == {float}:
        return units_of_doubles(np.array(amounts, np.float64))[0]
    units = [
        int(_WIDE.scaleb(amount, _PLACES)) if isinstance(amount, Decimal) else round(amount * _UNITS)
        for amount in amounts
    ]
    try:
        return np.array(units, np.int64)
    except OverflowError:  # beyond 9.2 million
        return np.array(units, object)
