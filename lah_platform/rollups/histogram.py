"""The mergeable histogram behind percentiles: sparse, base-2 exponential, fixed scale.

Belongs here: keys, merging and quantiles, one value at a time and for whole columns. Building a histogram per
group of rows is in `aggregate`; the same quantile in SQL is `lah_hist_quantile`.

Bucket i holds the magnitudes in (2^(i/32), 2^((i+1)/32)], as in the exponential histogram of the OpenTelemetry
metrics data model at scale 5. A key is the bucket's index moved so that keys sort like values: i + 2^20 for
positive values, 0 for zero, -(i + 2^20) for negative ones. NaN and infinities have no key: events that carry
them are refused before they land, so here they raise ValueError.
"""

import math
import struct
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from decimal import Decimal, localcontext
from fractions import Fraction
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

__all__ = [
    "KEY_SPAN",
    "PERCENTILES",
    "SCALE",
    "keys",
    "key",
    "merge",
    "quantile",
    "quantiles",
    "rank",
    "relative_error",
    "representative",
]

SCALE = 5
_BUCKETS: int = 2**SCALE  # per doubling
_KEY_OFFSET = 2**20  # beyond every index of a double, so that no positive value has key 0
KEY_SPAN = 2**22
"""Keys lie in ±KEY_SPAN / 2."""
_GROWTH = 2.0 ** (1 / _BUCKETS)
# harmonic midpoint 2lu/(l+u) of (l, u] over l; written so because l * u overflows for large values
_MIDPOINT = 2 * _GROWTH / (1 + _GROWTH)
_MANTISSA_BITS = 52
_MANTISSA_MASK = 2**_MANTISSA_BITS - 1
_EXPONENT_MASK = 0x7FF
_EXPONENT_BIAS = 1023
_SUBNORMAL_SHIFT = 54

PERCENTILES: Mapping[str, float] = MappingProxyType({"p50": 0.50, "p95": 0.95, "p99": 0.99})


def _bounds() -> list[int]:
    """The lower bounds 2^(k/32) as 53-bit mantissas, rounded down: a mantissa is above one or not, without doubt.

    A logarithm in doubles would put exact powers of two and values beside a bound into the next bucket,
    differently on each platform.
    """
    with localcontext() as context:
        context.prec = 60
        return [int(2 ** (_MANTISSA_BITS + Decimal(k) / _BUCKETS)) for k in range(_BUCKETS)]


_BOUNDS = _bounds()
_POWERS = np.array([2.0 ** (k / _BUCKETS) for k in range(_BUCKETS)])
_INT64_END = 2**63
# A mantissa's first bits name a cell, narrower than every bucket: it is above all bounds before the cell, and above the
# next one or not. A search among the bounds takes three times as long.
_CELL_SHIFT = _MANTISSA_BITS - 6
_BOUNDS_ARRAY = np.array(_BOUNDS, np.int64) & _MANTISSA_MASK
_BOUNDS_BEFORE = np.searchsorted(_BOUNDS_ARRAY, np.arange(2**6) << _CELL_SHIFT, side="left")
_NEXT_BOUND = np.append(_BOUNDS_ARRAY, _MANTISSA_MASK)[_BOUNDS_BEFORE]


def relative_error(scale: int = SCALE) -> float:
    """The largest relative distance of a representative from a value of its bucket: 0.01083 at scale 5."""
    growth = math.pow(2.0, math.pow(2.0, -scale))
    return (growth - 1) / (growth + 1)


def key(value: float) -> int:
    """The key of `value`; ValueError for NaN and infinities."""
    if not math.isfinite(value):
        raise ValueError(f"{value} has no bucket: such values are refused before they land")
    if value == 0:
        return 0
    magnitude = abs(value)
    shift = 0
    if magnitude < 2.0 ** (1 - _EXPONENT_BIAS):
        magnitude, shift = math.ldexp(magnitude, _SUBNORMAL_SHIFT), _SUBNORMAL_SHIFT
    bits = int.from_bytes(struct.pack(">d", magnitude), "big")
    exponent = (bits >> _MANTISSA_BITS) - _EXPONENT_BIAS - shift
    mantissa = (bits & _MANTISSA_MASK) | (1 << _MANTISSA_BITS)
    index = exponent * _BUCKETS + bisect_left(_BOUNDS, mantissa) - 1
    return index + _KEY_OFFSET if value > 0 else -(index + _KEY_OFFSET)


def keys(values: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """`key` of every value; ValueError for NaN and infinities."""
    if not np.isfinite(values).all():
        raise ValueError("NaN and infinities have no bucket: such values are refused before they land")
    magnitudes = np.abs(values)
    is_subnormal = magnitudes < 2.0 ** (1 - _EXPONENT_BIAS)
    magnitudes[is_subnormal] *= 2.0**_SUBNORMAL_SHIFT
    bits = magnitudes.view(np.int64)
    mantissas = bits & _MANTISSA_MASK
    cells = mantissas >> _CELL_SHIFT
    found: npt.NDArray[np.int64] = (bits >> _MANTISSA_BITS) * _BUCKETS + _BOUNDS_BEFORE[cells]
    found += mantissas > _NEXT_BOUND[cells]
    found += _KEY_OFFSET - 1 - _EXPONENT_BIAS * _BUCKETS
    found[is_subnormal] -= _SUBNORMAL_SHIFT * _BUCKETS
    found[values < 0] *= -1
    found[values == 0] = 0
    return found


def representative(key: int) -> float:
    """The value that stands for a bucket: at most `relative_error()` from every value in it."""
    if key == 0:
        return 0.0
    return math.copysign(2.0 ** ((abs(key) - _KEY_OFFSET) / _BUCKETS) * _MIDPOINT, key)


def merge(
    a: tuple[Sequence[int], Sequence[int]], b: tuple[Sequence[int], Sequence[int]]
) -> tuple[list[int], list[int]]:
    """The histogram of both: pairs (keys ascending, counts); ValueError when keys and counts differ in length."""
    counts: dict[int, int] = {}
    for some_keys, some_counts in (a, b):
        if len(some_keys) != len(some_counts):
            raise ValueError(f"a histogram has {len(some_keys)} keys but {len(some_counts)} counts")
        for some_key, count in zip(some_keys, some_counts, strict=True):
            counts[some_key] = counts.get(some_key, 0) + count
    return sorted(counts), [counts[some_key] for some_key in sorted(counts)]


def _as_written(q: float) -> Fraction:
    # 0.07 means seven hundredths, not the double above it, which would make ceil(0.07 * 100) an 8;
    # 15 digits as in PostgreSQL's cast of a double to numeric, so that SQL takes the same rank
    return Fraction(f"{q:.15g}")


def rank(q: float, n: int) -> int:
    """Which of `n` sorted values is the quantile, from 1: nearest rank, ceil(q n); `q` is read to 15 digits.

    ValueError when `q` is outside [0, 1].
    """
    if not 0 <= q <= 1:
        raise ValueError(f"a quantile lies in [0, 1], not at {q}: for the 95th percentile use 0.95")
    return max(1, math.ceil(_as_written(q) * n))


def quantile(keys: Sequence[int], counts: Sequence[int], q: float, minimum: float, maximum: float) -> float | None:
    """The nearest-rank quantile of a histogram (keys ascending), clamped to [minimum, maximum]; None when empty.

    At most `relative_error()` from the order statistic itself, at any count and after any merging.
    ValueError when `q` is outside [0, 1] or keys and counts differ in length.
    """
    if len(keys) != len(counts):
        raise ValueError(f"a histogram has {len(keys)} keys but {len(counts)} counts")
    wanted = rank(q, sum(counts))
    seen = 0
    for some_key, count in zip(keys, counts, strict=True):
        seen += count
        if seen >= wanted:
            return max(minimum, min(maximum, representative(some_key)))
    return None


def quantiles(
    keys: npt.NDArray[np.int64],
    counts: npt.NDArray[np.int64],
    offsets: npt.NDArray[np.int64],
    minima: npt.NDArray[np.float64],
    maxima: npt.NDArray[np.float64],
    q: float,
) -> npt.NDArray[np.float64]:
    """`quantile` of many histograms: the i-th is `keys` and `counts` from `offsets[i]` up to `offsets[i + 1]`.

    NaN where a histogram is empty. ValueError when `q` is outside [0, 1].
    """
    rank(q, 0)  # refuses what is no quantile
    # One running total over all of them: a histogram's share starts where those before it end, so the bucket of its
    # k-th value is found by one binary search
    totals = np.concatenate([[0], np.cumsum(counts)])
    before = totals[offsets[:-1]]
    sizes = totals[offsets[1:]] - before
    share = _as_written(q)
    if len(sizes) and int(sizes.max()) * share.numerator >= _INT64_END:
        sizes = sizes.astype(object)
    ranks = np.maximum(-(-sizes * share.numerator // share.denominator), 1).astype(np.int64)
    places = np.minimum(np.searchsorted(totals[1:], before + ranks), max(len(keys) - 1, 0))
    if not len(keys):
        return np.full(len(minima), np.nan)
    found = np.clip(_representatives(keys[places]), minima, maxima)
    found[sizes == 0] = np.nan
    return found


def _representatives(keys: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    indexes = np.abs(keys) - _KEY_OFFSET
    # the power by its parts: a vectorised one may differ from the scalar one in its last bit
    with np.errstate(over="ignore", under="ignore"):
        magnitudes = np.ldexp(_POWERS[indexes % _BUCKETS], indexes // _BUCKETS) * _MIDPOINT
    return np.where(keys == 0, 0.0, np.copysign(magnitudes, keys))
