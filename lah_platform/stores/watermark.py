"""The watermark: the moment before which windows are final.

Belongs here: moving it, and what closes when it moves. What is merged is in `rollups`.
"""

from datetime import datetime, timedelta

from lah_platform.stores.live_feed import note_closed
from lah_platform.stores.postgres import Connection
from lah_platform.stores.queries import queries

__all__ = ["advance_watermark"]

_Q = queries("rollups")


def advance_watermark(
    connection: Connection, *, now: datetime, allowed_lateness: timedelta, topic: str | None
) -> datetime | None:
    """Move the moment before which windows are final; None when older partials still wait.

    `topic` is the landed topic, or None without a broker: REST lands before it answers.
    """
    with connection.transaction():
        (was,) = connection.execute(_Q["watermark"]).fetchone() or (None,)
        asked = {"now": now, "allowed_lateness": allowed_lateness, "topic": topic}
        row = connection.execute(_Q["advance_watermark"], asked).fetchone()
        if row is None:
            return None
        final_before: datetime | None = row[0]
        if final_before is not None:
            note_closed(connection, was, final_before)
    return final_before
