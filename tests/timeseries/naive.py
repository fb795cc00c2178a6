"""The slow, obvious answer that every query has to equal: a walk over all events, every value kept.

It repeats the definitions on purpose instead of importing them: an oracle that shares the code shares its bugs.
"""

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Any

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EXACT = frozenset({"events", "total_requests", "input_tokens", "cost_usd"})
COUNTERS = EXACT
WORST_PERCENTILE = 0.0109

Key = tuple[datetime, tuple[str, ...]]


@dataclass(frozen=True)
class Happening:
    """One event: when, its dimensions (absent ones are empty texts), and its values by metric."""

    at: datetime
    dimensions: Mapping[str, str]
    values: Mapping[str, Fraction]


def start_of(at: datetime, window: str | None, range_start: datetime) -> datetime:
    """The start of the bucket that holds `at`."""
    if window is None:
        return range_start
    number, unit = int(re.sub(r"\D", "", window)), window.lstrip("0123456789")
    if unit == "M":
        months = (at.year - 1970) * 12 + at.month - 1
        months -= months % number
        return datetime(1970 + months // 12, months % 12 + 1, 1, tzinfo=UTC)
    length = number * {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(1), "w": timedelta(7)}[unit]
    origin = datetime(1970, 1, 5, tzinfo=UTC) if unit == "w" else EPOCH
    return at - (at - origin) % length


def end_of(start: datetime, window: str | None, range_end: datetime) -> datetime:
    """Where the bucket that starts then ends."""
    if window is None:
        return range_end
    number, unit = int(re.sub(r"\D", "", window)), window.lstrip("0123456789")
    if unit == "M":
        months = (start.year - 1970) * 12 + start.month - 1 + number
        return datetime(1970 + months // 12, months % 12 + 1, 1, tzinfo=UTC)
    return (
        start
        + number * {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(1), "w": timedelta(7)}[unit]
    )


def matches(happening: Happening, filters: Iterable[tuple[str, str, Any]]) -> bool:
    for dimension, operator, value in filters:
        text = happening.dimensions[dimension]
        texts = [value] if isinstance(value, str) else value
        passes = {
            "equals": text in texts,
            "in": text in texts,
            "not": text not in texts,
            "regex": any(re.search(each, text) for each in texts),
        }[operator]
        if not passes:
            return False
    return True


def values_of(happenings: Iterable[Happening], asked: Mapping[str, Any]) -> dict[Key, list[Fraction]]:
    """All values of every bucket and group."""
    found: dict[Key, list[Fraction]] = defaultdict(list)
    for each in happenings:
        if not asked["from_"] <= each.at < asked["to"] or not matches(each, asked["filters"]):
            continue
        if asked["metric"] in each.values:
            group = tuple(each.dimensions[name] for name in asked["group_by"])
            found[start_of(each.at, asked["window"], asked["from_"]), group].append(each.values[asked["metric"]])
    return found


def assert_is_field(name: str, found: Any, values: list[Fraction], seconds: Fraction, metric: str) -> None:
    """`found` is what the field says of the values: exact, or within the stated bound."""
    count, total = len(values), sum(values, Fraction(0))
    largest = float(max(map(abs, values)))
    match name:
        case "count":
            assert found == count
        case "sum" if metric in EXACT:
            assert isinstance(found, Decimal)
            assert Fraction(found) == total
        case "sum":
            assert found == _near(total, 1e-12 * float(sum(map(abs, values))))
        case "min" | "max":
            assert found == float({"min": min, "max": max}[name](values))
        case "mean":
            assert found == _near(total / count, 1e-14 * largest)
        case "stddev":
            deviation = _deviation(values)
            if deviation is None:
                assert found is None
            else:
                assert found == _near(Fraction(deviation), max(1e-9 * deviation, 2**-50 * largest))
        case "rate" | "count_rate":
            of = total if name == "rate" and metric in COUNTERS else Fraction(count)
            assert found == _near(of / seconds, 1e-12 * float(abs(of / seconds)))
        case _:
            share = Fraction(1, 2) if name == "median" else Fraction(name[1:]) / 100
            wanted = sorted(values)[max(1, math.ceil(share * count)) - 1]
            assert found == _near(wanted, WORST_PERCENTILE * float(abs(wanted)))


class _near:
    def __init__(self, value: Fraction, bound: float) -> None:
        self.value, self.bound = value, bound

    def __eq__(self, other: object) -> bool:
        return isinstance(other, float) and abs(Fraction(other) - self.value) <= Fraction(self.bound) + Fraction(
            1, 10**300
        )

    def __repr__(self) -> str:
        return f"{float(self.value)!r} ± {self.bound!r}"


def _deviation(values: list[Fraction]) -> float | None:
    if len(values) < 2:
        return None
    mean = sum(values, Fraction(0)) / len(values)
    variance = sum(((value - mean) ** 2 for value in values), Fraction(0)) / (len(values) - 1)
    with localcontext() as context:
        context.prec = 50
        return float((Decimal(variance.numerator) / Decimal(variance.denominator)).sqrt())
