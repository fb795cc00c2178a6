"""A pool whose connections are known to whom they were lent, so that somebody else can cancel what they run.

Belongs here: knowing and cancelling. When to is the caller's.
"""

import contextlib
import threading
from contextvars import ContextVar
from typing import Any

import psycopg
from psycopg.errors import QueryCanceled
from psycopg_pool import ConnectionPool

__all__ = ["CancellingPool", "Statements", "statements_of_this_context"]

_CANCEL_S = 5.0


class Statements:
    """What one piece of work has asked of the database and waits for; once cancelled, it gets no further connection."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._connections: set[psycopg.Connection[Any]] = set()
        self._is_cancelled = False

    def cancel(self) -> None:
        """Have the database stop them; each raises QueryCanceled where it was waited for."""
        with self._lock:  # so that none is given back, and lent to somebody else, at this moment
            self._is_cancelled = True
            for connection in self._connections:
                with contextlib.suppress(psycopg.Error):
                    connection.cancel_safe(timeout=_CANCEL_S)

    def lend(self, connection: psycopg.Connection[Any]) -> bool:
        """Note that the work has it; False: it is cancelled and is to have none."""
        with self._lock:
            if not self._is_cancelled:
                self._connections.add(connection)
            return not self._is_cancelled

    def give_back(self, connection: psycopg.Connection[Any]) -> None:
        """Note that the work has it no more."""
        with self._lock:
            self._connections.discard(connection)


statements_of_this_context: ContextVar[Statements | None] = ContextVar("statements_of_this_context", default=None)
"""Whose connections a CancellingPool lends here; None: nobody's."""


class CancellingPool(ConnectionPool):
    """Lends connections to `statements_of_this_context`."""

    def getconn(self, timeout: float | None = None) -> psycopg.Connection[Any]:
        connection = super().getconn(timeout)
        statements = statements_of_this_context.get()
        if statements is not None and not statements.lend(connection):
            super().putconn(connection)
            raise QueryCanceled("the request was given up")
        return connection

    def putconn(self, conn: psycopg.Connection[Any]) -> None:
        statements = statements_of_this_context.get()
        if statements is not None:
            statements.give_back(conn)
        super().putconn(conn)
