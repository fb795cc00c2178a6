"""Holes in a partition's offsets: believed when they are read a second time, because some brokers show one too early.

A hole is what compaction, an aborted transaction or a transaction's marker leaves. The embedded broker also shows one
while a batch is being written: it moves the log's end before the batch can be read (4 times in 145,000 records of four
producers, docs/decisions/0006). Whoever believed that would skip records for ever.
"""

import numpy as np
import numpy.typing as npt

from lah_platform.landing.records import Partition

__all__ = ["Holes"]


class Holes:
    """Remembers, per partition, the holes that one reading showed."""

    def __init__(self) -> None:
        self._seen: dict[Partition, set[tuple[int, int]]] = {}

    def believed(self, partition: Partition, start: int, offsets: npt.NDArray[np.int64]) -> int:
        """How many of `offsets`, a reading from `start` in rising order, come before the first new hole.

        Fewer than all of them: read again from there. What is still missing then is a hole.
        """
        if offsets[-1] + 1 - start == len(offsets):
            self._seen.pop(partition, None)
            return len(offsets)
        expected = np.concatenate([[start], offsets[:-1] + 1])
        at = np.flatnonzero(offsets != expected)
        holes = list(zip(expected[at].tolist(), offsets[at].tolist(), strict=True))
        seen, self._seen[partition] = self._seen.get(partition, set()), set(holes)
        return next((int(i) for i, hole in zip(at, holes, strict=True) if hole not in seen), len(offsets))

    def forget(self, partition: Partition) -> None:
        """The partition is another's now."""
        self._seen.pop(partition, None)
