"""How improbable a deviation is among the deviations of the same series before it, in powers of ten."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from math import log

import numpy as np

from lah_platform.anomalies.rolling import Floats, Ints
from lah_platform.anomalies.window import SortedWindow

_QUANTILE = 0.98  # beyond it the tail is fitted; 80 of 4,000 deviations lie there
_BEYOND = log(1.0 / (1.0 - _QUANTILE))
_FROM_MEDIAN = log(0.5 / (1.0 - _QUANTILE))
_ENOUGH = 5  # exceedances, from which their mean is believed
_LN_10 = log(10.0)


@dataclass(frozen=True, slots=True)
class TailMemory:
    """All that a `Tail` knows: deviations by age; numbers and sizes of exceedances, their sum, deviations ever seen."""

    past: Floats
    exceeded_at: Ints
    exceeded: Floats
    excess: float
    seen: int


class Tail:
    """Peaks over threshold with an exponential tail (Davison and Smith, JRSS B 52(3), 1990; shape 0).

    P(D > d) = 0.02 exp(-(d - q) / s) beyond the 98 % quantile q of the last `history` deviations. s is the mean of what
    exceeded q when it came, but at least half of what an exponential law through the median and q has, so that a
    quiet month does not make a trifle impossible.
    """

    __slots__ = ("_exceeded", "_excess", "_history", "_past", "_seen", "_warm_up")

    def __init__(self, history: int, warm_up: int) -> None:
        self._history, self._warm_up = history, warm_up
        self._past = SortedWindow(history)
        self._exceeded: deque[tuple[int, float]] = deque()
        self._excess, self._seen = 0.0, 0

    def remembered(self) -> TailMemory:
        """What `resumed` makes the same tail from."""
        at, sizes = np.array([at for at, _ in self._exceeded], np.int64), np.array([size for _, size in self._exceeded])
        return TailMemory(np.array(self._past.by_age()), at, sizes, self._excess, self._seen)

    @classmethod
    def resumed(cls, history: int, warm_up: int, memory: TailMemory) -> Tail:
        """A tail that goes on where another stood; history and warm-up must be its."""
        tail = cls(history, warm_up)
        tail._past = SortedWindow(history, memory.past.tolist())
        tail._exceeded.extend(zip(memory.exceeded_at.tolist(), memory.exceeded.tolist(), strict=True))
        tail._excess, tail._seen = memory.excess, memory.seen
        return tail

    def decades(self, deviation: float, floor: float) -> float:
        """-log10 of the tail probability of a deviation >= 0, 0 before the warm-up; then it belongs to the past.

        No scale is smaller than `floor` > 0.
        """
        past, result, excess = self._past, 0.0, 0.0
        if len(past) >= self._warm_up:
            quantile = past.quantile(_QUANTILE)
            scale = (quantile - past.median()) / _FROM_MEDIAN
            excess = deviation - quantile
            if len(self._exceeded) >= _ENOUGH:
                scale = max(self._excess / len(self._exceeded), scale / 2)
            result = max(_BEYOND + excess / max(scale, floor), 0.0) / _LN_10
        self._remember(deviation, excess)
        return result

    def _remember(self, deviation: float, excess: float) -> None:
        self._past.add(deviation)
        self._seen += 1
        if excess > 0.0:
            self._exceeded.append((self._seen, excess))
            self._excess += excess
        while self._exceeded and self._exceeded[0][0] <= self._seen - self._history:
            self._excess -= self._exceeded.popleft()[1]
