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
    mixed = (mixed ^ mixed >> np.uint64(32)) * _ODD  # ids that differ in one byte only differ in all bits now
    return mixed ^ mixed >> np.uint64(29)


def first_of_each(events: EventColumns) -> Places:
    """The places of each identity's first record, in the batch's order of records."""
    order = np.argsort(events.positions, kind="stable")
    prints = fingerprints(events)[order]
    ordered = np.sort(prints)
    repeated = ordered[1:][ordered[1:] == ordered[:-1]]
    if not len(repeated):
        return order
    doubtful = np.isin(prints, repeated)
    keep = ~doubtful
    places = np.flatnonzero(doubtful)
    seen = set()
    for place, identity in zip(places.tolist(), events.take(order[places]).identities(), strict=True):
        keep[place] = identity not in seen
        seen.add(identity)
    return order[keep]


class RecentEvents:
    """Remembers between `capacity` and twice as many of the newest fingerprints, in two Bloom filters of 16 MB.

    A repeat is never missed while it is remembered, and of 200,000 events that did not come before about one is taken
    for a repeat.
    """

    def __init__(self, capacity: int = 400_000) -> None:
        self._capacity = capacity
        self._count = 0
        self._newer, self._older = _empty_filter(), _empty_filter()

    def seen(self, events: EventColumns) -> npt.NDArray[np.bool_]:
        """Which of the events probably came before; all of them are remembered now."""
        prints = fingerprints(events)
        words, bits = prints >> np.uint64(64 - _FILTER_WORDS_LOG2), _bits(prints)
        known: npt.NDArray[np.bool_] = (self._newer[words] & bits == bits) | (self._older[words] & bits == bits)
        np.bitwise_or.at(self._newer, words, bits)
        self._count += len(prints)
        if self._count >= self._capacity:
            self._newer, self._older, self._count = _empty_filter(), self._newer, 0
        return known


# All bits of a fingerprint are in one word (Putze, Sanders and Singler 2007, "Cache-, Hash- and Space-Efficient Bloom
# Filters"): three words apart cost four times as much, for each is a miss of the processor's cache.
_FILTER_WORDS_LOG2 = 21
_BITS_EACH = 5


def _empty_filter() -> npt.NDArray[np.uint64]:
    return np.zeros(2**_FILTER_WORDS_LOG2, np.uint64)


def _bits(prints: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Each fingerprint's bits in its word."""
    bits = np.zeros(len(prints), np.uint64)
    for number in range(_BITS_EACH):
        bits |= np.uint64(1) << (prints >> np.uint64(6 * number) & np.uint64(63))
    return bits
