"""The dbt project: where it is, how its processes reach the database, and its manifest, built beforehand.

Dagster learns the marts from the manifest. Parsing takes seconds, and every run process loads its code location
anew, so the manifest is built once (`lah up` does it, an image build does it with
`python -m lah_platform.stores.dbt_project`) and refused when it no longer fits the sources.

Belongs here: files, processes and environment. Does not: the models (`dbt/`) and the assets (`assets/marts.py`).
"""

import hashlib
import importlib.metadata
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

from lah_platform.errors import ConfigurationError
from lah_platform.settings import PROJECT_ROOT, TELEMETRY_OFF

__all__ = [
    "DBT_ROOT",
    "SCHEMA_VARIABLE",
    "STAGING",
    "build_manifest",
    "connection_environment",
    "current_manifest",
    "dbt_executable",
    "is_stale",
    "manifest_path",
    "run_dbt",
]

DBT_ROOT = PROJECT_ROOT / "dbt"
SCHEMA_VARIABLE = "LAH_MARTS_SCHEMA"
STAGING = "marts_staging"
"""Where the hub's builds make and test marts before they are served; dbt by hand makes them in `marts` itself."""
_SOURCES = ("dbt_project.yml", "profiles.yml", "models/**/*", "tests/**/*", "macros/**/*")
_VARIABLES = {
    "LAH_PG_HOST": "host",
    "LAH_PG_PORT": "port",
    "LAH_PG_USER": "user",
    "LAH_PG_PASSWORD": "password",
    "LAH_PG_DATABASE": "dbname",
    "LAH_PG_SSLMODE": "sslmode",
}
_REBUILD = "Run `lah up`, or `python -m lah_platform.stores.dbt_project` where the hub is not started by `lah`"


def connection_environment(url: str) -> dict[str, str]:
    """The variables that `dbt/profiles.yml` reads, from a PostgreSQL URL or libpq connection string.

    What the URL leaves out is left out here too, and the profile's defaults hold. Raises ConfigurationError, without
    repeating the URL, when it cannot be read.
    """
    try:
        parts = conninfo_to_dict(url)
    except ProgrammingError:
        raise ConfigurationError("The database URL cannot be read", "Check LAH_DATABASE_URL") from None
    return {variable: str(parts[name]) for variable, name in _VARIABLES.items() if parts.get(name)}


def dbt_executable() -> Path:
    """The `dbt` of this environment, whatever PATH says."""
    return Path(sysconfig.get_path("scripts")) / "dbt"


def run_dbt(
    *arguments: str, target: Path, url: str | None = None, project: Path = DBT_ROOT, schema: str = "marts"
) -> subprocess.CompletedProcess[str]:
    """Run one dbt command in a process of its own and wait; artifacts and logs go to the folder `target`.

    `url` is the database; a command that reads none, like `parse`, goes without. `schema` is where tables are made.
    Never raises for a failing command: look at `returncode`, 0 means that all of it succeeded.
    """
    environment = (
        os.environ
        | TELEMETRY_OFF
        | {SCHEMA_VARIABLE: schema}
        | (connection_environment(url) if url is not None else {})
    )
    folders = {"project-dir": project, "profiles-dir": project, "target-path": target, "log-path": target}
    return subprocess.run(
        [str(dbt_executable()), *arguments, *(f"--{name}={path.resolve()}" for name, path in folders.items())],
        env=environment,
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
    )


def manifest_path(project: Path = DBT_ROOT) -> Path:
    """Where the manifest is built: apart from `target/manifest.json`, which every dbt command by hand overwrites."""
    return project / "target" / "lah" / "manifest.json"


def _stamp_path(project: Path) -> Path:
    return manifest_path(project).with_name("sources.sha256")


def _fingerprint(project: Path) -> str:
    """SHA-256 over names and contents of all sources and dbt's version.

    Contents, not times of change: a checkout or an image build renews those.
    """
    digest = hashlib.sha256(importlib.metadata.version("dbt-core").encode())
    for path in sorted(path for pattern in _SOURCES for path in project.glob(pattern) if path.is_file()):
        digest.update(f"\0{path.relative_to(project).as_posix()}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def is_stale(project: Path = DBT_ROOT) -> bool:
    """Whether the manifest is missing or was built from other sources or by another dbt."""
    stamp = _stamp_path(project)
    if not (manifest_path(project).exists() and stamp.exists()):
        return True
    return stamp.read_text(encoding="ascii") != _fingerprint(project)


def current_manifest(project: Path = DBT_ROOT) -> Path:
    """The manifest's path. Raises ConfigurationError when it is missing or stale: it is never rebuilt in passing."""
    if not manifest_path(project).exists():
        raise ConfigurationError("The dbt manifest has not been built", _REBUILD)
    if is_stale(project):
        raise ConfigurationError("The dbt manifest does not fit the files in dbt/ any more", _REBUILD)
    return manifest_path(project)


def build_manifest(project: Path = DBT_ROOT, *, url: str | None = None) -> Path:
    """Build the manifest unless it is current; returns its path. Takes 4 to 10 s, without a database connection.

    With the `url` that runs will use, their first parse is saved too: dbt reads everything anew when the connection
    has changed. Raises ConfigurationError with dbt's own words when a source cannot be parsed.
    """
    if not is_stale(project):
        return manifest_path(project)
    folder = manifest_path(project).parent
    folder.mkdir(parents=True, exist_ok=True)
    fingerprint = _fingerprint(project)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        parsed = run_dbt(
            "--quiet", "parse", "--no-partial-parse", target=Path(scratch), url=url, project=project, schema=STAGING
        )
        if parsed.returncode != 0:
            raise ConfigurationError(
                f"dbt cannot parse its project: {(parsed.stdout + parsed.stderr).strip()}", "Correct the file it names"
            )
        # the stamp goes first and comes last: a reader never takes half of a build for a whole one
        _stamp_path(project).unlink(missing_ok=True)
        for name in ("partial_parse.msgpack", "manifest.json"):
            shutil.copyfile(Path(scratch) / name, folder / f"{name}.partial")
            (folder / f"{name}.partial").replace(folder / name)
    _stamp_path(project).write_text(fingerprint, encoding="ascii")
    return manifest_path(project)


if __name__ == "__main__":
    build_manifest()
    sys.exit(0)
