"""The audit log: who did what to which object. Rows are added, never changed; the database refuses the rest.

Belongs here: writing a row, and the newest rows. Does not: deciding what is worth one; whoever changes something says
so in the same transaction as the change. How rows are chained: docs/audit.md.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from lah_platform.compliance.audit_kinds import OTHER, matched_by
from lah_platform.stores.postgres import Connection
from lah_platform.stores.queries import queries

__all__ = ["kind_filter", "list_entries", "record", "record_reading"]


def record(
    connection: Connection,
    actor: str,
    action: str,
    object_type: str,
    object_id: str,
    tenant: str,
    details: Mapping[str, Any],
) -> int:
    """Add one row and return its position; the database gives place, time (UTC) and hashes.

    Call it inside the transaction that makes the change, so that neither exists without the other, and last in it:
    until that transaction ends nobody else can record. `tenant` is whose data is concerned, "*" when it is everyone's;
    `details` must be JSON-serialisable and name no person (subject_id stands for one). Raises psycopg's RaiseException
    in a transaction that is not read committed: it could not see the row before.
    """
    row = connection.execute(
        queries("audit")["record"],
        {
            "actor": actor,
            "action": action,
            "object_type": object_type,
            "object_id": object_id,
            "tenant": tenant,
            "details": Jsonb(dict(details)),
        },
    ).fetchone()
    if row is None:
        raise AssertionError("an insert returned no row")
    return int(row[0])


def record_reading(
    connection: Connection,
    actor: str,
    *,
    tenant: str,
    what: str,
    purpose: str,
    rows: int | None = None,
    details: Mapping[str, Any] | None = None,
) -> int:
    """Say that personal data was read: who, what (such as a route, or `subject <subject_id>`), why, and how many rows.

    Call it before what was read is handed out, so that nobody has it who is not in the log. Returns the position.
    """
    said = {"purpose": purpose, **({} if rows is None else {"rows": rows}), **(details or {})}
    return record(connection, actor, "read", "personal_data", what, tenant, said)


def list_entries(
    connection: Connection,
    *,
    start: datetime | None = None,
    end: datetime | None = None,
    tenant: str = "*",
    kind: str | None = None,
    limit: int = 100,
) -> list[dict[str, Any]]:
    """The newest entries of [start, end) (UTC; None: unbounded), newest first; `kind` is one of audit_kinds.KINDS."""
    asked: dict[str, Any] = {"from": start, "to": end, "tenant": tenant, "limit": limit, "kind": kind}
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(queries("audit")["entries"], asked | kind_filter(kind)).fetchall()


def kind_filter(kind: str | None) -> dict[str, Any]:
    """The parameters of the query that hold it to one kind; None: to none."""
    if kind is None:
        return dict.fromkeys(("types", "actions", "other_types", "other_actions"))
    own, before = matched_by(kind)
    types, actions = (None, None) if kind == OTHER else (list(own.object_types), list(own.actions))
    others = {"other_types": list(before.object_types), "other_actions": list(before.actions)}
    return {"types": types, "actions": actions, **others}
