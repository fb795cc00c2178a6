"""How a report's values read: the same words in HTML and in PDF."""

from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final

__all__ = ["STATUS", "days_of", "moment", "number", "value", "who", "words"]

STATUS: Final = {"pass": "pass", "fail": "fail", "not_evidenced": "not evidenced"}
_NONE: Final = "\N{EN DASH}"


def number(value: int | str | None) -> str:
    """Counts and exact decimals with separators; a dash for what is not known."""
    if value is None:
        return _NONE
    if isinstance(value, int):
        return f"{value:,}"
    try:
        whole, _, decimals = f"{Decimal(value):,f}".partition(".")
    except InvalidOperation:
        return value
    return f"{whole}.{decimals.rstrip('0')}".rstrip(".")


def value(value: Any) -> str:
    """Numbers as numbers, text as it is."""
    if value is None:
        return _NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return number(value)
    return number(value) if _is_decimal(value) else str(value)


def words(name: str) -> str:
    """A column's name for people."""
    return name.replace("_usd", ", USD").replace("_", " ")


def moment(iso: str | None) -> str:
    """A time to the second, in UTC."""
    if iso is None:
        return _NONE
    try:
        return datetime.fromisoformat(iso).strftime("%Y-%m-%d %H:%M:%S UTC")
    except ValueError:
        return iso


def who(tenant_or_environment: str) -> str:
    """'*' in words."""
    return "all" if tenant_or_environment == "*" else tenant_or_environment


def days_of(period: dict[str, Any]) -> str:
    """The period as first and last day, both included."""
    last = datetime.fromisoformat(period["to"]).toordinal() - 1
    return f"{period['from']} to {datetime.fromordinal(last):%Y-%m-%d}"


def _is_decimal(text: Any) -> bool:
    return isinstance(text, str) and "." in text and text.removeprefix("-").replace(".", "", 1).isdigit()
