"""Demand that is mostly zero: how often something comes, times how much. Both return a mean rate, flat ahead."""

from itertools import pairwise

import numpy as np

from lah_platform.forecasts.series import Floats

__all__ = ["croston", "tsb"]

_SMOOTHING = 0.1


def croston(values: Floats, horizon: int, seasons: tuple[int, ...]) -> Floats:  # noqa: ARG001
    """Croston (1972) with the bias correction of Syntetos & Boylan (IJF 21, 2005): size / interval * (1 - a / 2)."""
    at = np.flatnonzero(values)
    if not len(at):
        return np.zeros(horizon)
    size, interval = float(values[at[0]]), float(at[0] + 1)
    for before, now in pairwise(at.tolist()):
        size += _SMOOTHING * (float(values[now]) - size)
        interval += _SMOOTHING * (float(now - before) - interval)
    return np.full(horizon, (1 - _SMOOTHING / 2) * size / interval)


def tsb(values: Floats, horizon: int, seasons: tuple[int, ...]) -> Floats:  # noqa: ARG001
    """Teunter, Syntetos & Babai (EJOR 214, 2011): the probability falls while nothing comes, so what died fades."""
    comes = values != 0
    if not comes.any():
        return np.zeros(horizon)
    probability, size = float(comes.mean()), float(values[comes][0])
    for value in values.tolist():
        probability += _SMOOTHING * ((value != 0) - probability)
        if value != 0:
            size += _SMOOTHING * (value - size)
    return np.full(horizon, probability * size)
