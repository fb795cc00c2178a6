"""Where a person's identifier stands in text: as a word of its own, whatever stands around it.

An identifier that is too short or a small number would be found in words and figures that have nothing to do with the
person; of these only the places that the catalog declares are erased.
"""

import json
import re

__all__ = ["ERASED_TEXT", "is_distinct", "mention_pattern", "names_person"]

ERASED_TEXT = "[erased]"
_LEAST_CHARS = 4
_LEAST_DIGITS = 7


def is_distinct(identifier: str) -> bool:
    """Whether an identifier can be told from other words of a text."""
    return len(identifier) >= (_LEAST_DIGITS if identifier.isdecimal() else _LEAST_CHARS)


def mention_pattern(identifier: str, *, in_json: bool) -> str:
    """A regular expression, the same in Python and PostgreSQL, for the identifier as a word of its own.

    `in_json`: as PostgreSQL writes it inside a text of a JSON document.
    """
    text = json.dumps(identifier, ensure_ascii=False)[1:-1] if in_json else identifier
    literal = re.sub(r"([^0-9A-Za-z_\u0080-\U0010ffff])", r"\\\1", text)
    return rf"(?<![[:alnum:]_]){literal}(?![[:alnum:]_])"


def names_person(text: str, identifier: str) -> bool:
    """Whether a text or a record names the person; by the identifier as JSON would have it too."""
    spellings = {identifier, json.dumps(identifier)[1:-1], json.dumps(identifier, ensure_ascii=False)[1:-1]}
    return any(re.search(rf"(?<!\w){re.escape(each)}(?!\w)", text) for each in spellings)
