"""What PostgreSQL's `jsonb` can hold and JSON can say all the same. Nothing here knows about events.

Each function has a cheap answer for ordinary bytes; the exact, slow one is asked only when the cheap one is in doubt.
Probed on PostgreSQL 15: `\\u0000` and lone surrogates are refused, and so are numbers of more than 131,072 digits
before the decimal point or 16,383 after it.
"""

import json
import math
import re
from collections.abc import Iterator
from itertools import accumulate
from typing import Any, Literal, NamedTuple

OUT_OF_RANGE = "is out of the range of double precision (about 1.8e308)"

# jsonb would keep 1e9999, but no reader downstream would: numbers are held to what double precision can say.
_MAX_EXPONENT = 400
_MAX_NUMBER_CHARS = 1000

_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_EXPONENT = re.compile(r"[eE]([-+]?[0-9]+)$")

_BRACKETS = b"[]{}"
_NOT_BRACKETS = bytes(set(range(256)) - set(_BRACKETS))
_DEPTH_STEP = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}

# Every digit becomes 0, E becomes e, + becomes -: then one literal finds every exponent of three digits and more.
_SHAPE = bytes.maketrans(b"123456789E+", b"000000000e-")
_LONG_EXPONENT = re.compile(rb"0e-?000+[,}\]\s]")
_LONG_NUMBER = b"0" * 200


class NumberText(str):
    """A JSON number as it was written."""

    __slots__ = ()


class Members(dict[str, Any]):
    """A JSON object as readers see it, the last of repeated keys winning; `pairs` has the hidden ones too."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        self.pairs = pairs


class Unstorable(NamedTuple):
    """One place of a document that `jsonb` cannot take; `path` is like `a.b[0].c`, empty at the top."""

    code: Literal["nul_character", "invalid_field"]
    path: str
    reason: str


def is_deeper_than(document: bytes, max_depth: int) -> bool:
    """Whether brackets nest deeper than `max_depth`, up to the first place where the document is not JSON."""
    if document.count(b"[") + document.count(b"{") <= max_depth:
        return False
    brackets = _STRING.sub(b"", document).translate(None, _NOT_BRACKETS)
    return max(accumulate(map(_DEPTH_STEP.__getitem__, brackets)), default=0) > max_depth


def may_hold_nul(document: bytes) -> bool:
    r"""False when no string can hold `\u0000`; True also for a backslash that is itself escaped."""
    return b"\\" in document and b"\\u0000" in document


def may_hold_extreme_number(document: bytes) -> bool:
    """False when every number inside the object or list is surely within `double precision` and `jsonb`."""
    shape = document.translate(_SHAPE)
    return _LONG_NUMBER in shape or _LONG_EXPONENT.search(shape) is not None


def parse(document: str) -> Any:
    """The document with numbers left as `NumberText` and objects as `Members`.

    Raises ValueError or RecursionError when it is not JSON.
    """
    return json.loads(
        document,
        parse_int=NumberText,
        parse_float=NumberText,
        parse_constant=_refuse_constant,
        object_pairs_hook=Members,
    )


def unstorable(tree: Any, path: str = "") -> Iterator[Unstorable]:
    """Everything in a parsed document that `jsonb` or `double precision` cannot take.

    Repeated keys are all looked at, because jsonb reads the hidden ones before it drops them.
    """
    if isinstance(tree, Members):
        for key, value in tree.pairs:
            here = f"{path}.{key}" if path else key
            yield from _unstorable_text(key, here, "a key")
            yield from unstorable(value, here)
    elif isinstance(tree, list):
        for position, value in enumerate(tree):
            yield from unstorable(value, f"{path}[{position}]")
    elif isinstance(tree, NumberText):
        yield from _unstorable_number(tree, path)
    elif isinstance(tree, str):
        yield from _unstorable_text(tree, path, "the text")


def _unstorable_text(text: str, path: str, what: str) -> Iterator[Unstorable]:
    if "\x00" in text:
        yield Unstorable("nul_character", path, f"{what} holds the character U+0000, which PostgreSQL cannot store")
    if any("\ud800" <= character <= "\udfff" for character in text):
        yield Unstorable("invalid_field", path, f"{what} holds half of a surrogate pair, which is no character")


def _unstorable_number(number: NumberText, path: str) -> Iterator[Unstorable]:
    exponent = _EXPONENT.search(number)
    if len(number) > _MAX_NUMBER_CHARS:
        reason = f"is written with {len(number)} characters; at most {_MAX_NUMBER_CHARS} are taken"
        yield Unstorable("invalid_field", path, reason)
    elif not math.isfinite(float(number)):
        yield Unstorable("invalid_field", path, OUT_OF_RANGE)
    elif exponent and abs(int(exponent[1])) > _MAX_EXPONENT:
        reason = f"has the exponent {exponent[1]}; -{_MAX_EXPONENT} to {_MAX_EXPONENT} are taken"
        yield Unstorable("invalid_field", path, reason)


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")
