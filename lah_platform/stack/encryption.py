"""Whether personal fields are encrypted, and whether this hub's master key opens the keys of this database."""

from lah_platform.errors import LahError
from lah_platform.settings import Settings
from lah_platform.stack.finding import Finding
from lah_platform.stores.master_keys import hub_key_ring
from lah_platform.stores.postgres import Connection
from lah_platform.stores.queries import queries

__all__ = ["encryption_finding"]


def encryption_finding(connection: Connection, settings: Settings) -> Finding:
    """Asks the master key's provider; its failure is a finding."""
    subject = "Encryption"
    wrapped = connection.execute(queries("privacy")["wrapped_by"]).fetchall()
    try:
        ring = hub_key_ring(settings)
        if ring is None:
            stored = "; what was encrypted before stays so" if wrapped else ""
            return Finding(
                subject, True, f"OFF (LAH_FIELD_ENCRYPTION=off): personal fields are stored as they are sent{stored}"
            )
        current = ring.master.current
        for (key_id,) in connection.execute(queries("privacy")["one_key_of_each_wrapping"]).fetchall():
            ring.by_id(connection, key_id)
    except LahError as error:
        return Finding(subject, False, error.message, error.advice)
    old = sum(count for name, count in wrapped if name != current)
    told = f"personal fields are encrypted; master key {current} wraps {sum(n for _, n in wrapped) - old} keys"
    if old:
        return Finding(subject, True, f"{told}, older versions {old}: `lah encryption rotate` wraps them anew")
    return Finding(subject, True, told)
