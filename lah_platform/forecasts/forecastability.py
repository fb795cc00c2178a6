"""How much of a series can be known beforehand, and a sentence that says whether that is enough."""

from math import log

import numpy as np

from lah_platform.forecasts.errors import Errors
from lah_platform.forecasts.series import Floats

__all__ = ["PROMISED_MAPE", "forecastability", "verdict"]

PROMISED_MAPE = 0.12  # what products of this kind claim for every series


def forecastability(values: Floats) -> float | None:
    """1 minus the spectral entropy of the values, over its largest: 0 is white noise, 1 one sine wave.

    Goerg (Forecastable component analysis, ICML 2013). None for a constant and for fewer than eight values. The
    periodogram is averaged over neighbouring frequencies, without which noise looks like many waves.
    """
    n = len(values)
    if n < 8 or values.max() - values.min() <= 1e-12 * max(float(np.abs(values).max()), 1e-300):
        return None
    values = values / np.abs(values).max()
    power = np.abs(np.fft.rfft(values - values.mean()))[1:] ** 2
    width = max(int(n**0.5 / 4), 1)
    power = np.convolve(power, np.ones(width) / width, mode="same")
    share = power / power.sum()
    share = share[share > 0]
    return min(max(1.0 + float((share * np.log(share)).sum()) / log(len(power)), 0.0), 1.0)


def verdict(errors: Errors, origins: int) -> str:
    """What the backtest says, in one sentence."""
    if errors.mape is None:
        return "Unknown: too short a history for a backtest." if not origins else "Nothing came in the backtest."
    told = f"{100 * errors.mape:.3g} % MAPE in the backtest of {origins} origin{'s' if origins > 1 else ''}"
    if errors.mape <= PROMISED_MAPE:
        return f"Can be forecast: {told}."
    return f"Cannot be forecast under {100 * PROMISED_MAPE:.0f} % MAPE: {told}."
