"""The head of the audit log's hash chain: what evidence names to show when it was made."""

from dataclasses import dataclass
from datetime import datetime

from lah_platform.stores.postgres import Connection
from lah_platform.stores.queries import queries

__all__ = ["ChainHead", "chain_head"]


@dataclass(frozen=True)
class ChainHead:
    """The newest row: its position (0: the log is empty), its row_hash in hexadecimal, when (UTC) it was recorded."""

    position: int
    row_hash: str
    at: datetime | None


def chain_head(connection: Connection) -> ChainHead:
    """The head as the connection's transaction sees it; takes no lock."""
    row = connection.execute(queries("audit")["chain_head"]).fetchone()
    if row is None:
        raise AssertionError("audit_chain has one row, made by its migration")
    return ChainHead(*row)
