"""What is wrong with a query, as a value a user can act on."""

from collections.abc import Iterable
from difflib import get_close_matches

__all__ = ["QueryError", "one_of"]


class QueryError(ValueError):
    """The query cannot be answered: `field` of it, `reason`, and `advice`, what to ask instead."""

    def __init__(self, field: str, reason: str, advice: str) -> None:
        super().__init__(f"{field}: {reason}. {advice}")
        self.field = field
        self.reason = reason
        self.advice = advice


def one_of(name: str, allowed: Iterable[str]) -> str:
    """Advice that names what is allowed, and first what `name` was probably meant to be."""
    names = list(allowed)
    listed = f"Use one of {', '.join(names)}"
    close = get_close_matches(name, names, n=1)
    return f"Did you mean {close[0]}? {listed}" if close else listed
