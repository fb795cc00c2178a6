"""The dbt project's manifest is built beforehand, and refused when it no longer fits; dbt finds the hub's database."""

import os
import shutil
from pathlib import Path
from types import ModuleType

import pytest

from lah_platform.errors import ConfigurationError
from lah_platform.stores.dbt_project import (
    DBT_ROOT,
    build_manifest,
    connection_environment,
    current_manifest,
    is_stale,
    manifest_path,
)


@pytest.fixture
def project(location: ModuleType, tmp_path: Path) -> Path:  # noqa: ARG001 - it has built the manifest
    """A copy of the project with its current manifest."""
    return shutil.copytree(DBT_ROOT, tmp_path / "dbt")


def test_a_manifest_stays_current_in_a_copy_whose_files_have_other_times(project: Path) -> None:
    for path in project.rglob("*"):
        os.utime(path, (0, 0))
    assert current_manifest(project) == manifest_path(project)
    assert build_manifest(project) == manifest_path(project)


@pytest.mark.parametrize(
    "name",
    [
        "models/cost_by_team_day.sql",
        "models/marts.yml",
        "tests/generic/accepted_range.sql",
        "profiles.yml",
        "models/new.sql",
    ],
)
def test_a_manifest_is_refused_as_soon_as_a_source_differs_and_the_error_says_what_to_run(
    project: Path, name: str
) -> None:
    with (project / name).open("a") as file:
        file.write("\n")
    assert is_stale(project)
    with pytest.raises(ConfigurationError, match=r"does not fit .* `lah up`"):
        current_manifest(project)


def test_a_missing_manifest_is_refused_and_the_error_says_what_to_run(project: Path) -> None:
    manifest_path(project).unlink()
    assert is_stale(project)
    with pytest.raises(ConfigurationError, match=r"has not been built\. Run `lah up`"):
        current_manifest(project)


def test_a_source_that_cannot_be_parsed_is_reported_in_dbts_words_and_the_old_manifest_stays_refused(
    project: Path,
) -> None:
    (project / "models" / "cost_by_team_day.sql").write_text("select {{ ref('no_such_model') }}")
    with pytest.raises(ConfigurationError, match="no_such_model"):
        build_manifest(project)
    assert is_stale(project)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (
            "postgresql://lah:p%40ss%2Fword@db.example:6543/hub?sslmode=require",
            {
                "LAH_PG_HOST": "db.example",
                "LAH_PG_PORT": "6543",
                "LAH_PG_USER": "lah",
                "LAH_PG_PASSWORD": "p@ss/word",
                "LAH_PG_DATABASE": "hub",
                "LAH_PG_SSLMODE": "require",
            },
        ),
        ("host=/run/postgresql dbname=hub", {"LAH_PG_HOST": "/run/postgresql", "LAH_PG_DATABASE": "hub"}),
    ],
)
def test_the_environment_of_dbt_says_what_the_database_url_says(url: str, expected: dict[str, str]) -> None:
    assert connection_environment(url) == expected


def test_a_url_that_cannot_be_read_is_refused_without_repeating_its_password() -> None:
    with pytest.raises(ConfigurationError, match="cannot be read") as refused:
        connection_environment("postgresql://lah:secret@db:port:5432/hub?nonsense=1")
    assert "secret" not in str(refused.value)
    assert refused.value.__suppress_context__
