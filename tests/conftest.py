"""Real services for every test: one embedded PostgreSQL per session, one fresh database per test."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest

from lah_platform.stores.embedded.broker import EmbeddedBroker
from lah_platform.stores.embedded.ports import unused_port
from lah_platform.stores.embedded.postgres import EmbeddedPostgres
from lah_platform.stores.migrations import migrate
from lah_platform.stores.postgres import Connection, connect

_UNSAFE_BUT_FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class Server(Protocol):
    """Where tests make their databases."""

    @property
    def url(self) -> str: ...


@dataclass(frozen=True)
class ExternalServer:
    """A server that somebody else runs."""

    url: str


def _named(url: str, database: str) -> str:
    return url.rsplit("/", 1)[0] + "/" + database


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A PostgreSQL server that forgets everything at the end of the session.

    LAH_TEST_SERVER_URL names another one (its superuser; databases are made and dropped there), for example the
    system's PostgreSQL 15 or one with TimescaleDB (timescaledb.max_background_workers=0 there: a scheduler that finds a
    database holds it, and it cannot be cloned).
    """
    if url := os.environ.get("LAH_TEST_SERVER_URL"):
        yield ExternalServer(url)
        return
    server = EmbeddedPostgres(tmp_path_factory.mktemp("postgres"), port=unused_port(), settings=_UNSAFE_BUT_FAST)
    server.start()
    yield server
    server.destroy()


@pytest.fixture(scope="session")
def template(server: Server) -> str:
    """The name of a migrated database that tests clone."""
    with connect(server.url) as connection:
        connection.execute("drop database if exists template_lah with (force)")
        connection.execute("create database template_lah")
    with connect(_named(server.url, "template_lah")) as connection:
        migrate(connection)
    with connect(server.url) as connection:  # TimescaleDB's scheduler would hold the database and bar its cloning
        connection.execute("alter database template_lah allow_connections false")
        connection.execute(
            "select pg_terminate_backend(pid, 10000) from pg_stat_activity where datname = 'template_lah'"
        )
    return "template_lah"


@pytest.fixture
def database(server: Server, template: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a fresh, migrated database."""
    name = f"test_{abs(hash(request.node.nodeid)):x}"
    with connect(server.url) as admin:
        admin.execute(f"create database {name} template {template}".encode())
        yield _named(server.url, name)
        admin.execute(f"drop database {name} with (force)".encode())


@pytest.fixture
def connection(database: str) -> Iterator[Connection]:
    """An autocommit connection to a fresh, migrated database; search_path is lah, public."""
    with connect(database) as connection:
        yield connection


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedBroker]:
    """A real Kafka-protocol broker; tests use topics of their own."""
    broker = EmbeddedBroker(tmp_path_factory.mktemp("broker"), port=unused_port())
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture(scope="session")
def traces() -> Path:
    """The folder of real traces; a test that needs it is skipped by name elsewhere."""
    from lah_platform.settings import settings

    folder = settings().traces_dir()
    if folder is None:
        pytest.skip("the real traces are not on this machine (set LAH_TRACES)")
    return folder
