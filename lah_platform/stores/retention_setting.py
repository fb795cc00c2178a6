"""For how long the hub keeps data, noted in the audit log whenever that changes."""

from typing import Any

from psycopg.types.json import Jsonb

from lah_platform.stores.audit import record
from lah_platform.stores.postgres import Connection
from lah_platform.stores.queries import queries

__all__ = ["note_retention"]


def note_retention(
    connection: Connection, *, retention_days: int, hot_days: int | None, has_archive: bool, actor: str
) -> bool:
    """Note the settings that retention goes by, when they are not those noted last; returns whether they were news."""
    details: dict[str, Any] = {"retention_days": retention_days, "hot_days": hot_days, "has_archive": has_archive}
    with connection.transaction():
        row = connection.execute(queries("audit")["is_news_of_retention"], {"details": Jsonb(details)}).fetchone()
        is_news = row is not None and bool(row[0])
        if is_news:
            record(connection, actor, "set", "retention_setting", "events", "*", details)
    return is_news
