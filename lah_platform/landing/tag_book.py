"""Tags by their bytes: a fleet repeats few, and where each event has its own they are read each time."""

from collections.abc import Sequence
from itertools import count

import msgspec

from lah_platform.events.names import DIMENSION_TAGS

__all__ = ["UNREADABLE", "TagBook"]

UNREADABLE = -1
_MOST_TAGS = 20_000
_TAGS = msgspec.json.Decoder(dict[str, str])


class TagBook:
    """Numbers combinations of the tags that are dimensions; a number is never given to another combination."""

    def __init__(self, more_dimensions: Sequence[str] = ()) -> None:
        self._dimensions = ("tenant", *DIMENSION_TAGS, *more_dimensions)
        self._known: dict[bytes, int] = {}
        self._numbers: dict[tuple[str | None, ...], int] = {}
        self._next = count()

    def read(self, raw: Sequence[bytes]) -> list[int]:
        """The number of each object of tags; UNREADABLE where it is not texts by name."""
        known = self._known
        try:
            return [known[each] for each in raw]
        except KeyError:
            if len(known) >= _MOST_TAGS:
                known.clear()
                self._numbers.clear()
            known.update((each, self._number(each)) for each in set(raw) - known.keys())
            return [known[each] for each in raw]

    def _number(self, raw: bytes) -> int:
        try:
            tags = _TAGS.decode(raw)
        except msgspec.DecodeError:
            return UNREADABLE
        dimensions = tuple(map(tags.get, self._dimensions))
        number = self._numbers.get(dimensions)
        if number is None:
            number = self._numbers[dimensions] = next(self._next)
        return number
