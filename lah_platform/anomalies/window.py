"""The last so many numbers of a series, kept in order of size: what streaming medians, quantiles and neighbours need.

A list with binary search: at 4,000 numbers an insertion with its removal takes about a microsecond.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Sequence
from math import fsum

_OUTLIERS = 2
_FEW = 10


class SortedWindow:
    """Up to `size` numbers, the newest ones; all must be finite."""

    __slots__ = ("_by_age", "_size", "ordered")

    def __init__(self, size: int, numbers: Sequence[float] = ()) -> None:
        """`numbers` are what was taken in before, oldest first."""
        self._size = size
        self._by_age: deque[float] = deque(numbers, size)
        self.ordered: list[float] = sorted(self._by_age)

    def __len__(self) -> int:
        return len(self.ordered)

    def add(self, value: float) -> None:
        """Take a number in; the oldest leaves when the window is full."""
        ordered, by_age = self.ordered, self._by_age
        if len(by_age) == self._size:
            del ordered[bisect_left(ordered, by_age.popleft())]
        by_age.append(value)
        insort(ordered, value)

    def by_age(self) -> list[float]:
        """The numbers, oldest first: what a window of this size is made from again."""
        return list(self._by_age)

    def median(self) -> float:
        """Median; IndexError when empty."""
        ordered, middle = self.ordered, len(self.ordered) // 2
        if len(ordered) % 2:
            return ordered[middle]
        return (ordered[middle - 1] + ordered[middle]) / 2

    def mean_but(self, greatest: int) -> float:
        """Mean without so many of the greatest; summed exactly, so what has left does not show; 0 for none."""
        kept = self.ordered[: max(len(self.ordered) - greatest, 0)]
        return fsum(kept) / len(kept) if kept else 0.0

    def quantile(self, share: float) -> float:
        """The lower of the two numbers that the quantile lies between; IndexError when empty."""
        return self.ordered[int(share * (len(self.ordered) - 1))]

    def spread(self) -> float:
        """Range without the two greatest and the two smallest, so that two outliers on a side do not blind; of fewer
        than ten numbers the whole range. IndexError when empty."""
        apart = _OUTLIERS if len(self.ordered) >= _FEW else 0
        return self.ordered[-1 - apart] - self.ordered[apart]

    def distance(self, value: float) -> float:
        """How far the nearest number is; IndexError when empty."""
        ordered = self.ordered
        place = bisect_left(ordered, value)
        if place == len(ordered):
            return value - ordered[-1]
        above = ordered[place] - value
        if not place:
            return above
        below = value - ordered[place - 1]
        return above if above < below else below
