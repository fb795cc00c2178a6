"""Columns of ids and times from their JSON texts, read by array.

Belongs here: the one spelling that nearly all producers use. A text that is spelt differently is said to be unread, not
wrong: the contract's decoder knows all spellings.
"""

import binascii
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from lah_platform.events.envelope import Timestamp
from lah_platform.landing.columns import Integers, UuidColumn, at_us

__all__ = ["Flags", "timestamps_us", "uuids"]

Flags = npt.NDArray[np.bool_]
Octets = npt.NDArray[np.uint8]

_UUID_LENGTH = 36
_HYPHENS_AT = [8, 13, 18, 23]
_DIGITS_AT = [at for at in range(_UUID_LENGTH) if at not in _HYPHENS_AT]
_HYPHEN = ord("-")
_ZERO = ord("0")
_DAY_US = 86_400_000_000
_MONTHS_TO_1970 = 1970 * 12
_TO_SECOND = "0000-00-00T00:00:00"
_DATE_AND_TIME = [at for at, character in enumerate(_TO_SECOND) if character == "0"]
_FINEST = 6  # digits of a microsecond; finer ones are rounded by the contract


def uuids(texts: Sequence[str | None]) -> tuple[UuidColumn, Flags]:
    """The column, and which of the texts are canonical UUIDs or absent."""
    is_null, is_read = np.zeros(len(texts), np.bool_), np.ones(len(texts), np.bool_)
    octets = np.zeros((len(texts), 16), np.uint8)
    present = [text for text in texts if text is not None]
    if len(present) < len(texts):
        is_null[:] = [text is None for text in texts] if present else True
    if not present:
        return UuidColumn(octets, is_null), is_read
    read = _uuid_octets(present)
    if read is not None:
        octets[~is_null] = read
        return UuidColumn(octets, is_null), is_read
    for at, text in enumerate(texts):
        if text is not None:
            one = _uuid_octets([text])
            is_read[at] = one is not None
            octets[at] = 0 if one is None else one[0]
    return UuidColumn(octets, is_null), is_read


def _uuid_octets(texts: Sequence[str]) -> Octets | None:
    """Shape (n, 16); None unless every text is 8-4-4-4-12 hexadecimal digits."""
    characters = _characters(texts)
    if characters is None or characters.shape[1] != _UUID_LENGTH:
        return None
    if not (characters[:, _HYPHENS_AT] == _HYPHEN).all():
        return None
    try:
        octets = binascii.unhexlify(characters[:, _DIGITS_AT].tobytes())
    except binascii.Error:
        return None
    return np.frombuffer(octets, np.uint8).reshape(-1, 16)


def timestamps_us(texts: Sequence[str]) -> tuple[Integers, Flags]:
    """Microseconds since 1970-01-01 UTC, and which of the texts were read: RFC 3339 with an offset."""
    lengths = list(map(len, texts))
    if len(set(lengths)) == 1 and (read := _alike(texts)) is not None:
        return read, np.ones(len(texts), np.bool_)
    moments, is_read = np.zeros(len(texts), np.int64), np.ones(len(texts), np.bool_)
    for length in set(lengths):
        mine = [at for at, each in enumerate(lengths) if each == length]
        alike = [texts[at] for at in mine]
        read = _alike(alike)
        if read is not None:
            moments[mine] = read
            continue
        for at, text in zip(mine, alike, strict=True):
            try:
                moments[at] = at_us(msgspec.convert(text, Timestamp))
            except (msgspec.ValidationError, OverflowError):
                is_read[at] = False
    return moments, is_read


class _Spelling(NamedTuple):
    """Where the digits stand, what stands between them, and what each digit is worth to each part of the time."""

    digits_at: list[int]
    fixed_at: list[int]
    fixed: Octets
    worth: npt.NDArray[np.float64]


@lru_cache(maxsize=16)
def _spelling(fraction: int, zone: str) -> _Spelling:
    whole = _TO_SECOND + ("." + "0" * fraction if fraction else "")
    digits_at = _DATE_AND_TIME + list(range(len(_TO_SECOND) + 1, len(whole)))
    fixed_at = [at for at in range(len(whole) + len(zone)) if at not in digits_at]
    worth = np.zeros((len(digits_at), 7))
    worth[:4, 0] = [1000, 100, 10, 1]
    for column, first in enumerate(range(4, 14, 2), start=1):
        worth[first : first + 2, column] = [10, 1]
    worth[14:, 6] = [10.0 ** (_FINEST - 1 - place) for place in range(fraction)]
    return _Spelling(digits_at, fixed_at, np.frombuffer((whole + zone).encode(), np.uint8)[fixed_at], worth)


def _alike(texts: Sequence[str]) -> Integers | None:
    """The same for texts of one length; None when not all of them are plainly in the spelling of the first."""
    zone = "Z" if texts[0].endswith("Z") else "+00:00"
    fraction = max(len(texts[0]) - len(zone) - len(_TO_SECOND) - 1, 0)
    characters = _characters(texts)
    if fraction > _FINEST or characters is None:
        return None
    spelling = _spelling(fraction, zone)
    if characters.shape[1] != len(spelling.digits_at) + len(spelling.fixed_at):
        return None
    digits = characters[:, spelling.digits_at] - np.uint8(_ZERO)
    if (digits > 9).any() or (characters[:, spelling.fixed_at] != spelling.fixed).any():
        return None
    # below 2^53 a double counts exactly, and matrices of doubles multiply fastest
    years, month, days, hours, minutes, seconds, micros = (digits @ spelling.worth).T
    if not ((years >= 1) & (month >= 1) & (month <= 12) & (days >= 1)).all():
        return None
    if (hours > 23).any() or (minutes > 59).any() or (seconds > 59).any():
        return None
    months = (years * 12 + month).astype(np.int64) - 1
    first = int(months.min())
    starts = np.arange(first, int(months.max()) + 2) - _MONTHS_TO_1970
    start_days = starts.astype("M8[M]").astype("M8[D]").astype(np.int64)
    start, end = start_days[months - first], start_days[months - first + 1]
    before = start + days.astype(np.int64) - 1
    if (before >= end).any():
        return None
    of_day = ((hours * 60 + minutes) * 60 + seconds) * 1e6 + micros
    moments: Integers = before * _DAY_US + of_day.astype(np.int64)
    return moments


def _characters(texts: Sequence[str]) -> Octets | None:
    """Shape (n, length); None when the texts are not of one length, or not ASCII."""
    together = "".join(texts)
    if not together.isascii() or len(set(map(len, texts))) != 1:
        return None
    return np.frombuffer(together.encode(), np.uint8).reshape(len(texts), -1)
