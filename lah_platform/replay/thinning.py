"""Keeping fewer events while every source, every kind and the whole time span remain.

Belongs here: how many and which. Does not: what the events are.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lah_platform.replay.wire import Draft

__all__ = ["Unit", "evenly", "shares", "thin"]


class Unit(NamedTuple):
    """Events that stay or go together; `is_kept` marks the ones a scenario would be false without."""

    stratum: str
    events: list[Draft]
    is_kept: bool = False


def evenly(size: int, count: int) -> npt.NDArray[np.int64]:
    """`count` positions of `size`, evenly spaced, with the first and the last among them where two fit."""
    if count >= size:
        return np.arange(size, dtype=np.int64)
    if count == 1:
        return np.array([size - 1], dtype=np.int64)
    return np.round(np.linspace(0, size - 1, max(count, 0))).astype(np.int64)


def shares(sizes: Mapping[str, int], weights: Mapping[str, float], budget: int | None) -> dict[str, int]:
    """How many of `budget` events each source may keep: by weight, what one does not need going to the others.

    A source with any events keeps at least one, even beyond the budget. None keeps everything.
    """
    if budget is None or sum(sizes.values()) <= budget:
        return dict(sizes)
    kept: dict[str, int] = {}
    open_sources = [name for name, size in sizes.items() if size]
    left = budget
    while open_sources:
        total = sum(weights[name] for name in open_sources)
        full = [name for name in open_sources if sizes[name] <= left * weights[name] / total]
        if not full:
            for name in open_sources:
                kept[name] = max(1, int(left * weights[name] / total))
            break
        for name in full:
            kept[name] = sizes[name]
        left -= sum(sizes[name] for name in full)
        open_sources = [name for name in open_sources if name not in full]
    return {name: kept.get(name, 0) for name in sizes}


def thin(units: Sequence[Unit], budget: int) -> list[Draft]:
    """About `budget` events: the kept units whole, then of each stratum the same share, evenly over its time."""
    kept = [unit for unit in units if unit.is_kept]
    strata: dict[str, list[Unit]] = {}
    for unit in units:
        if not unit.is_kept:
            strata.setdefault(unit.stratum, []).append(unit)
    free = budget - sum(len(unit.events) for unit in kept)
    full = sum(len(unit.events) for members in strata.values() for unit in members)
    share = max(free, 0) / full if full > 0 and free < full else 1.0
    for number, members in enumerate(strata.values()):
        ordered = sorted(members, key=lambda unit: unit.events[0].at_us)
        count = int(len(ordered) * share)
        if count:
            kept += [ordered[place] for place in evenly(len(ordered), count)]
        else:  # one of each kind, and together they span the time
            kept.append(ordered[(len(ordered) - 1) * number // max(1, len(strata) - 1)])
    return [event for unit in kept for event in unit.events]
