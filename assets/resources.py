"""What assets and sensors are handed: the hub's database and where its files go."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg

from lah_platform.settings import settings
from lah_platform.stores.postgres import Connection, connect

__all__ = ["Hub", "hub_resource"]


class Hub(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The hub's PostgreSQL and home folder. The URL comes from the environment and never reaches run config."""

    database_url: str
    home: str
    topic: str | None = None
    archive_dir: str | None = None
    hot_days: int | None = None

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """An autocommit connection, closed after the block."""
        with connect(self.database_url, application_name="lah-dagster") as connection:
            yield connection

    @property
    def folder(self) -> Path:
        return Path(self.home)

    @property
    def archive(self) -> Path | None:
        """The archive's folder; None: there is no archive."""
        return None if self.archive_dir is None else Path(self.archive_dir)


def hub_resource() -> Hub:
    """The resource as this process's environment says."""
    return Hub(
        database_url=dg.EnvVar("LAH_DATABASE_URL"),
        home=str(settings().home),
        topic=settings().topic if settings().has_broker else None,
        archive_dir=None if (folder := settings().archive_dir) is None else str(folder),
        hot_days=settings().hot_days,
    )
