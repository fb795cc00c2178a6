"""The hub's definitions on a real database and an ephemeral Dagster instance."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from assets.resources import Hub


@pytest.fixture
def hub(database: str, tmp_path: Path) -> Hub:
    return Hub(database_url=database, home=str(tmp_path), topic="t")


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance
