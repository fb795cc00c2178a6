"""Consents: what a person agreed to or withdrew, by purpose, from privacy events and from people who enter it.

The latest word on a purpose counts; who has said nothing has not agreed. Belongs here: rows. Does not: finding the
subject of a person (`subjects.py`).
"""

import re
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from psycopg.rows import dict_row

from lah_platform.errors import ConfigurationError
from lah_platform.stores.audit import record
from lah_platform.stores.postgres import Connection
from lah_platform.stores.queries import queries

__all__ = ["collect_consents", "consented", "consents_of", "record_consent", "standing_consents", "withdraw"]

_Q = queries("consents")
_UNCOMMITTED = timedelta(minutes=10)  # a batch is received so long before it is committed, at most
_NAME = re.compile(r"^[\w .:/-]{1,200}$")


def record_consent(
    connection: Connection,
    tenant: str,
    subject_id: UUID,
    purpose: str,
    *,
    is_granted: bool,
    given_at: datetime,
    source: str,
    actor: str,
) -> dict[str, Any]:
    """Record what a subject said at `given_at` (UTC), with a line in the audit log; returns the row.

    Raises ConfigurationError for a purpose or source that is no short name: neither is a place for personal text.
    """
    for what, value in (("purpose", purpose), ("source", source)):
        if not _NAME.match(value):
            raise ConfigurationError(f"No {what} has such a name", "Use 1 to 200 letters, digits, spaces and _ . : / -")
    values = {"tenant": tenant, "subject_id": subject_id, "purpose": purpose, "is_granted": is_granted}
    with connection.transaction():
        (made,) = _rows(connection, "record", {**values, "given_at": given_at, "source": source, "actor": actor})
        action = "grant" if is_granted else "withdraw"
        record(connection, actor, action, "consent", f"{subject_id}", tenant, {"purpose": purpose, "source": source})
    return made


def withdraw(
    connection: Connection,
    tenant: str,
    subject_id: UUID,
    purpose: str | None,
    *,
    now: datetime,
    source: str,
    actor: str,
) -> list[dict[str, Any]]:
    """Withdraw the consents of a subject that stand, or the one to `purpose`; returns the rows written.

    A withdrawal of a purpose that nobody agreed to is recorded all the same: it stands against what comes later.
    """
    collect_consents(connection, now)
    with connection.transaction():
        standing = standing_consents(connection, tenant, [subject_id], purpose)
        purposes = [each["purpose"] for each in standing if each["is_granted"]] if purpose is None else [purpose]
        return [
            record_consent(
                connection, tenant, subject_id, each, is_granted=False, given_at=now, source=source, actor=actor
            )
            for each in purposes
        ]


def consented(
    connection: Connection, tenant: str, subject_ids: Collection[UUID], purpose: str, *, now: datetime
) -> set[UUID]:
    """Those of the subjects whose consent to `purpose` stands now, events received before `now` included."""
    collect_consents(connection, now)
    standing = standing_consents(connection, tenant, subject_ids, purpose)
    return {UUID(each["subject_id"]) for each in standing if each["is_granted"]}


def standing_consents(
    connection: Connection, tenant: str, subject_ids: Collection[UUID], purpose: str | None = None
) -> list[dict[str, Any]]:
    """The latest word of each subject on each purpose, or on one."""
    return _rows(connection, "standing", {"tenant": tenant, "subject_ids": list(subject_ids), "purpose": purpose})


def consents_of(connection: Connection, tenant: str, subject_id: UUID) -> list[dict[str, Any]]:
    """Everything the subject said, oldest first."""
    return _rows(connection, "history", {"tenant": tenant, "subject_id": subject_id})


def collect_consents(connection: Connection, now: datetime) -> int:
    """Record what privacy events received before `now` (UTC) say about consent; each once. Returns how many are new."""
    with connection.transaction():
        connection.execute(_Q["lock_progress"])
        found = connection.execute(_Q["collect"], {"until": now, "overlap": _UNCOMMITTED}).rowcount
        connection.execute(_Q["advance"], {"until": now})
    return found


def _rows(connection: Connection, name: str, parameters: dict[str, Any]) -> list[dict[str, Any]]:
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(_Q[name], parameters).fetchall()
