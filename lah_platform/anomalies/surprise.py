"""How surprising each value of a series is, judged one by one from the values before it: the core of level anomalies.

Four questions, each answered in powers of ten from 0 (usual) to 4: was such a value ever seen; was it ever so far from
the level before it; was it ever seen at this hour of a day; how far out is it in the tail of the series' own deviations.
"Seen" means novelty: the distance to the nearest value of the past as a share of the range of the past, the simplest
conformal nearest-neighbour score (Burnaev and Ishimtsev, Conformalized density- and distance-based anomaly detection,
2016, with patterns of one value). A value that has come before is not novel, so what repeats is told once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log10

from lah_platform.anomalies.hours import HourBands
from lah_platform.anomalies.tail import Tail
from lah_platform.anomalies.window import SortedWindow

_DECADES = 4.0  # a ten-thousandth of the range and less counts as seen
_GREATEST = 3.0  # times the range of the past; beyond, more is not more surprising
_TAIL_WEIGHT = 0.7  # of a decade of probability, so that the four questions have about the same spread


@dataclass(frozen=True, slots=True)
class Memory:
    """How far back the questions look, in values (`days`: in days)."""

    values: int = 4000
    level: int = 2000
    recent: int = 288
    warm_up: int = 20
    tail_warm_up: int = 100
    days: int = 28
    min_days: int = 3


class Surprise:
    """State of one series: bounded, and a value takes about 15 microseconds."""

    __slots__ = ("_hours", "_level", "_memory", "_recent", "_residuals", "_tail", "_values")

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._values = SortedWindow(memory.values)
        self._recent = SortedWindow(memory.recent)
        self._residuals = SortedWindow(memory.values)
        self._level = SortedWindow(memory.level)
        self._tail = Tail(memory.values, memory.tail_warm_up)
        self._hours = HourBands(memory.days, memory.min_days)

    def judge(self, value: float, hour: int | None, floor: float) -> float:
        """Surprise at a finite value, 0..4, and take it into the past. `hour` counts hours since the epoch, None where a
        bucket is longer than an hour; `floor` is the smallest range that means something, > 0."""
        memory, values, residuals = self._memory, self._values, self._residuals
        off_hours = None if hour is None else self._hours.distance(hour, value)
        total, questions = 0.0, 3
        if len(values) >= memory.warm_up:
            scale = max(values.range(), floor)
            residual = value - self._recent.median()
            total += decades(values.distance(value) / scale)
            if len(residuals) >= memory.warm_up:
                total += decades(residuals.distance(residual) / max(residuals.range(), floor))
            total += min(_TAIL_WEIGHT * self._tail.decades(abs(value - self._level.median())), _DECADES)
            residuals.add(residual)
            if off_hours is not None:
                questions += 1
                total += decades(off_hours / scale)
        values.add(value)
        self._recent.add(value)
        self._level.add(value)
        return total / questions


def decades(share: float) -> float:
    """A share of the range in powers of ten above a ten-thousandth: 0 for nothing new, 4 for a whole range."""
    return _DECADES + log10(min(share, _GREATEST)) if share > 1e-4 else 0.0


def surprises(values: Sequence[float], hours: Sequence[int] | None, floor: float, memory: Memory) -> list[float]:
    """Surprise at each of the values in turn, as `Surprise.judge`."""
    state = Surprise(memory)
    if hours is None:
        return [state.judge(value, None, floor) for value in values]
    return [state.judge(value, hour, floor) for value, hour in zip(values, hours, strict=True)]
