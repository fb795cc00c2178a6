"""The server of landing's variants: one database for each schema, and a meter of its backends, this process and WAL.

Belongs here: how a database is made, emptied, copied into and metered. Which schemas there are is in
`landing_variants`.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path

from psycopg import sql
from psycopg.conninfo import make_conninfo

from benchmarks.landing_spent import Spent, cpu_seconds
from lah_platform.stores.embedded.postgres import EmbeddedPostgres
from lah_platform.stores.migrations import migrate
from lah_platform.stores.postgres import Connection, connect

__all__ = ["Server", "copy_into"]

_WRITTEN = "events, ledger, landing_batches, landing_offsets, rollup_partial_sets, dead_letters,"
_REMEMBERED = "identities_0, identities_1, identity_collisions_0, identity_collisions_1"


class Server:
    """An embedded PostgreSQL with a socket as well, and databases that begin as copies of a migrated one."""

    def __init__(self, folder: Path, port: int, stack: ExitStack) -> None:
        # the path is relative to the data folder, where whoever the server runs as may write
        # and a vacuum of one database would write WAL into the figures of another
        settings = {"unix_socket_directories": ".", "autovacuum": "off"}
        self._server = EmbeddedPostgres(folder, port=port, settings=settings)
        self._stack = stack
        self._connections: dict[tuple[str, bool], Connection] = {}
        stack.callback(self._server.destroy)
        self._server.start()
        self.admin = connect(self._server.url)
        stack.callback(self.admin.close)
        self.admin.execute("create database variant_base")

    def url(self, database: str, *, by_socket: bool = False) -> str:
        host = {"host": str(self._server.data)} if by_socket else {}
        return make_conninfo(self._server.url, dbname=f"variant_{database}", **host)

    def migrate_base(self, day: datetime) -> None:
        with connect(self.url("base")) as connection:
            migrate(connection)
            connection.execute("select ensure_event_partition(%s)", [day.date()])

    def make(self, database: str, *changes: str) -> None:
        """A copy of the migrated database, changed by these statements."""
        names = (sql.Identifier(f"variant_{name}") for name in (database, "base"))
        self.admin.execute(sql.SQL("create database {} template {}").format(*names))
        for change in changes:
            self.connection(database).execute(change)

    def connection(self, database: str, *, by_socket: bool = False) -> Connection:
        """The one connection of the database, open as long as the server runs."""
        key = database, by_socket
        if key not in self._connections:
            opened = connect(self.url(database, by_socket=by_socket), application_name="lah-variant")
            self._stack.callback(opened.close)  # not left as a context: that commits, and fails when interrupted
            self._connections[key] = opened
        return self._connections[key]

    def empty(self, database: str) -> None:
        self.connection(database).execute(f"truncate {_WRITTEN} {_REMEMBERED}")
        self.admin.execute("checkpoint")

    @contextmanager
    def metering(self, events: int, pids: Sequence[int], note: str = "") -> Iterator[list[Spent]]:
        """The list gets what this process, all its threads, and these backends spend meanwhile."""
        found: list[Spent] = []
        wal, backends, client = self._wal_bytes(), sum(map(cpu_seconds, pids)), time.process_time()
        yield found
        client = time.process_time() - client
        backends = sum(map(cpu_seconds, pids)) - backends
        found.append(Spent(events, backends, client, self._wal_bytes() - wal, note))

    def _wal_bytes(self) -> int:
        row = self.admin.execute("select pg_current_wal_insert_lsn() - '0/0'").fetchone()
        assert row is not None
        return int(row[0])


def copy_into(connection: Connection, table: str, columns: Sequence[str], data: bytes, form: str = "binary") -> int:
    """The number of rows that came in."""
    statement = sql.SQL("copy {} ({}) from stdin (format {})").format(
        sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, columns)), sql.SQL(form)
    )
    with connection.cursor() as cursor:
        with cursor.copy(statement) as copy:
            copy.write(data)
        return cursor.rowcount
