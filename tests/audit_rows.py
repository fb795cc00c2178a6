"""The owner's way into the audit log, which the hub itself never takes: for tests that tamper, or need a past."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from lah_platform.stores.postgres import Connection

_APPEND = """
with given as (
    select c.position + 1 as position, %(at)s::timestamptz as at, %(actor)s as actor, %(action)s as action,
           %(object_type)s as object_type, %(object_id)s as object_id, %(tenant)s as tenant,
           %(details)s::jsonb as details, gen_random_uuid() as salt, c.row_hash as previous_hash
    from audit_chain c
)
insert into audit_log (
    at, actor, action, object_type, object_id, tenant, details, position, salt, previous_hash, row_hash)
select at, actor, action, object_type, object_id, tenant, details, position, salt, previous_hash,
       sha256(previous_hash || audit_content_hash(
           position, at, actor, action, object_type, object_id, tenant, details, salt))
from given
"""
_MOVE_HEAD = """
update audit_chain c set (position, row_hash, at) = (
    select position, row_hash, at from audit_log order by position desc limit 1)
"""
_TRIGGERS = """
select tgrelid::regclass::text, tgname from pg_trigger
where not tgisinternal and tgrelid = any(%s::regclass[])
"""
_TABLES = ("audit_log", "audit_chain", "audit_heads")


@contextmanager
def owners_way_in(connection: Connection) -> Iterator[None]:
    """With the triggers away: rows can be written as anybody likes."""
    for table in _TABLES:
        connection.execute(f"alter table {table} disable trigger user".encode())
    yield
    for table, name in connection.execute(_TRIGGERS, [list(_TABLES)]).fetchall():
        connection.execute(f"alter table {table} enable always trigger {name}".encode())


def write_past(connection: Connection, entries: Sequence[Mapping[str, Any]]) -> None:
    """Replace the whole log by `entries` (at, tenant and what differs from a default), rightly chained."""
    with connection.transaction(), owners_way_in(connection):
        connection.execute("delete from audit_log")
        connection.execute("update audit_chain set position = 0, row_hash = decode(repeat('00', 32), 'hex')")
        for entry in entries:
            row = {"actor": "a", "action": "b", "object_type": "c", "object_id": "d", "details": "{}"} | dict(entry)
            connection.execute(_APPEND, row)
            connection.execute(_MOVE_HEAD)
