"""Filters by the dimensions of a series: equals, in, not, and bounded regular expressions.

Belongs here: dimensions, what a filter may say, and which patterns are taken. Applying them is SQL, in `stores`.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, get_args

from lah_platform.rollups.series import SeriesKey
from lah_platform.timeseries.refusal import QueryError, one_of

__all__ = ["DIMENSIONS", "TAG_PREFIX", "Filter", "Operator", "check_dimension", "read_filter"]

Operator = Literal["equals", "in", "not", "regex"]

DIMENSIONS: Final = tuple(name for name in SeriesKey._fields if name != "tags")
"""Columns of a series; besides them `tags.<name>` of the tags that the deployment chose."""
TAG_PREFIX: Final = "tags."
_MOST_VALUES: Final = 500
_LONGEST_TEXT_CHARS: Final = 512
_LONGEST_PATTERN_CHARS: Final = 200
# A repetition is copied so many times into the automaton: PostgreSQL compiled (x*y*z*|a?b?c?){250} for over a minute,
# and no pattern of 200 characters that repeats single ones only for more than 20 ms
_MOST_COPIES: Final = 255
_PATTERN: Final = re.compile(
    r"""(?: [^\\\[\]{}()*+?|^$] | \[ \^? \]? (?: [^\\\]\[] | \\[dwsDWS\W] )* \] | \\(?: [dwsDWS] | [^\w\s] )
        | \((?:\?:|(?!\?)) | \) | [|^$] | [*+?]\?? | \{(?P<bounds>[0-9]{1,3}(?:,[0-9]{0,3})?)\}\?? )""",
    re.VERBOSE,
)


@dataclass(frozen=True)
class Filter:
    """Series whose `dimension` (an absent one is the empty text) is `operator` of `values`."""

    dimension: str
    operator: Operator
    values: tuple[str, ...]


def check_dimension(name: str, place: str) -> str:
    """`name`, when there can be such a dimension; QueryError else."""
    if name in DIMENSIONS or (name.startswith(TAG_PREFIX) and len(name) > len(TAG_PREFIX)):
        return _storable(name, place)
    if name == "tags":
        raise QueryError(place, "tags are told apart by name", "Write tags.<name>, such as tags.feature")
    raise QueryError(place, f"no dimension is called {name!r}", one_of(name, (*DIMENSIONS, "tags.<name>")))


def read_filter(dimension: str, operator: str, values: str | Sequence[str], place: str) -> Filter:
    """A filter; QueryError when the dimension, the operator or a value is not usable."""
    check_dimension(dimension, f"{place}.dimension")
    if operator not in get_args(Operator):
        raise QueryError(
            f"{place}.operator", f"no operator is called {operator!r}", one_of(operator, get_args(Operator))
        )
    place = f"{place}.value"
    if isinstance(values, str):
        values = [values]
    elif operator in ("equals", "regex"):
        raise QueryError(place, f"`{operator}` takes one text, not a list", "Use operator `in` for several texts")
    if not 1 <= len(values) <= _MOST_VALUES:
        raise QueryError(place, f"{len(values)} texts", f"Give 1 to {_MOST_VALUES}")
    for text in values:
        _storable(text, place)
    if operator == "regex":
        _check_pattern(values[0], place)
    return Filter(dimension, operator, tuple(values))  # type: ignore[arg-type]


def _storable(text: str, place: str) -> str:
    if len(text) > _LONGEST_TEXT_CHARS:
        raise QueryError(place, f"the text has {len(text)} characters", f"Give at most {_LONGEST_TEXT_CHARS}")
    if "\0" in text or any("\ud800" <= each <= "\udfff" for each in text):
        raise QueryError(place, "the text holds a character that no stored one has", "Leave out NUL and surrogates")
    return text


def _check_pattern(pattern: str, place: str) -> None:
    """QueryError for what Python and PostgreSQL read differently, or what could be dear to compile or to match.

    Taken are literals, `.`, classes, groups, alternatives, anchors and repetitions; back references and looking
    around are not, and without them PostgreSQL matches in time linear in the text.
    """
    advice = "Use literals, . [] () | * + ? {m,n} ^ $ \\d \\w \\s only, such as ^gpt-4|^claude"
    if len(pattern) > _LONGEST_PATTERN_CHARS:
        raise QueryError(place, f"the pattern has {len(pattern)} characters", f"Use at most {_LONGEST_PATTERN_CHARS}")
    copies, at = 1, 0
    while at < len(pattern):
        token = _PATTERN.match(pattern, at)
        if token is None:
            raise QueryError(place, f"the pattern is not taken from {pattern[at:]!r} on", advice)
        if bounds := token["bounds"]:
            if pattern[at - 1 : at] == ")":
                raise QueryError(place, "a group is repeated {m,n} times", "Repeat single characters and classes only")
            copies *= max(1, *(int(each) for each in bounds.split(",") if each))
        at = token.end()
    if copies > _MOST_COPIES:
        raise QueryError(place, f"repetitions multiply to {copies}", f"Keep their product within {_MOST_COPIES}")
    try:
        re.compile(pattern)
    except (re.error, RecursionError) as error:
        raise QueryError(place, f"the pattern is no regular expression: {error}", advice) from error
