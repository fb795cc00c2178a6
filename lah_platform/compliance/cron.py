"""Whether a text is a cron expression of five fields, and what is wrong with it when not."""

import re
from typing import Final

__all__ = ["cron_problem"]

_FIELDS: Final = (("minute", 0, 59), ("hour", 0, 23), ("day of the month", 1, 31), ("month", 1, 12), ("weekday", 0, 7))
_PART = re.compile(r"(\*|(\d{1,2})(?:-(\d{1,2}))?)(?:/(\d{1,2}))?")


def cron_problem(text: str) -> str | None:
    """What is wrong, in a person's words; None: nothing. Numbers only: `*`, `5`, `1-5`, `*/15`, `1,15`."""
    fields = text.split()
    if len(fields) != len(_FIELDS):
        return f"{text!r} has {len(fields)} fields; it needs minute, hour, day of the month, month, weekday"
    for field, (name, least, most) in zip(fields, _FIELDS, strict=True):
        for part in field.split(","):
            match = _PART.fullmatch(part)
            if match is None:
                return f"{part!r} is no {name}"
            first, last, step = (None if each is None else int(each) for each in match.group(2, 3, 4))
            if any(each is not None and not least <= each <= most for each in (first, last)):
                return f"{part!r} is no {name}: it goes from {least} to {most}"
            if (last is not None and first is not None and first > last) or step == 0:
                return f"{part!r} is no {name}: it names none"
    return None
