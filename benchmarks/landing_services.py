"""The broker, the PostgreSQL server and the database that every side of the landing benchmark shares.

Belongs here: starting, filling, emptying and removing them. Not: what is measured.
"""

import os
import secrets
import signal
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka.admin import AdminClient
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from lah_platform.stores.embedded.broker import EmbeddedBroker
from lah_platform.stores.embedded.ports import unused_port
from lah_platform.stores.embedded.postgres import EmbeddedPostgres
from lah_platform.stores.kafka import ensure_topic, make_producer, produce_all
from lah_platform.stores.migrations import migrate
from lah_platform.stores.postgres import Connection, connect

__all__ = ["KEPT_TABLES", "PARTITIONS", "Services", "running"]

PARTITIONS = 4
# what landing does not write in its transaction, and a turn may find as the turn before left it
KEPT_TABLES = frozenset(
    {"schema_migrations", "series", "prices", "rollup_state", "privacy_epoch"}
    | {"audit_log", "audit_chain", "audit_heads", "audit_anchored"}  # which nobody may empty
)


@dataclass(frozen=True)
class Services:
    """Where everything runs. `database_url` is a database of this run's own; `is_local` tells whether its backends are
    processes of this machine."""

    bootstrap: str
    database_url: str
    folder: Path
    is_local: bool
    describe: str
    name: str

    def topic(self, role: str) -> str:
        """This run's own topic for a role: a broker that outlives the run may hold an earlier run's."""
        return f"{self.name}-{role}"

    def connect(self) -> Connection:
        return connect(self.database_url, application_name="lah-benchmark")

    def database_parts(self) -> dict[str, str]:
        """Host, port, dbname, user and password, for clients that take them singly."""
        parts = conninfo_to_dict(self.database_url)
        return {name: str(parts[name]) for name in ("host", "port", "dbname", "user", "password") if name in parts}

    def fill(self, topic: str, messages: Iterable[tuple[bytes, bytes]]) -> None:
        """Produce to the topic, made when it is missing, and wait until everything is acknowledged."""
        ensure_topic(self.bootstrap, topic, PARTITIONS)
        produce_all(make_producer(self.bootstrap), topic, messages, timeout_seconds=120)

    def empty(self, connection: Connection) -> None:
        """Take everything out that a landing wrote, then checkpoint: each turn begins alike."""
        names = connection.execute(
            "select relname from pg_class where relnamespace = 'lah'::regnamespace"
            " and relkind in ('r', 'p') and not relispartition"
        ).fetchall()
        tables = [sql.Identifier("lah", name) for (name,) in names if name not in KEPT_TABLES]
        connection.execute(sql.SQL("truncate {}").format(sql.SQL(", ").join(tables)))
        connection.execute("checkpoint")


@contextmanager
def running(bootstrap: str | None, database: str | None) -> Iterator[Services]:
    """The named broker and server, or embedded ones; whatever was made here is removed at the end, however it comes.

    `database` is the URL of a server's superuser; the run makes a database of its own there.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that a terminated run cleans up too
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lah-benchmark-")))
        name = f"lah-benchmark-{os.getpid()}-{secrets.token_hex(3)}"
        if bootstrap is None:
            broker = EmbeddedBroker(folder / "broker", port=unused_port())
            stack.callback(broker.stop)
            broker.start()
            bootstrap, broker_name = broker.bootstrap, "embedded broker"
        else:
            broker_name = f"broker {bootstrap}"
            stack.callback(_delete_topics, bootstrap, name)
        if database is None:
            server = EmbeddedPostgres(folder / "postgres", port=unused_port())
            stack.callback(server.destroy)
            server.start()
            database = server.url
            _make_wal_files(database)
        is_local = conninfo_to_dict(database).get("host", "localhost") in ("127.0.0.1", "localhost", "::1")
        with connect(database) as admin:
            admin.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
            stack.callback(_drop, database, name)
            settings = " ".join(
                f"{setting}={admin.execute(sql.SQL('show {}').format(sql.Identifier(setting))).fetchone()[0]}"  # type: ignore[index]
                for setting in ("server_version", "fsync", "synchronous_commit", "shared_buffers", "max_wal_size")
            )
        url = _named(database, name)
        with connect(url) as connection:
            migrate(connection)
        yield Services(bootstrap, url, folder, is_local, f"{broker_name}, PostgreSQL {settings}", name)


def _make_wal_files(url: str) -> None:
    """Have a new server write 1.2 GB: it makes its WAL files meanwhile, which one that has run for a while reuses.

    Without, the first turns measure that: 9 µs of the backend's CPU an event instead of 6.
    """
    with connect(url) as connection:
        connection.execute(
            "create table public.written as select repeat(md5(i::text), 60) from generate_series(1, 600000) i"
        )
        connection.execute("drop table public.written")
        connection.execute("checkpoint")


def _named(url: str, name: str) -> str:
    if "://" in url:
        head, _, query = url.partition("?")
        return head.rsplit("/", 1)[0] + "/" + name + (f"?{query}" if query else "")
    return make_conninfo(url, dbname=name)


def _delete_topics(bootstrap: str, prefix: str) -> None:
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    mine = [topic for topic in admin.list_topics(timeout=10).topics if topic.startswith(prefix)]
    for deleted in (admin.delete_topics(mine) if mine else {}).values():
        deleted.result(10)


def _drop(url: str, name: str) -> None:
    with connect(url) as admin:
        admin.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))
