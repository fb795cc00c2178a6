"""The audit log: who did what to which object. Rows are added, never changed; the database refuses the rest.

Belongs here: writing a row. Does not: deciding what is worth one; whoever changes something says so in the same
transaction as the change.
"""

from collections.abc import Mapping
from typing import Any

from psycopg.types.json import Jsonb

from lah_platform.stores.postgres import Connection
from lah_platform.stores.queries import queries

__all__ = ["record"]


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
