"""COPY streams taken apart into their fields and put together in another way.

Belongs here: what can be changed about the rows that are sent. Which changes are tried is in `landing_variants`.
"""

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from lah_platform.stores.binary_copy import END, START
from lah_platform.stores.binary_copy import field as encoded
from lah_platform.stores.event_copy import EventCopy

__all__ = ["Part", "Streams", "as_one", "parts_of", "streams_of"]

Streams = Sequence[Sequence[tuple[Sequence[str], bytes]]]  # by transaction: columns and data of each COPY


@dataclass(frozen=True)
class Part:
    """Rows of one COPY, each a list of the fields' bytes in the order of `columns`; None is null."""

    columns: tuple[str, ...]
    rows: list[list[bytes | None]]

    def stream(self) -> bytes:
        head = struct.pack(">h", len(self.columns))
        return b"".join([START, *(head + b"".join(map(encoded, row)) for row in self.rows), END])

    def by(self, name: str) -> "Part":
        """Sorted by this column's bytes, which for times after 2000 and offsets is their order."""
        place = self.columns.index(name)
        return Part(self.columns, sorted(self.rows, key=lambda row: row[place] or b""))

    def changed(self, **changes: Callable[[dict[str, Any]], bytes]) -> "Part":
        """Each named column's value made anew from the row's values by name."""
        rows = []
        for row in self.rows:
            named = dict(zip(self.columns, row, strict=True))
            for name, change in changes.items():
                named[name] = change(named)
            rows.append(list(named.values()))
        return Part(self.columns, rows)

    def without(self, *names: str) -> "Part":
        keep = [place for place, name in enumerate(self.columns) if name not in names]
        return Part(tuple(self.columns[k] for k in keep), [[row[k] for k in keep] for row in self.rows])


def parts_of(copy: EventCopy) -> Part:
    """The fields of a stream as shipped."""
    rows = []
    at, data = len(START), copy.stream
    for _ in range(copy.rows):
        row: list[bytes | None] = []
        at += 2
        for _ in copy.columns:
            (length,) = struct.unpack_from(">i", data, at)
            at += 4 + max(length, 0)
            row.append(None if length < 0 else data[at - length : at])
        rows.append(row)
    return Part(copy.columns, rows)


def as_one(parts: Sequence[Part]) -> Part:
    """One COPY that names every column of any of them."""
    columns = tuple(dict.fromkeys(name for part in parts for name in part.columns))
    rows = []
    for part in parts:
        nulls: dict[str, bytes | None] = dict.fromkeys(columns)
        rows += [list((nulls | dict(zip(part.columns, row, strict=True))).values()) for row in part.rows]
    return Part(columns, rows).by("ts")


def streams_of(batches: Sequence[Sequence[Part]]) -> Streams:
    return [[(part.columns, part.stream()) for part in parts] for parts in batches]
