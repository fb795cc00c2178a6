"""Commands on logins that read their tenants' rows with SQL."""

from getpass import getuser
from typing import Annotated

import typer

from lah_platform.settings import settings

__all__ = ["readers"]

readers = typer.Typer(
    help="Logins that read a tenant's rows with SQL. Example: lah readers grant ann --tenant acme", no_args_is_help=True
)

_Login = Annotated[str, typer.Argument(help="The PostgreSQL login; it has to exist.")]


@readers.command("grant")
def _grant(login: _Login, tenant: Annotated[str, typer.Option(help="Whose rows it may read.")]) -> None:
    """Let a login read a tenant's rows in schema lah_tenant, and nothing else of the hub.

    Example: lah readers grant ann --tenant acme
    """
    from lah_platform.stack.endpoints import database_url
    from lah_platform.stores.postgres import connect
    from lah_platform.stores.readers import grant_reader

    with connect(database_url(settings())) as connection:
        added = grant_reader(connection, login, tenant, actor=f"cli:{getuser()}")
    print(f"{login} reads the rows of {tenant}" + ("" if added else ", as before"))


@readers.command("list")
def _list() -> None:
    """Who reads whose rows, since when (UTC).

    Example: lah readers list
    """
    from lah_platform.stack.endpoints import database_url
    from lah_platform.stores.postgres import connect
    from lah_platform.stores.readers import list_readers

    with connect(database_url(settings())) as connection:
        for each in list_readers(connection):
            print(f"{each.role_name:<30} {each.tenant:<30} {each.granted_at:%Y-%m-%d %H:%M}")


@readers.command("revoke")
def _revoke(
    login: _Login, tenant: Annotated[str | None, typer.Option(help="Only this tenant's rows; else anybody's.")] = None
) -> None:
    """Let a login no longer read; it holds from its next statement on.

    Example: lah readers revoke ann
    """
    from lah_platform.stack.endpoints import database_url
    from lah_platform.stores.postgres import connect
    from lah_platform.stores.readers import revoke_reader

    with connect(database_url(settings())) as connection:
        gone = revoke_reader(connection, login, tenant, actor=f"cli:{getuser()}")
    print(f"{login} no longer reads the rows of {', '.join(gone)}" if gone else f"{login} could not read them before")
