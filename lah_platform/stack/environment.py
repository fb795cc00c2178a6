"""The environment of the stack's processes: endpoints and secrets go by environment, never by command line."""

import os
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

from lah_platform.settings import PROJECT_ROOT, TELEMETRY_OFF, Settings

__all__ = ["child_environment", "dagster_postgres_url"]

_DAGSTER_SCHEMA = "dagster"


def dagster_postgres_url(database_url: str) -> str:
    """Dagster's storage in the hub's database, schema `dagster`.

    The driver is named because SQLAlchemy 2.1 reads a bare postgresql:// as psycopg 3, with which event writes fail.
    """
    bare = database_url.split("://", 1)[1]
    joint = "&" if "?" in bare else "?"
    return f"postgresql+psycopg2://{bare}{joint}options=-csearch_path%3D{_DAGSTER_SCHEMA}"


def child_environment(
    settings: Settings, *, database_url: str, bootstrap: str | None, code_port: int, marts_port: int
) -> dict[str, str]:
    """What every process of the stack is started with."""
    url = urlsplit(database_url)
    return (
        {name: value for name, value in os.environ.items() if not name.startswith(("DAGSTER_", "LAH_PG_"))}
        | TELEMETRY_OFF
        | {
            "LAH_HOME": str(settings.home),
            "LAH_DATABASE_URL": database_url,
            "LAH_KAFKA_BOOTSTRAP": bootstrap or "none",
            "LAH_DAGSTER_POSTGRES_URL": dagster_postgres_url(database_url),
            "LAH_PG_HOST": url.hostname or "localhost",
            "LAH_PG_PORT": str(url.port or 5432),
            "LAH_PG_USER": unquote(url.username or ""),
            "LAH_PG_PASSWORD": unquote(url.password or ""),
            "LAH_PG_DATABASE": url.path.lstrip("/"),
            "LAH_CODE_HOST": "127.0.0.1",
            "LAH_CODE_PORT": str(code_port),
            "LAH_MARTS_HOST": "127.0.0.1",
            "LAH_MARTS_PORT": str(marts_port),
            "DAGSTER_HOME": str(settings.home / "dagster"),
            "DAGSTER_EVENT_BATCH_SIZE": "200",  # a 365-day backfill: 8 s instead of 33
            "DAGSTER_SENSOR_GRPC_TIMEOUT_SECONDS": "180",  # the merging sensor stays for two thirds of it
            "POLARS_MAX_THREADS": "2",
            "OPENBLAS_NUM_THREADS": "1",
            "OMP_NUM_THREADS": "1",
            "PYTHONUNBUFFERED": "1",
            "PYTHONPATH": os.pathsep.join(filter(None, [str(PROJECT_ROOT), os.environ.get("PYTHONPATH")])),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",  # dbt's own command
        }
    )
