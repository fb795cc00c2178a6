"""What an operator does first, done with the deployment's own commands on a real database."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lah_platform.settings import PROJECT_ROOT
from lah_platform.stores.keys import find_key
from lah_platform.stores.postgres import connect
from tests.conftest import Server
from tests.deploy.files import DEPLOY, compose, environment_of

_SECRETS = {"LAH_DB_PASSWORD": "0123456789abcdef", "LAH_SECRET": "fedcba9876543210", "LAH_MASTER_KEY": "A" * 43 + "="}


@pytest.fixture
def empty_database(server: Server) -> Iterator[str]:
    """The URL of a database as its image leaves it: without the hub's schema."""
    with connect(server.url) as admin:
        admin.execute("create database first_start")
        yield server.url.rsplit("/", 1)[0] + "/first_start"
        admin.execute("drop database first_start with (force)")


def _environment(service: str, url: str, home: Path) -> dict[str, str]:
    places = {"PATH": os.environ["PATH"], "LAH_HOME": str(home), "LAH_DATABASE_URL": url}
    return environment_of(service, _SECRETS) | places


def _migrate(url: str, home: Path) -> None:
    program, *arguments = compose()["services"]["migrate"]["command"]
    assert program == "lah"
    command = [sys.executable, "-m", "lah_platform.cli", *arguments]
    subprocess.run(command, env=_environment("migrate", url, home), cwd=PROJECT_ROOT, check=True, capture_output=True)


def test_one_migration_is_enough_for_landing_dagster_and_dbt(empty_database: str, tmp_path: Path) -> None:
    """Dagster's storage and the marts go to schemas of their own, which nobody else makes in a deployment."""
    _migrate(empty_database, tmp_path)
    with connect(empty_database) as connection:
        schemas = {name for (name,) in connection.execute("select nspname from pg_namespace").fetchall()}
    assert {"lah", "dagster", "marts"} <= schemas


def test_the_key_that_the_readme_makes_is_valid(empty_database: str, tmp_path: Path) -> None:
    _migrate(empty_database, tmp_path)
    readme = (DEPLOY / "README.md").read_text(encoding="utf-8")
    (line,) = re.findall(r"exec -T api lah (keys create .*)$", readme, re.MULTILINE)
    made = subprocess.run(
        [sys.executable, "-m", "lah_platform.cli", *shlex.split(line)],
        env=_environment("api", empty_database, tmp_path),
        cwd=PROJECT_ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    with connect(empty_database) as connection:
        key = find_key(connection, _SECRETS["LAH_SECRET"].encode(), made.stdout.strip())
    assert key is not None
    assert (key.tenant, key.role, key.is_demo) == ("acme", "ingest", False)
    assert not list(tmp_path.iterdir()), "the secret came from the environment, none was made"
