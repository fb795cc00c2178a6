"""Commands on the database itself: its schema, and a prompt."""

import os
from typing import Annotated

import typer

from lah_platform.settings import SQL_ROOT, settings

__all__ = ["migrate", "sql"]

migrate = typer.Typer(help="Bring the schema to this version. Example: lah migrate", invoke_without_command=True)


@migrate.callback()
def _migrate(context: typer.Context) -> None:
    if context.invoked_subcommand is not None:
        return
    from lah_platform.stack.endpoints import database_url
    from lah_platform.stores.costs import ensure_price_book
    from lah_platform.stores.migrations import migrate as apply
    from lah_platform.stores.postgres import connect

    with connect(database_url(settings())) as connection:
        applied = apply(connection)
        priced = ensure_price_book(connection)
    for migration in applied:
        print(f"applied {migration.version:04d}_{migration.name}")
    if priced:
        print(f"loaded {priced} list prices; load your own into table prices")
    if not applied:
        print("The schema is current")


@migrate.command("status")
def _status() -> None:
    """Which migrations are applied, and when (UTC).

    Example: lah migrate status
    """
    from lah_platform.stack.endpoints import database_url
    from lah_platform.stores.migrations import status
    from lah_platform.stores.postgres import connect

    with connect(database_url(settings())) as connection:
        steps = status(connection)
    for step in steps:
        applied = f"{step.applied_at:%Y-%m-%d %H:%M:%S}Z" if step.applied_at else "missing: run `lah migrate`"
        print(f"{step.version:04d}_{step.name:<20} {applied}")
    if not all(step.applied_at for step in steps):
        raise typer.Exit(1)


@migrate.command("snapshot", hidden=True)
def _snapshot() -> None:
    """Write sql/schema.snapshot from the running database, after a new migration."""
    from lah_platform.stack.endpoints import database_url
    from lah_platform.stores.migrations import schema_snapshot
    from lah_platform.stores.postgres import connect

    with connect(database_url(settings())) as connection:
        (SQL_ROOT / "schema.snapshot").write_text(schema_snapshot(connection), encoding="utf-8")


def sql(
    command: Annotated[str | None, typer.Option("--command", "-c", help="Run one statement and end.")] = None,
    url: Annotated[bool, typer.Option("--url", help="Print the URL, password included, instead.")] = False,
) -> None:
    """A psql prompt on the hub's database (search_path lah, marts; UTC).

    Example: lah sql -c "select * from metrics_1h limit 5"
    """
    from psycopg.conninfo import conninfo_to_dict

    from lah_platform.stack.endpoints import database_url
    from lah_platform.stores.embedded.postgres import binaries

    target = database_url(settings())
    if url:
        print(target)
        return
    parts = conninfo_to_dict(target)
    names = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "password": "PGPASSWORD", "dbname": "PGDATABASE"}
    environment = os.environ | {names[name]: str(value) for name, value in parts.items() if name in names}
    environment["PGOPTIONS"] = "-c search_path=lah,marts,public -c TimeZone=UTC"
    arguments = ["psql", *(["-c", command] if command else [])]
    os.execve(binaries() / "psql", arguments, environment)
