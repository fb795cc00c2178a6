"""The real app on a real database: a fixed clock, the door that lands directly, one key per role and tenant."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from api_support import NOW, SECRET, TENANTS, Api, decode_at_now, seed_common, seed_events, seed_tables
from psycopg_pool import ConnectionPool

from api.app import create_app
from api.services import Services
from lah_platform.settings import Settings
from lah_platform.stores.doors import DirectDoor
from lah_platform.stores.keys import EVERY_TENANT, ROLES, create_key
from lah_platform.stores.postgres import connect, open_pool


@pytest.fixture
def pool(database: str) -> Iterator[ConnectionPool]:
    pool = open_pool(database, application_name="test-api", max_size=4, statement_timeout_ms=15_000)
    yield pool
    pool.close()


@pytest.fixture
def api(database: str, pool: ConnectionPool) -> Iterator[Api]:
    door = DirectDoor(database, decoder=decode_at_now)
    services = Services(pool=pool, door=door, settings=Settings(), secret=SECRET, clock=lambda: NOW)
    keys = {}
    with pool.connection() as connection:
        for tenant in (*TENANTS, EVERY_TENANT):
            for role in ROLES:
                if (tenant, role) != (EVERY_TENANT, "ingest"):
                    _, keys[tenant, role] = create_key(
                        connection, SECRET, tenant=tenant, role=role, label="test", actor="test"
                    )
    yield Api(create_app(services), services, keys, database)
    door.close()


@pytest.fixture
def seeded(api: Api) -> Api:
    """The app with rows of both tenants in every table that is served."""
    with connect(api.url) as connection:
        for place, tenant in enumerate(TENANTS):
            seed_events(api, tenant)
            seed_tables(connection, tenant, place)
        seed_common(connection)
    return api


@pytest.fixture
def get(seeded: Api) -> Callable[..., Any]:
    """GET as the first tenant's admin; the answer's JSON, which must be a success."""

    def ask(path: str, **parameters: Any) -> Any:
        answer = seeded.client("acme").get(path, params=parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()

    return ask
