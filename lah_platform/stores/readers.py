"""Logins that read their tenants' rows with SQL, through the views of schema lah_tenant.

The login itself is the database administrator's to make: its password never passes through here.
"""

from dataclasses import dataclass
from datetime import datetime

from psycopg import errors, sql

from lah_platform.errors import ConfigurationError
from lah_platform.events.names import tenant_problem
from lah_platform.stores.audit import record
from lah_platform.stores.postgres import Connection
from lah_platform.stores.queries import queries

__all__ = ["Reader", "grant_reader", "list_readers", "revoke_reader"]

_Q = queries("readers")
_ROLE = "lah_tenant_reader"


@dataclass(frozen=True)
class Reader:
    """A login and a tenant whose rows it reads, since when (UTC)."""

    role_name: str
    tenant: str
    granted_at: datetime


def grant_reader(connection: Connection, role_name: str, tenant: str, *, actor: str) -> bool:
    """Let the login read `tenant`'s rows; False when it could before.

    Raises ConfigurationError when there is no such login, when it reads everything anyway, or when the connection's
    role may not grant.
    """
    if tenant_problem(tenant):
        raise ConfigurationError(f"No reader can be of tenant {tenant!r}", "Use the tenant's own name")
    found = connection.execute(_Q["login"], {"role_name": role_name}).fetchone()
    if found is None:
        raise ConfigurationError(
            f"There is no login {role_name!r}",
            "Have one who may make roles run: create role <name> login; then give it a password with \\password <name>",
        )
    if found[0]:
        raise ConfigurationError(f"{role_name!r} reads every table whatever is granted", "Name another login")
    with connection.transaction():
        added = connection.execute(_Q["grant"], {"role_name": role_name, "tenant": tenant}).fetchone() is not None
        try:
            connection.execute(sql.SQL("grant {} to {}").format(sql.Identifier(_ROLE), sql.Identifier(role_name)))
            connection.execute(
                sql.SQL("alter role {} in database {} set search_path = lah_tenant, lah").format(
                    sql.Identifier(role_name), sql.Identifier(connection.info.dbname)
                )
            )
        except (errors.InsufficientPrivilege, errors.UndefinedObject) as error:
            raise ConfigurationError(
                f"This database's role may not grant {_ROLE}", "See docs/operations.md, Readers with SQL"
            ) from error
        if added:
            record(connection, actor, "grant", "sql_reader", role_name, tenant, {})
    return added


def revoke_reader(connection: Connection, role_name: str, tenant: str | None = None, *, actor: str) -> list[str]:
    """Let the login no longer read `tenant`'s rows (None: anybody's); returns the tenants it could read till now."""
    with connection.transaction():
        gone = [name for (name,) in connection.execute(_Q["revoke"], {"role_name": role_name, "tenant": tenant})]
        for name in gone:
            record(connection, actor, "revoke", "sql_reader", role_name, name, {})
    return sorted(gone)


def list_readers(connection: Connection) -> list[Reader]:
    """Every login and tenant, by name."""
    return [Reader(*row) for row in connection.execute(_Q["list"])]
