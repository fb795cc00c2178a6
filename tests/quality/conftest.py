"""One database in which every promise is kept, cloned for every test that breaks one."""

from collections.abc import Iterator

import pytest

from lah_platform.stores.embedded.postgres import EmbeddedPostgres
from lah_platform.stores.postgres import connect
from tests.quality.sample import fill


@pytest.fixture(scope="session")
def kept_promises(server: EmbeddedPostgres, template: str) -> str:
    """The name of the sample database, to be cloned."""
    name = "template_quality"
    with connect(server.url) as admin:
        admin.execute(f"create database {name} template {template}".encode())
    with connect(server.url.rsplit("/", 1)[0] + "/" + name) as connection:
        fill(connection)
    return name


@pytest.fixture
def sample_url(server: EmbeddedPostgres, kept_promises: str) -> Iterator[str]:
    """The URL of a fresh copy of the sample database."""
    with connect(server.url) as admin:
        admin.execute(f"create database test_quality template {kept_promises}".encode())
        yield server.url.rsplit("/", 1)[0] + "/test_quality"
        admin.execute(b"drop database test_quality with (force)")
