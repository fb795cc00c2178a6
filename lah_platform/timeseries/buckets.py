"""Sizes of an answer's buckets: whole multiples of stored windows, all in UTC.

Belongs here: parsing a size, where its buckets start and end, and which stored windows fit into them exactly.
"""

import re
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from lah_platform.rollups.windows import WINDOWS, Window
from lah_platform.timeseries.refusal import QueryError

__all__ = ["COARSEST_FIRST", "MINUTE_US", "Bucket", "bucket", "whole"]

MINUTE_US: Final = 60_000_000
_UNITS_US: Final = {"m": MINUTE_US, "h": 60 * MINUTE_US, "d": 1440 * MINUTE_US, "w": 10_080 * MINUTE_US}
_MONDAY_US: Final = 4 * _UNITS_US["d"]  # 1970-01-05
_MONTHS_A_YEAR: Final = 12
_MOST_MONTHS: Final = 100 * _MONTHS_A_YEAR
_LONGEST_US: Final = 36_600 * _UNITS_US["d"]
_SIZE: Final = re.compile(r"([1-9][0-9]{0,6})(m|h|d|w|M|mo)")
_DAYS_AND_SHORTER: Final = tuple(each for each in reversed(WINDOWS) if each.name not in ("1w", "1M"))

COARSEST_FIRST: Final[tuple[Window, ...]] = tuple(reversed(WINDOWS))


@dataclass(frozen=True)
class Bucket:
    """A size of bucket: `months` calendar months counted from 1970, or else `length_us` counted from `origin_us`.

    `windows` are the stored windows of which whole ones make up every bucket, coarsest first.
    """

    name: str
    windows: tuple[Window, ...]
    months: int = 0
    length_us: int = 0
    origin_us: int = 0

    def floor_us(self, times_us: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The start of the bucket that holds each time, µs since 1970 UTC."""
        if not self.months:
            starts: npt.NDArray[np.int64] = times_us - (times_us - self.origin_us) % self.length_us
            return starts
        months = _months_of(times_us)
        return _starts_of(months - months % self.months)

    def ends_us(self, starts_us: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Where the buckets that start then end."""
        if not self.months:
            return starts_us + self.length_us
        return _starts_of(_months_of(starts_us) + self.months)

    def count(self, from_us: int, to_us: int) -> int:
        """How many buckets have a part in [from, to)."""
        first, last = self.floor_us(np.array([from_us, to_us - 1]))
        if self.months:
            first, last = _months_of(np.array([first, last]))
        return int(last - first) // (self.months or self.length_us) + 1

    def starts_us(self, from_us: int, to_us: int) -> npt.NDArray[np.int64]:
        """The starts of those, ascending."""
        first = self.floor_us(np.array([from_us]))
        steps = np.arange(self.count(from_us, to_us), dtype=np.int64)
        if not self.months:
            return first + steps * self.length_us
        return _starts_of(_months_of(first) + steps * self.months)


def bucket(size: str) -> Bucket:
    """The bucket called `size`: a number and m, h, d, w (from Monday) or M (calendar month, also spelled mo).

    Minutes, hours and days are counted from 1970-01-01, weeks from Monday 1970-01-05, months from January 1970.
    QueryError for other sizes, and for months that neither divide nor fill whole years: they would start elsewhere
    each year.
    """
    found = _SIZE.fullmatch(size)
    if not found:
        raise QueryError(
            "window",
            f"{size!r} is no whole multiple of a stored window",
            "Write a number and m, h, d, w or M, such as 1m, 90m, 6h, 1d, 2w, 1M; leave it out for one bucket",
        )
    number, unit = int(found[1]), found[2]
    if unit in ("M", "mo"):
        if _MONTHS_A_YEAR % number and number % _MONTHS_A_YEAR:
            advice = "Use 1M, 2M, 3M, 4M, 6M, or whole years as 12M, 24M"
            raise QueryError("window", f"{number} months start elsewhere each year", advice)
        if number > _MOST_MONTHS:
            raise _too_long(size)
        month = COARSEST_FIRST[0]
        return Bucket(f"{number}M", (month, *_DAYS_AND_SHORTER), months=number)
    length_us = number * _UNITS_US[unit]
    if length_us > _LONGEST_US:
        raise _too_long(size)
    if unit == "w":
        week = next(each for each in WINDOWS if each.name == "1w")
        return Bucket(size, (week, *_DAYS_AND_SHORTER), length_us=length_us, origin_us=_MONDAY_US)
    fitting = tuple(each for each in _DAYS_AND_SHORTER if length_us % _length_us(each) == 0)
    return Bucket(size, fitting, length_us=length_us)


def whole(from_us: int, to_us: int) -> Bucket:
    """One bucket: the whole range."""
    return Bucket("", COARSEST_FIRST, length_us=to_us - from_us, origin_us=from_us)


def _too_long(size: str) -> QueryError:
    return QueryError("window", f"{size} is longer than a hundred years", "Leave it out for one bucket")


def _length_us(window: Window) -> int:
    assert window.length is not None
    return int(window.length.total_seconds()) * 1_000_000


def _months_of(times_us: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return times_us.astype("datetime64[us]").astype("datetime64[M]").astype(np.int64)


def _starts_of(months: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return months.astype("datetime64[M]").astype("datetime64[us]").astype(np.int64)
