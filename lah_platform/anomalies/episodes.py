"""From alarmed buckets to episodes: hysteresis, small gaps, start, peak and end."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lah_platform.anomalies.rolling import Bools, Floats, Ints


@dataclass(frozen=True, slots=True)
class Episode:
    """Positions (not bucket numbers) of an episode's first, most deviating and last bucket."""

    start: int
    peak: int
    end: int


def active(bucket: Ints, enter: Bools, hold: Bools, max_gap: int) -> Bools:
    """Which positions belong to an episode, judged from the positions up to each.

    One opens where `enter` holds and goes on as long as no more than `max_gap` buckets pass without `hold`.
    `bucket` numbers the positions in time, ascending, so that missing buckets count as quiet ones.
    """
    held = np.flatnonzero(hold | enter)
    result = np.zeros(len(bucket), dtype=np.bool_)
    if len(held) == 0:
        return result
    run = _runs(bucket[held], max_gap)
    run_start = np.flatnonzero(np.diff(run, prepend=-1))
    order = np.arange(len(held))
    last_enter = np.maximum.accumulate(np.where(enter[held], order, -1))
    result[held[last_enter >= run_start[run]]] = True
    return result


def episodes(bucket: Ints, is_active: Bools, deviation: Floats, max_gap: int) -> list[Episode]:
    """The episodes of `active` positions; the peak is the first bucket of greatest |deviation|."""
    positions = np.flatnonzero(is_active)
    if len(positions) == 0:
        return []
    parts = np.split(positions, np.flatnonzero(np.diff(_runs(bucket[positions], max_gap))) + 1)
    return [Episode(int(p[0]), int(p[np.abs(deviation[p]).argmax()]), int(p[-1])) for p in parts]


def _runs(bucket: Ints, max_gap: int) -> Ints:
    return np.cumsum(np.diff(bucket, prepend=bucket[:1]) > 1 + max_gap).astype(np.int64)
