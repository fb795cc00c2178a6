"""Rules of retention and legal holds: rows that people set, each change in the audit log.

Belongs here: setting, listing and taking back. Does not: what they let go (`privacy/retention.py`) and letting it go
(`stores/retention_run.py`).
"""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from psycopg.rows import dict_row

from lah_platform.errors import ConfigurationError
from lah_platform.privacy.retention import CLASSES, EVERYONE, Due, Rule, due, rule_problem
from lah_platform.stores.audit import record
from lah_platform.stores.postgres import Connection
from lah_platform.stores.queries import queries

__all__ = ["due_now", "holds", "place_hold", "release_hold", "remove_rule", "rules", "set_rule"]

_Q = queries("retention_rules")
_MOST_REASON_CHARS = 1000


def set_rule(connection: Connection, rule: Rule, *, most_days: int, actor: str) -> dict[str, Any]:
    """Set a rule, in place of the one of the same tenant, class, table and type; returns it as `rules` lists it.

    Raises ConfigurationError when such a rule cannot be.
    """
    if problem := rule_problem(rule, most_days=most_days):
        raise ConfigurationError(f"This rule cannot be: {problem}", "`lah retention list` shows the rules there are")
    asked = {
        "tenant": rule.tenant,
        "class": rule.class_,
        "table_name": rule.table_name,
        "event_type": rule.event_type,
        "keep_days": rule.keep_days,
        "actor": actor,
    }
    with connection.transaction():
        (made,) = _rows(connection, "set_rule", asked)
        replaced = made.pop("replaced_days")
        details = {name: made[name] for name in ("class", "table_name", "event_type", "keep_days")}
        if replaced is not None:
            details["keep_days_before"] = replaced
        record(connection, actor, "set", "retention_rule", f"{made['rule_id']}", rule.tenant, details)
    return made


def rules(connection: Connection, tenant: str = EVERYONE) -> list[dict[str, Any]]:
    """The rules that concern a tenant ('*': all), by class."""
    return _rows(connection, "rules", {"tenant": tenant})


def remove_rule(connection: Connection, rule_id: int, *, tenant: str = EVERYONE, actor: str) -> bool:
    """Take a rule of `tenant` ('*': anyone's) back; False when there is none."""
    with connection.transaction():
        gone = _rows(connection, "remove_rule", {"rule_id": rule_id, "tenant": tenant})
        for each in gone:
            details = {name: each[name] for name in ("class", "table_name", "event_type", "keep_days")}
            record(connection, actor, "remove", "retention_rule", f"{rule_id}", each["tenant"], details)
    return bool(gone)


def place_hold(
    connection: Connection,
    tenant: str,
    reason: str,
    *,
    actor: str,
    class_: str = "",
    event_type: str = "",
    subject_id: UUID | None = None,
    from_at: datetime | None = None,
    to_at: datetime | None = None,
) -> dict[str, Any]:
    """Hold rows of `tenant` ('*': everyone's): of a class, an event type, a subject, a period, or all of them.

    Raises ConfigurationError for a class there is not, a period that ends before it begins, or no reason.
    """
    if class_ and class_ not in CLASSES:
        raise ConfigurationError(f"There is no class {class_!r}", f"Name one of {', '.join(CLASSES)}")
    if from_at is not None and to_at is not None and from_at >= to_at:
        raise ConfigurationError("The period ends before it begins", "Name an end after its beginning")
    if not reason.strip() or len(reason) > _MOST_REASON_CHARS:
        raise ConfigurationError("A hold needs a reason", f"Say why in 1 to {_MOST_REASON_CHARS} characters")
    asked = {"tenant": tenant, "class": class_, "event_type": event_type, "subject_id": subject_id}
    period = {"from_at": from_at, "to_at": to_at}
    with connection.transaction():
        (made,) = _rows(connection, "place_hold", {**asked, **period, "reason": reason, "actor": actor})
        details = {name: f"{value}" for name, value in {**asked, **period}.items() if value and name != "tenant"}
        record(connection, actor, "place", "legal_hold", f"{made['hold_id']}", tenant, {**details, "reason": reason})
        (hold,) = holds(connection, hold_id=made["hold_id"])
    return hold


def holds(
    connection: Connection, tenant: str = EVERYONE, *, active: bool = False, hold_id: int | None = None
) -> list[dict[str, Any]]:
    """Holds that concern a tenant ('*': all), oldest first; `active`: those that were not released."""
    return _rows(connection, "holds", {"tenant": tenant, "active": active, "hold_id": hold_id})


def release_hold(connection: Connection, hold_id: int, *, tenant: str = EVERYONE, actor: str) -> bool:
    """Release a hold of `tenant` ('*': anyone's); False when none of that number holds."""
    with connection.transaction():
        released = _rows(connection, "release_hold", {"hold_id": hold_id, "tenant": tenant, "actor": actor})
        for each in released:
            record(connection, actor, "release", "legal_hold", f"{hold_id}", each["tenant"], {"reason": each["reason"]})
    return bool(released)


def due_now(connection: Connection, today: date, *, most_days: int) -> list[Due]:
    """What the rules let go as of the UTC day `today`; events older than `most_days` days go without a rule."""
    chosen = [Rule(each["tenant"], each["class"], each["keep_days"], each["table_name"], each["event_type"])
              for each in rules(connection)]  # fmt: skip
    chosen = [Rule(r.tenant, r.class_, min(r.keep_days, most_days), r.table_name, r.event_type)
              if r.class_ == "events" else r for r in chosen]  # fmt: skip
    if not any(r.class_ == "events" and (r.tenant, r.event_type, r.table_name) == (EVERYONE, "", "") for r in chosen):
        chosen.append(Rule(EVERYONE, "events", most_days))
    series = connection.execute(_Q["units"]).fetchall()
    tenants = [tenant for (tenant,) in connection.execute(_Q["tenants"])]
    return due(chosen, today, series=[(tenant, kind) for tenant, kind in series], tenants=tenants)


def _rows(connection: Connection, name: str, parameters: dict[str, Any]) -> list[dict[str, Any]]:
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(_Q[name], parameters).fetchall()
