"""How often closed windows changed, by tenant: while that stays, so does every answer about them."""

from collections.abc import Mapping

from lah_platform.stores.postgres import Connection
from lah_platform.stores.queries import queries

__all__ = ["EVERYONE", "correction_counts", "stamp_of"]

EVERYONE = "*"


def correction_counts(connection: Connection) -> Mapping[str, int]:
    """Transactions that changed closed windows, by tenant ('*': of every tenant); those without are missing."""
    return dict(connection.execute(queries("live")["corrections"]).fetchall())


def stamp_of(counts: Mapping[str, int], tenant: str) -> int:
    """A number that is another one after each change of what `tenant` ('*': everyone) may see."""
    return sum(counts.values()) if tenant == EVERYONE else counts.get(tenant, 0) + counts.get(EVERYONE, 0)
