"""What fields payloads had, in `payload_shapes`: schema drift is judged against it."""

from datetime import UTC, datetime, timedelta

from lah_platform.quality.rules import filled
from lah_platform.quality.shapes import SHAPES
from lah_platform.stores.postgres import Connection
from lah_platform.stores.queries import queries

__all__ = ["learn_shapes"]

_Q = queries("checks")
_KEPT = timedelta(days=90)


def learn_shapes(connection: Connection, period_from: datetime, period_to: datetime) -> int:
    """Learn the fields of the period's payloads, in the place of what was known of its UTC days; returns how many.

    Days whose events have left PostgreSQL are forgotten by this, and so is what is older than 90 days.
    """
    start, end = period_from.astimezone(UTC), period_to.astimezone(UTC)
    shapes = filled(
        SHAPES, period_from=f"timestamptz '{start.isoformat()}'", period_to=f"timestamptz '{end.isoformat()}'"
    )
    statement = filled(_Q["learn_shapes"].decode(), shapes=shapes.replace("%", "%%"))
    with connection.transaction():
        days = {"day_from": start.date(), "day_to": (end + timedelta(days=1, microseconds=-1)).date()}
        connection.execute(_Q["forget_shapes"], days)
        return connection.execute(statement.encode(), {"keep_from": start.date() - _KEPT}).rowcount
