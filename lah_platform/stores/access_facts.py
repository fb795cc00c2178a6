"""Who can reach what: the key table, the grants of readers, and PostgreSQL's catalog, read in one snapshot."""

from typing import Any

from lah_platform.compliance.access_facts import AccessFacts, KeyFact, LoginFact, ReaderFact
from lah_platform.stores.postgres import Connection
from lah_platform.stores.queries import queries

__all__ = ["read_access"]

_Q = queries("access")
_SNAPSHOT = "set transaction isolation level repeatable read read only"


def read_access(connection: Connection, *, tenant: str) -> AccessFacts:
    """Keys and readers of `tenant` ("*": of all), and the server's logins for "*".

    `connection` is in autocommit mode.
    """

    def rows(name: str) -> list[tuple[Any, ...]]:
        return connection.execute(_Q[name], {"tenant": tenant} if b"%(tenant)s" in _Q[name] else None).fetchall()

    with connection.transaction():
        connection.execute(_SNAPSHOT)
        is_whole = tenant == "*"
        return AccessFacts(
            keys=[KeyFact(*row) for row in rows("keys")],
            readers=[ReaderFact(*row) for row in rows("readers")],
            logins=[LoginFact(*row) for row in rows("logins")] if is_whole else [],
            public_readable=[name for (name,) in rows("public_readable")] if is_whole else [],
        )
