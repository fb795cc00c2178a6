"""Rules as SQL: what is true of a failing row, and which rows fail.

Belongs here: text of queries, composed of this room's own literals. Does not: running them (`suites`,
`stores/failing_rows`).
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from lah_platform.quality.rules import Asset, Expectation, Rule, filled

__all__ = ["batch_of", "broken", "failing", "is_shared", "period_literals"]

_MICROSECOND = timedelta(microseconds=1)


def is_shared(rule: Rule) -> bool:
    """Whether the rule is judged in the one pass over the asset's rows."""
    return not rule.sql


def broken(rule: Rule) -> str:
    """The condition that is true of a failing row, false or null of any other; of a rule that `is_shared`."""
    return rule.broken.strip() if rule.broken else " or ".join(map(_broken, rule.expectations))


def batch_of(asset: Asset, period_from: datetime, period_to: datetime) -> str:
    """The query of the asset's rows of the period, widened to whole buckets of the asset."""
    start, end = period_literals(asset, period_from, period_to)
    return filled(
        "select {columns} from {table} where {time} >= {start} and {time} < {end}",
        columns=", ".join(asset.columns),
        table=asset.name,
        time=asset.time_column,
        start=start,
        end=end,
    )


def failing(asset: Asset, rule: Rule, period_from: datetime, period_to: datetime, *, one_in: int = 1) -> str:
    """The query of the rows that fail the rule, reading the asset's rows as `batch`."""
    start, end = period_literals(asset, period_from, period_to)
    if rule.sql:
        return filled(rule.sql, period_from=start, period_to=end, one_in=str(one_in))
    shown = dict.fromkeys((*asset.keys, *_read_by(rule), *rule.shows))
    return filled("select {shown} from batch where {broken}", shown=", ".join(shown), broken=broken(rule))


def period_literals(asset: Asset, period_from: datetime, period_to: datetime) -> tuple[str, str]:
    """The period's ends in SQL, widened to whole buckets of the asset."""
    start, end = period_from.astimezone(UTC), period_to.astimezone(UTC)
    if asset.grain is not None:
        start, end = asset.grain.floor(start), asset.grain.end(asset.grain.floor(end - _MICROSECOND))
    if asset.is_dated:
        return f"date '{start:%Y-%m-%d}'", f"date '{end:%Y-%m-%d}'"
    return f"timestamptz '{start.isoformat()}'", f"timestamptz '{end.isoformat()}'"


def _read_by(rule: Rule) -> list[str]:
    return [
        each.kwargs[name]
        for each in rule.expectations
        for name in ("column", "column_A", "column_B")
        if name in each.kwargs
    ]


def _broken(expectation: Expectation) -> str:
    """What Great Expectations calls unexpected; of the kinds that `rules` declares."""
    given = expectation.kwargs
    match expectation.type:
        case "ExpectColumnValuesToNotBeNull":
            return f"{given['column']} is null"
        case "ExpectColumnValuesToBeInSet":
            return f"{given['column']} not in ({', '.join(map(_literal, given['value_set']))})"
        case "ExpectColumnValuesToBeBetween":
            ends = ((given.get("min_value"), "<"), (given.get("max_value"), ">"))
            return " or ".join(f"{given['column']} {sign} {end}" for end, sign in ends if end is not None)
        case "ExpectColumnPairValuesAToBeGreaterThanB":
            return f"{given['column_A']} {'<' if given['or_equal'] else '<='} {given['column_B']}"
    raise ValueError(f"{expectation.type} has no condition: write it in lah_platform/quality/conditions.py")


def _literal(value: Any) -> str:
    return "'" + str(value).replace("'", "''") + "'"
