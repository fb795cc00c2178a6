"""Connections to the hub's PostgreSQL or TimescaleDB. Every session is UTC with search_path lah, public."""

from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg_pool import ConnectionPool

from lah_platform.errors import ConfigurationError
from lah_platform.stores.cancelling import CancellingPool

__all__ = ["Connection", "connect", "open_pool", "session_conninfo"]

Connection = psycopg.Connection[tuple[Any, ...]]

_UNANSWERED_MS = 60_000
_SESSION = "-c search_path=lah,public -c TimeZone=UTC"


def session_conninfo(
    url: str, application_name: str = "lah", statement_timeout_ms: int = 0, idle_in_transaction_timeout_ms: int = 0
) -> str:
    """The libpq connection string of `url` with the hub's session settings; a timeout of 0 is none."""
    options = _SESSION
    if statement_timeout_ms:
        options += f" -c statement_timeout={statement_timeout_ms}"
    if idle_in_transaction_timeout_ms:
        options += f" -c idle_in_transaction_session_timeout={idle_in_transaction_timeout_ms}"
    return make_conninfo(
        url,
        options=options,
        application_name=application_name,
        connect_timeout=10,
        tcp_user_timeout=_UNANSWERED_MS,  # a peer that is gone without a word is noticed
    )


def connect(
    url: str,
    *,
    application_name: str = "lah",
    autocommit: bool = True,
    statement_timeout_ms: int = 0,
    idle_in_transaction_timeout_ms: int = 0,
) -> Connection:
    """Open one connection; a timeout of 0 is none.

    Autocommit by default: a transaction is always an explicit `with connection.transaction()`.
    Raises ConfigurationError when nothing answers at the URL; the password is never repeated.
    """
    try:
        conninfo = session_conninfo(url, application_name, statement_timeout_ms, idle_in_transaction_timeout_ms)
        return psycopg.connect(conninfo, autocommit=autocommit)
    except psycopg.OperationalError as error:
        raise ConfigurationError(
            f"PostgreSQL does not answer ({str(error).strip().splitlines()[-1]})",
            "Start it with `lah up`, or check LAH_DATABASE_URL; `lah doctor` tells more",
        ) from error


def open_pool(url: str, *, application_name: str, max_size: int = 8, statement_timeout_ms: int = 0) -> ConnectionPool:
    """A pool of autocommit connections; close it when done.

    Statements are planned for the values they are asked with: a plan for any values cannot leave out a filter that was
    not given, and reads everything.
    """
    return CancellingPool(
        session_conninfo(url, application_name, statement_timeout_ms),
        min_size=1,
        max_size=max_size,
        kwargs={"autocommit": True, "prepare_threshold": None},
        open=True,
        check=ConnectionPool.check_connection,
    )
