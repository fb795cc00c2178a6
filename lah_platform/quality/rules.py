"""What a rule is. The rules themselves stand beside the stage they are about; running them is `suites`' part.

Belongs here: the vocabulary (asset, rule, expectation). Does not: any database, any Great Expectations import.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from lah_platform.rollups.windows import Window

__all__ = [
    "Asset",
    "Expectation",
    "Rule",
    "Severity",
    "above",
    "at_least",
    "between",
    "filled",
    "names",
    "not_below",
    "one_of",
    "present",
]

Severity = Literal["warn", "error"]


@dataclass(frozen=True)
class Expectation:
    """One Great Expectations expectation: its class name and keyword arguments."""

    type: str
    kwargs: Mapping[str, Any]


@dataclass(frozen=True)
class Rule:
    """One promise about an asset's rows, checked as a whole.

    One of three, by what it costs. `expectations` (all must hold) and `broken` (a condition on one row that is true of
    a failing one, `shows` being the columns that tell why) are judged together, in one pass over the asset's rows.
    `sql` is a query of its own that returns the failing rows, with columns that let an operator find them. It reads
    the asset's rows of the period as `batch`, once; in its text {period_from} and {period_to} stand for the period's
    ends as literals of the asset's time type, and {one_in} for the sampling of ids (1: every id; `suites`).
    `severity` is how loudly to say it; `is_blocking` stops what is downstream, because it would serve a wrong number.
    `advice` tells an operator what to do next. `is_of_tenants`: each failing row belongs to a tenant, by its column
    tenant or series_id; else the verdict is about all of them. `is_by_arrival`: it asks for what arrived in the
    period, whatever day that is about.
    """

    asset: str
    name: str
    severity: Severity
    is_blocking: bool
    advice: str
    expectations: tuple[Expectation, ...] = ()
    sql: str = ""
    broken: str = ""
    shows: tuple[str, ...] = ()
    is_of_tenants: bool = True
    is_by_arrival: bool = False

    def __post_init__(self) -> None:
        if (bool(self.expectations), bool(self.sql), bool(self.broken)).count(True) != 1:
            raise ValueError(f"rule {self.asset}.{self.name} needs expectations, sql or broken, and one of them only")


@dataclass(frozen=True)
class Asset:
    """A table with its rules. `columns` are what the rules read, `keys` those that identify a row.

    `tenant_by` is the column that says whose a row is: tenant, or series_id. A row belongs to a period when
    `time_column` lies in [from, to). `grain` widens the period to whole buckets, so that a bucket is never compared
    with a part of its events (None: taken as given); `is_dated`: a date column.
    """

    name: str
    time_column: str
    columns: tuple[str, ...]
    rules: tuple[Rule, ...]
    keys: tuple[str, ...]
    grain: Window | None = None
    is_dated: bool = False
    tenant_by: Literal["tenant", "series_id"] = "tenant"


def names(text: str) -> tuple[str, ...]:
    """Names written with spaces between them."""
    return tuple(text.split())


def filled(sql: str, **parts: str) -> str:
    """`sql` with each {name} replaced by its part; other braces stay. Parts are literals of this room, never input."""
    for name, part in parts.items():
        sql = sql.replace("{" + name + "}", part)
    return sql


def present(*columns: str) -> tuple[Expectation, ...]:
    """No null in any of the columns."""
    return tuple(Expectation("ExpectColumnValuesToNotBeNull", {"column": column}) for column in columns)


def at_least(minimum: float, *columns: str) -> tuple[Expectation, ...]:
    """No value below `minimum`; nulls pass."""
    return tuple(
        Expectation("ExpectColumnValuesToBeBetween", {"column": column, "min_value": minimum}) for column in columns
    )


def between(minimum: float, maximum: float, *columns: str) -> tuple[Expectation, ...]:
    """Every value in [minimum, maximum]; nulls pass, NaN does not (PostgreSQL sorts it above everything)."""
    return tuple(
        Expectation("ExpectColumnValuesToBeBetween", {"column": c, "min_value": minimum, "max_value": maximum})
        for c in columns
    )


def one_of(column: str, *values: str) -> tuple[Expectation, ...]:
    """Every value is one of `values`; nulls pass."""
    return (Expectation("ExpectColumnValuesToBeInSet", {"column": column, "value_set": list(values)}),)


def not_below(upper: str, lower: str) -> tuple[Expectation, ...]:
    """In every row `upper` >= `lower`; rows where one is null pass."""
    return (_greater(upper, lower, or_equal=True),)


def above(upper: str, lower: str) -> tuple[Expectation, ...]:
    """In every row `upper` > `lower`; rows where one is null pass."""
    return (_greater(upper, lower, or_equal=False),)


def _greater(upper: str, lower: str, *, or_equal: bool) -> Expectation:
    return Expectation(
        "ExpectColumnPairValuesAToBeGreaterThanB",
        {"column_A": upper, "column_B": lower, "or_equal": or_equal, "ignore_row_if": "either_value_is_missing"},
    )
