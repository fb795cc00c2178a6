"""The code location `marts`, and one database per module: starting dbt is slow."""

import warnings
from collections.abc import Iterator
from types import ModuleType

import pytest

from lah_platform.stores.dbt_project import build_manifest
from lah_platform.stores.embedded.postgres import EmbeddedPostgres
from lah_platform.stores.postgres import connect


@pytest.fixture(scope="session")
def location() -> ModuleType:
    """`assets.marts_definitions`, imported after the manifest was built, as `lah up` does it."""
    build_manifest()
    with warnings.catch_warnings():
        # dagster-dbt asks for sqlglot[rs], which announces its successor when it is imported
        warnings.filterwarnings("ignore", "sqlglotrs is deprecated", DeprecationWarning)
        import assets.marts_definitions
    return assets.marts_definitions


@pytest.fixture(scope="module")
def url(server: EmbeddedPostgres, template: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a fresh, migrated database that the module's tests share."""
    name = f"marts_{abs(hash(request.node.nodeid)):x}"
    with connect(server.url) as admin:
        admin.execute(f"create database {name} template {template}".encode())
        # dbt's sessions have the server's time zone: a day must be UTC's all the same
        admin.execute(f"alter database {name} set timezone to 'Pacific/Kiritimati'".encode())
        yield server.url.rsplit("/", 1)[0] + "/" + name
        admin.execute(f"drop database {name} with (force)".encode())
