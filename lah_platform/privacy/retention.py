"""What is due to go: rules of retention against the tables they concern. No database here.

A rule says how many whole UTC days a class of rows is kept, for one tenant or for everyone, for the whole class or for
one of its tables or event types. The most specific rule counts: a tenant's own before everyone's, then one that names a
table or type before one that does not.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from types import MappingProxyType
from typing import Final, Literal, get_args

__all__ = ["CLASSES", "EVERYONE", "TABLES", "Due", "Rule", "Table", "due", "rule_problem"]

Class = Literal["events", "personal", "dead_letters", "rollups", "signals", "costs", "checks", "reports"]
CLASSES: Final[tuple[Class, ...]] = get_args(Class)
EVERYONE: Final = "*"
_BY_EVENT_TYPE: Final = ("events", "personal")
_OF_NOBODY: Final = ("checks",)


@dataclass(frozen=True)
class Table:
    """Where rows of a class lie: `at` is the expression of a row's time (UTC), `tenant` that of whose it is."""

    name: str
    at: str
    tenant: str = "t.tenant"


TABLES: Final[Mapping[Class, tuple[Table, ...]]] = MappingProxyType(
    {
        "events": (Table("events", "t.ts"),),
        "personal": (Table("events", "t.ts"),),
        "dead_letters": (Table("dead_letters", "t.dead_lettered_at"),),
        # Weeks and months are made of stored days, and costs and archive are compared with them: those stay
        "rollups": tuple(
            Table(
                f"rollup_{window}",
                "t.bucket_start",
                "(select s.tenant from series s where s.series_id = t.series_id)",
            )
            for window in ("1m", "5m", "15m", "1h", "6h")
        ),
        "signals": (
            Table("anomalies", "t.ended_at"),
            Table("forecasts", "t.target_start"),
            Table("correlations", "t.ended_at"),
            Table("incidents", "t.ended_at"),
        ),
        "costs": (Table("cost_daily", "t.day::timestamp at time zone 'UTC'"),),
        "checks": (Table("checks", "t.checked_at", "'*'"),),
        "reports": (Table("reports", "t.generated_at"),),
    }
)


@dataclass(frozen=True)
class Rule:
    """How long rows are kept; empty `table_name` and `event_type`: the whole class."""

    tenant: str
    class_: Class
    keep_days: int
    table_name: str = ""
    event_type: str = ""


@dataclass(frozen=True, order=True)
class Due:
    """Rows of `table` whose time lies before `before` (UTC midnight) are past what a rule keeps."""

    class_: Class
    table: str
    tenant: str
    event_type: str
    before: datetime


def rule_problem(rule: Rule, *, most_days: int) -> str | None:
    """Why such a rule cannot be; None: it can. `most_days`: what the hub keeps of events at all."""
    if rule.class_ not in CLASSES:
        return f"there is no class {rule.class_!r}: {', '.join(CLASSES)}; the audit log is append-only and has none"
    if rule.event_type and rule.class_ not in _BY_EVENT_TYPE:
        return f"rows of class {rule.class_} have no event type"
    tables = [table.name for table in TABLES[rule.class_]]
    if rule.table_name and rule.table_name not in tables:
        return f"class {rule.class_} has the tables {', '.join(tables)}"
    if rule.table_name and rule.event_type:
        return "a rule names a table or an event type, not both"
    if rule.class_ in _OF_NOBODY and rule.tenant != EVERYONE:
        return f"rows of class {rule.class_} belong to no tenant: use '*'"
    if rule.keep_days < 1:
        return "at least one day is kept"
    if rule.class_ in _BY_EVENT_TYPE and rule.keep_days > most_days:
        return f"events are kept {most_days} days at most (LAH_RETENTION_DAYS)"
    return None


def due(
    rules: Sequence[Rule], today: date, *, series: Collection[tuple[str, str]], tenants: Collection[str]
) -> list[Due]:
    """What the rules let go as of the UTC day `today`, one item for each tenant, table and event type they concern.

    `series`: the (tenant, event type) pairs there are; `tenants`: every tenant there is. A rule for a tenant without
    rows concerns nothing.
    """
    found = []
    for class_ in CLASSES:
        own = [rule for rule in rules if rule.class_ == class_]
        if not own:
            continue
        for tenant, table, event_type in _units(class_, series, tenants):
            if rule := _most_specific(own, tenant, table, event_type):
                found.append(Due(class_, table, tenant, event_type, _midnight(today, rule.keep_days)))
    return sorted(found)


def _units(
    class_: Class, series: Collection[tuple[str, str]], tenants: Collection[str]
) -> Iterable[tuple[str, str, str]]:
    for table in TABLES[class_]:
        if class_ in _BY_EVENT_TYPE:
            yield from ((tenant, table.name, event_type) for tenant, event_type in series)
        else:
            yield from ((tenant, table.name, "") for tenant in ([EVERYONE] if class_ in _OF_NOBODY else tenants))


def _most_specific(rules: Sequence[Rule], tenant: str, table: str, event_type: str) -> Rule | None:
    fitting = [
        rule
        for rule in rules
        if rule.tenant in (EVERYONE, tenant) and rule.table_name in ("", table) and rule.event_type in ("", event_type)
    ]
    return max(
        fitting, key=lambda rule: (rule.tenant != EVERYONE, bool(rule.table_name or rule.event_type)), default=None
    )


def _midnight(today: date, keep_days: int) -> datetime:
    first = today - timedelta(days=keep_days)
    return datetime(first.year, first.month, first.day, tzinfo=UTC)
