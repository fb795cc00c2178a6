"""The planner: which stored windows' rows answer a query exactly, and as few of them as possible.

The coarsest stored window of which whole ones make up every bucket takes what it can of the range; what is left at the
ends, because the range does not begin or end with it, is taken by the next finer one, down to the minute.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from lah_platform.rollups.windows import Window
from lah_platform.timeseries.query import Query

__all__ = ["Segment", "plan"]

_BEYOND_A_MONTH_US = 32 * 86_400_000_000


@dataclass(frozen=True)
class Segment:
    """The rows of `window` whose buckets make up [from, to), µs since 1970 UTC."""

    window: Window
    from_us: int
    to_us: int


def plan(query: Query) -> tuple[Segment, ...]:
    """Segments in order of time, without gap or overlap, that cover the query's range."""
    return tuple(_cover(query.from_us, query.to_us, query.bucket.windows))


def _cover(from_us: int, to_us: int, windows: Sequence[Window]) -> Iterator[Segment]:
    if from_us >= to_us:
        return
    coarsest, *finer = windows
    inner_from, inner_to = _ceil(coarsest, from_us), _floor(coarsest, to_us)
    if inner_from >= inner_to:
        yield from _cover(from_us, to_us, finer)
        return
    yield from _cover(from_us, inner_from, finer)
    yield Segment(coarsest, inner_from, inner_to)
    yield from _cover(inner_to, to_us, finer)


def _floor(window: Window, at_us: int) -> int:
    return int(window.floor_us(np.array([at_us]))[0])


def _ceil(window: Window, at_us: int) -> int:
    start = _floor(window, at_us)
    if start == at_us:
        return at_us
    if window.length is None:
        return _floor(window, start + _BEYOND_A_MONTH_US)
    return start + int(window.length.total_seconds()) * 1_000_000
