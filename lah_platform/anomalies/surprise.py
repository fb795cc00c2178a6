"""How surprising each value of a series is, judged one by one from the values before it: the core of level anomalies.

Four questions, each answered in powers of ten from 0 (usual) to 4: was such a value ever seen; was it ever so far from
the level before it; was it ever seen at this hour of a day; how far out is it in the tail of the series' own
deviations. "Seen" means novelty: the distance to the nearest value of the past as a share of the range of the past,
which is the nearest-neighbour score of conformal detectors (Burnaev and Ishimtsev, Conformalized density- and
distance-based anomaly detection, 2016) for patterns of one value. A value that has come before is hardly novel, so what
repeats is told once; and one no further from its nearest than the series usually steps is noise, whatever record it
breaks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import log10

import numpy as np

from lah_platform.anomalies.hours import HourBands
from lah_platform.anomalies.rolling import Floats, Ints
from lah_platform.anomalies.tail import Tail, TailMemory
from lah_platform.anomalies.window import SortedWindow

MOST = 4.0 + log10(3.0)
"""The greatest answer to a question of novelty; no surprise is greater."""

_DECADES = 4.0  # a ten-thousandth of the range and less counts as seen
_GREATEST = 3.0  # times the range of the past; beyond, more is not more surprising
_UNITS = 10.0  # smallest differences that mean something, which the range of the past holds at least
_TAIL_WEIGHT = 0.7  # of a decade of probability, so that the questions spread about alike
_WEIGHTS = 5.0  # never seen counts twice, the other three once; a question without an answer yet counts as no surprise
_MEAN_STEPS = 0.5  # where a few great steps make the mean, half of it counts as a usual step
_OUTLIER_STEPS = 4
_UNSURE = 20.0  # n / (n + 20): what a surprise shrinks by because the past is n values
_TINY = 1e-300


@dataclass(frozen=True, slots=True)
class Memory:
    """How far back the questions look, in values (days in days), and how much they need before they answer.

    Two weeks of five-minute values, nearly half a year of hours: the shorter the memory, the more often the same
    thing is news (NAB of the first question alone, 1,000 values: 61; 4,000: 69; 16,000: 67). Weeks know little, having
    seen an hour two to four times: they are believed from `week_share` of the range on.
    """

    values: int = 4000
    level: int = 2000
    recent: int = 288
    tail_warm_up: int = 20
    days: int = 28
    min_days: int = 3
    min_weeks: int = 2
    week_share: float = 0.8


@dataclass(frozen=True, slots=True)
class SurpriseMemory:
    """What a `Surprise` knows besides the values themselves: residuals by age, and its tail."""

    residuals: Floats
    tail: TailMemory


class Surprise:
    """What one series remembers: bounded, and a value takes about 8 microseconds."""

    __slots__ = ("_hours", "_last", "_level", "_memory", "_recent", "_residuals", "_steps", "_tail", "_values")

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._values = SortedWindow(memory.values)
        self._residuals = SortedWindow(memory.values)
        self._recent = SortedWindow(memory.recent)
        self._level = SortedWindow(memory.level)
        self._steps = SortedWindow(memory.recent)
        self._last: float | None = None
        self._tail = Tail(memory.values, memory.tail_warm_up)
        self._hours = HourBands(memory.days, memory.min_days, memory.min_weeks)

    def remembered(self) -> SurpriseMemory:
        """What `resumed` goes on from, together with the values."""
        return SurpriseMemory(np.array(self._residuals.by_age()), self._tail.remembered())

    @classmethod
    def resumed(cls, memory: Memory, values: Floats, hours: Ints | None, known: SurpriseMemory) -> Surprise:
        """The state after all of these values, oldest first, was judged: the same to the last bit.

        Of the values, those of `memory.days` and `memory.values` are needed; `hours` as in `judge`.
        """
        state = cls(memory)
        past = values[-memory.values - 1 :].tolist()
        state._values = SortedWindow(memory.values, past)
        state._residuals = SortedWindow(memory.values, known.residuals.tolist())
        state._recent = SortedWindow(memory.recent, past)
        state._level = SortedWindow(memory.level, past)
        steps = past[-memory.recent - 1 :]
        state._steps = SortedWindow(memory.recent, [abs(b - a) for a, b in pairwise(steps)])
        state._last = past[-1] if past else None
        state._tail = Tail.resumed(memory.values, memory.tail_warm_up, known.tail)
        if hours is not None:
            state._hours = HourBands.resumed(memory.days, memory.min_days, memory.min_weeks, hours, values)
        return state

    def judge(self, value: float, hour: int | None, unit: float, relative_unit: float) -> tuple[float, float]:
        """Surprise at a finite value, and the answer of its phase alone: of its hour of day, or of its hour of week
        where that is far out. Both 0..4.5; then the value belongs to the past.

        `hour` counts hours since the epoch and never goes back; None where a bucket is longer. No range counts as less
        than ten times `unit`, nor `relative_unit` as a share of the level, so that a flat series is no reason to tell
        of a trifle.
        """
        memory, values, residuals = self._memory, self._values, self._residuals
        by_day, by_week = (None, None) if hour is None else self._hours.distances(hour, value)
        total = by_phase = 0.0
        if self._last is not None:
            level, nearest = self._recent.median(), values.distance(value)
            smallest = max(unit, relative_unit * abs(level), _TINY)
            floor, residual = _UNITS * smallest, value - level
            scale = max(values.spread(), floor)
            total = 2.0 * _decades(nearest / scale)
            if len(residuals):
                total += _decades(residuals.distance(residual) / max(residuals.spread(), floor))
            total += min(_TAIL_WEIGHT * self._tail.decades(abs(value - self._level.median()), smallest), _DECADES)
            if by_day is not None:
                by_phase = _decades(by_day / scale)
                total += by_phase
            if by_week is not None and by_week > memory.week_share * scale:
                by_phase = max(by_phase, _decades(by_week / scale))
            if nearest < self._usual_step():
                total = 0.0
            residuals.add(residual)
            self._steps.add(abs(value - self._last))
        self._last = value
        self._recent.add(value)
        self._level.add(value)
        values.add(value)
        return total / _WEIGHTS * len(values) / (len(values) + _UNSURE), by_phase

    def _usual_step(self) -> float:
        """Between values one after the other; two outliers, which make four great steps, do not count."""
        steps = self._steps
        return max(steps.median(), _MEAN_STEPS * steps.mean_but(_OUTLIER_STEPS)) if len(steps) else 0.0


def _decades(share: float) -> float:
    return _DECADES + log10(min(share, _GREATEST)) if share > 1e-4 else 0.0


def surprises(
    values: Sequence[float], hours: Sequence[int] | None, unit: float, relative_unit: float, memory: Memory
) -> tuple[Floats, Floats]:
    """`Surprise.judge` of each of the values in turn: surprise, and the answer of the phase."""
    return judged(Surprise(memory), values, hours, unit, relative_unit)


def judged(
    state: Surprise, values: Sequence[float], hours: Sequence[int] | None, unit: float, relative_unit: float
) -> tuple[Floats, Floats]:
    """As `surprises`, by a state that goes on."""
    at = [None] * len(values) if hours is None else hours
    answers = [state.judge(value, hour, unit, relative_unit) for value, hour in zip(values, at, strict=True)]
    both = np.array(answers, dtype=np.float64).reshape(len(values), 2)
    return both[:, 0], both[:, 1]


def news(surprise: Floats, bucket: Sequence[int], fading: float) -> Floats:
    """The surprises that are news, 0 elsewhere: greater than any before it, of which `fading` is forgotten per bucket.

    This is the cool-down: what comes soon after an alarm must be more surprising to be one of its own.
    """
    result, heard, last = np.zeros(len(surprise)), 0.0, 0
    for place, (size, at) in enumerate(zip(surprise.tolist(), bucket, strict=True)):
        heard -= fading * (at - last)
        last = at
        if size > heard:
            result[place] = heard = size
    return result


def unrest(surprise: Floats, half_life: float) -> Floats:
    """How unsettled a series has been lately: the fourth root of the exponentially weighted mean fourth power."""
    keep = 0.5 ** (1.0 / half_life)
    mean, result = 0.0, np.empty(len(surprise))
    for place, size in enumerate((surprise**4).tolist()):
        mean = keep * mean + (1.0 - keep) * size
        result[place] = mean
    smoothed: Floats = result**0.25
    return smoothed
