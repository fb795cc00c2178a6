"""Rows of `series` and `events` as a test wants them; everything it does not name has a plain default."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from psycopg import sql

from lah_platform.stores.postgres import Connection

_SERIES = {
    "tenant": "acme",
    "event_type": "cost",
    "subtype": "token_cost",
    "model": "",
    "environment": "production",
    "service": "",
    "region": "",
    "team": "",
}
_EVENT = {
    "tenant": "acme",
    "source_module": "llm-costops",
    "event_type": "cost",
    "payload_type": "cost",
    "subtype": "token_cost",
    "severity": "info",
    "environment": "production",
    "schema_version": "1.0.0",
    "tags": "{}",
    "payload": "{}",
    "topic": "events",
    "partition": 0,
    "record_offset": 0,
}


def add_series(connection: Connection, **dimensions: str) -> int:
    """The id of the series with these dimensions; it is added when it is not there."""
    values = _SERIES | dimensions
    names = sql.SQL(", ").join(map(sql.Identifier, values))
    placeholders = sql.SQL(", ").join(map(sql.Placeholder, values))
    added = sql.SQL("insert into series ({}) values ({}) on conflict do nothing").format(names, placeholders)
    connection.execute(added, values)
    found = sql.SQL("select series_id from series where ({}) = ({})").format(names, placeholders)
    row = connection.execute(found, values).fetchone()
    assert row is not None
    return int(row[0])


def add_event(connection: Connection, number: int, ts: datetime, **columns: Any) -> UUID:
    """Insert an event whose id is made of `number`; returns the id. Its series is made of what is not given."""
    values = _EVENT | {"ts": ts, "received_at": ts + timedelta(seconds=1), "event_id": UUID(int=number)} | columns
    if "series_id" not in values:
        dimensions = {name: values[name] for name in ("tenant", "event_type", "subtype", "environment")}
        values["series_id"] = add_series(connection, **dimensions, model=values.get("model") or "")
    connection.execute("select ensure_event_partition(%s)", (ts.date(),))
    statement = sql.SQL("insert into events ({}) values ({})").format(
        sql.SQL(", ").join(map(sql.Identifier, values)), sql.SQL(", ").join(map(sql.Placeholder, values))
    )
    connection.execute(statement, values)
    event_id: UUID = values["event_id"]
    return event_id
