"""The real app on a real database: a fixed clock, the door that lands directly, one key per role and tenant."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from api_support import Api, running_api, seed

from lah_platform.stores.embedded.postgres import EmbeddedPostgres
from lah_platform.stores.postgres import connect

_SERVED = "served_by_the_api"


@pytest.fixture
def api(database: str) -> Iterator[Api]:
    """The app on an empty database."""
    with running_api(database) as api:
        yield api


@pytest.fixture
def seeded(api: Api) -> Api:
    """The app with rows of both tenants in every table that is served."""
    seed(api)
    return api


@pytest.fixture(scope="session")
def served(server: EmbeddedPostgres, template: str) -> Iterator[Api]:
    """The same once for all tests that only read."""
    with connect(server.url) as admin:
        admin.execute(f"create database {_SERVED} template {template}".encode())
    with running_api(server.url.rsplit("/", 1)[0] + "/" + _SERVED) as api:
        seed(api)
        yield api


@pytest.fixture
def get(served: Api) -> Callable[..., Any]:
    """GET as the first tenant's admin; the answer's JSON, which must be a success."""

    def ask(path: str, **parameters: Any) -> Any:
        answer = served.client("acme").get(path, params=parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()

    return ask
