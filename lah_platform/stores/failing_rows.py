"""The rows that fail a rule, as they are now: for whoever has to repair them."""

from datetime import datetime
from typing import Any

from psycopg import sql

from lah_platform.quality.conditions import batch_of, failing
from lah_platform.quality.registry import rule_of
from lah_platform.quality.rules import filled
from lah_platform.stores.postgres import Connection
from lah_platform.stores.queries import queries

__all__ = ["failing_rows"]

_Q = queries("checks")


def failing_rows(
    connection: Connection,
    asset: str,
    rule: str,
    period_from: datetime,
    period_to: datetime,
    *,
    limit: int,
    tenant: str = "*",
    schema: str = "lah",
    timeout_ms: int = 0,
) -> list[dict[str, Any]]:
    """At most `limit` rows of the period that fail the rule, of one tenant ('*': of all), in no order.

    The keys of each row and the columns that tell why it fails; no personal content is among them. A row that belongs
    to no tenant, or of a rule that is about all of them, is shown to '*' only. `schema`: where the asset's table is
    looked for first. `timeout_ms` (0: none) bounds the statement, whose end psycopg's QueryCanceled tells.
    Raises LookupError for an unknown asset or rule.
    """
    spec, found = rule_of(asset, rule)
    if tenant != "*" and not found.is_of_tenants:
        return []
    statement = filled(
        _Q["failing_rows"].decode(),
        batch=batch_of(spec, period_from, period_to).replace("%", "%%"),
        failing=failing(spec, found, period_from, period_to).replace("%", "%%"),
    )
    with connection.transaction():
        connection.execute("set transaction read only")
        connection.execute("set local work_mem = '64MB'")
        connection.execute(sql.SQL("set local statement_timeout = {}").format(sql.Literal(timeout_ms)))
        if schema != "lah":
            path = sql.SQL(", ").join(map(sql.Identifier, (schema, "lah", "public")))
            connection.execute(sql.SQL("set local search_path = {}").format(path))
        rows = connection.execute(statement.encode(), {"tenant": tenant, "limit": limit}).fetchall()
    return [row for (row,) in rows]
