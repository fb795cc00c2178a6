"""Marts that were built and tested beside the served ones take their place, in one transaction."""

from collections.abc import Sequence

from psycopg import sql

from lah_platform.stores.dbt_project import STAGING
from lah_platform.stores.postgres import Connection

__all__ = ["SCHEMA", "serve_marts"]

SCHEMA = "marts"


def serve_marts(connection: Connection, names: Sequence[str]) -> None:
    """Serve the marts `names` as they are in the staging schema: readers see all of them as before or all as after.

    Rows are replaced in the served table, so that grants, indexes and readers' views of it stay; a mart that is new, or
    has other columns than the served one, takes its place as a table.
    """
    with connection.transaction():
        connection.execute(sql.SQL("create schema if not exists {}").format(sql.Identifier(SCHEMA)))
        for name in names:
            served, staged = sql.Identifier(SCHEMA, name), sql.Identifier(STAGING, name)
            shapes = [_shape(connection, schema, name) for schema in (SCHEMA, STAGING)]
            if shapes[0] == shapes[1]:
                connection.execute(sql.SQL("delete from {}").format(served))
                connection.execute(sql.SQL("insert into {} select * from {}").format(served, staged))
                connection.execute(sql.SQL("drop table {}").format(staged))
            else:
                connection.execute(sql.SQL("drop table if exists {} cascade").format(served))
                move = sql.SQL("alter table {} set schema {}").format(staged, sql.Identifier(SCHEMA))
                connection.execute(move)


def _shape(connection: Connection, schema: str, name: str) -> list[tuple[object, ...]]:
    return connection.execute(
        "select a.attname, format_type(a.atttypid, a.atttypmod) from pg_attribute a"
        " join pg_class c on c.oid = a.attrelid join pg_namespace n on n.oid = c.relnamespace"
        " where n.nspname = %s and c.relname = %s and c.relkind = 'r' and a.attnum > 0 and not a.attisdropped"
        " order by a.attnum",
        [schema, name],
    ).fetchall()
