"""Repeats: which events of a batch came before, in the batch itself or, probably, not long ago.

Belongs here: what memory alone can say. What the table holds is the store's to say, and always has the last word.
"""

import numpy as np
import numpy.typing as npt

from lah_platform.landing.columns import EventColumns

__all__ = ["RecentEvents", "fingerprints", "first_of_each"]

Places = npt.NDArray[np.intp]
_ODD = np.uint64(0x9E3779B97F4A7C15)  # Fibonacci hashing's multiplier (Knuth, TAOCP 3, 6.4)


def fingerprints(events: EventColumns) -> npt.NDArray[np.uint64]:
    """8 bytes of each identity: repeats have the same, others nearly never."""
    words = np.ascontiguousarray(events.event_ids.octets).view(np.uint64)
    mixed: npt.NDArray[np.uint64] = (words[:, 0] * _ODD ^ words[:, 1]) * _ODD ^ events.timestamps_us.view(np.uint64)
    return mixed


def first_of_each(events: EventColumns) -> Places:
    """The places of each identity's first record, in the batch's order of records."""
    order = np.argsort(events.positions, kind="stable")
    prints = fingerprints(events)[order]
    _, first, counts = np.unique(prints, return_index=True, return_counts=True)
    if len(first) == len(prints):
        return order
    doubtful = np.isin(prints, prints[first[counts > 1]])
    keep = ~doubtful
    places = np.flatnonzero(doubtful)
    seen = set()
    for place, identity in zip(places.tolist(), events.take(order[places]).identities(), strict=True):
        keep[place] = identity not in seen
        seen.add(identity)
    return order[keep]


class RecentEvents:
    """Remembers between `capacity` and twice as many fingerprints (about 65 bytes each), the newest ones."""

    def __init__(self, capacity: int = 400_000) -> None:
        self._capacity = capacity
        self._newer: set[int] = set()
        self._older: set[int] = set()

    def seen(self, events: EventColumns) -> npt.NDArray[np.bool_]:
        """Which of the events probably came before; all of them are remembered now."""
        prints = fingerprints(events).tolist()
        known = self._newer.intersection(prints) | self._older.intersection(prints)
        self._newer.update(prints)
        if len(self._newer) >= self._capacity:
            self._newer, self._older = set(), self._newer
        if not known:
            return np.zeros(len(prints), np.bool_)
        return np.array([each in known for each in prints], np.bool_)
