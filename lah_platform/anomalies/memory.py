"""What is kept of one series and metric between ticks, and its bytes.

The points since the anchor, each value's surprise, and what streaming judges know besides: nothing that can be had from
those in less time than it takes to read it.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from lah_platform.anomalies.config import DetectorConfig
from lah_platform.anomalies.distribution import NO_PAST, DistributionPast
from lah_platform.anomalies.rolling import Floats, Ints
from lah_platform.anomalies.surprise import SurpriseMemory
from lah_platform.anomalies.tail import TailMemory

NEVER = -(2**40)
"""The number of a bucket before every other."""

_NO_INTS, _NO_FLOATS = np.zeros(0, dtype=np.int64), np.zeros(0)
_KINDS = "iffff" + "fiff" + "iiif" + "ifff"
_DTYPES = {"i": "<i8", "f": "<f8"}
_HEADER = struct.Struct(f"<7qd{len(_KINDS)}I")
_CODEC = "zstd"


@dataclass(frozen=True, slots=True)
class Shifts:
    """The buckets whose distribution deviates enough to hold an episode: number, deviation, distance, usual one."""

    bucket: Ints
    deviation: Floats
    distance: Floats
    usual: Floats


_NO_SURPRISE = SurpriseMemory(_NO_FLOATS, TailMemory(_NO_FLOATS, _NO_INTS, _NO_FLOATS, 0.0, 0))
_NO_SHIFTS = Shifts(_NO_INTS, _NO_FLOATS, _NO_FLOATS, _NO_FLOATS)


@dataclass(frozen=True, slots=True)
class SeriesMemory:
    """Everything known of one series and metric from `first_us` on: number, value (NaN: none) and count of all buckets;
    surprise and answer of the phase of those with a value; the last bucket in an episode of levels (`last_active`),
    and in one of counts (`last_unusual`).
    """

    first_us: int
    bucket: Ints
    values: Floats
    counts: Floats
    surprise: Floats
    by_phase: Floats
    level: SurpriseMemory
    past: DistributionPast
    shifts: Shifts
    last_active: int
    last_unusual: int

    @classmethod
    def beginning(cls, first_us: int) -> SeriesMemory:
        """Before anything was seen of a series that starts there."""
        nothing = (_NO_INTS, _NO_FLOATS, _NO_FLOATS, _NO_FLOATS, _NO_FLOATS)
        return cls(first_us, *nothing, _NO_SURPRISE, NO_PAST, _NO_SHIFTS, NEVER, NEVER)

    def with_points(self, bucket: Ints, values: Floats, counts: Floats) -> SeriesMemory:
        """The same with further points, not judged yet."""
        return replace(
            self,
            bucket=np.concatenate([self.bucket, bucket]),
            values=np.concatenate([self.values, values]),
            counts=np.concatenate([self.counts, counts]),
        )

    def to_bytes(self) -> bytes:
        """Compressed; `from_bytes` returns the same to the last bit."""
        tail, past, shifts = self.level.tail, self.past, self.shifts
        arrays: list[Any] = [_steps(self.bucket), self.values, self.counts, self.surprise, self.by_phase]
        arrays += [self.level.residuals, _steps(tail.exceeded_at), tail.exceeded, tail.past]
        arrays += [_steps(past.row), _steps(past.keys), past.counts, past.scaled]
        arrays += [shifts.bucket, shifts.deviation, shifts.distance, shifts.usual]
        body = b"".join(each.astype(_DTYPES[kind]).tobytes() for each, kind in zip(arrays, _KINDS, strict=True))
        numbers = (self.first_us, self.last_active, self.last_unusual, tail.seen, past.seen, past.rows, len(body))
        compressed: bytes = pa.compress(body, _CODEC, asbytes=True)
        return _HEADER.pack(*numbers, tail.excess, *map(len, arrays)) + compressed

    @classmethod
    def from_bytes(cls, kept: bytes) -> SeriesMemory:
        """What `to_bytes` was made of."""
        first_us, last_active, last_unusual, tail_seen, past_seen, rows, size, excess, *lengths = _HEADER.unpack_from(
            kept
        )
        body = pa.decompress(memoryview(kept)[_HEADER.size :], size, _CODEC, asbytes=True)
        a = _arrays(body, lengths)
        tail = TailMemory(a[8], np.cumsum(a[6]), a[7], excess, tail_seen)
        past = DistributionPast(past_seen, rows, np.cumsum(a[9]), np.cumsum(a[10]), a[11], a[12])
        return cls(
            first_us,
            bucket=np.cumsum(a[0]),
            values=a[1],
            counts=a[2],
            surprise=a[3],
            by_phase=a[4],
            level=SurpriseMemory(a[5], tail),
            past=past,
            shifts=Shifts(*a[13:]),
            last_active=last_active,
            last_unusual=last_unusual,
        )


def _steps(numbers: Ints) -> Ints:
    return np.diff(numbers, prepend=0)  # small ones: they compress to little


def _arrays(body: bytes, lengths: Sequence[int]) -> list[Any]:
    arrays, at = [], 0
    for kind, length in zip(_KINDS, lengths, strict=True):
        arrays.append(np.frombuffer(body, _DTYPES[kind], length, at))
        at += 8 * length
    return arrays


def version(config: DetectorConfig) -> str:
    """Tells memories apart that another configuration or other code of this room has made; none goes on from those."""
    return blake2b(repr(config).encode() + _code(), digest_size=12).hexdigest()


@cache
def _code() -> bytes:
    return b"".join(path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py")))
