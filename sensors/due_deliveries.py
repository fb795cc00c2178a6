"""Deliveries that are due become a run."""

from datetime import UTC, datetime

import dagster as dg

from assets.resources import Hub
from lah_platform.stores.deliveries import due_stamp

__all__ = ["due_deliveries"]

_AGAIN_MINUTES = 10


@dg.sensor(
    name="due_deliveries",
    job_name="deliveries",
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Starts a run when a document is to be sent, for the first time or again.",
)
def due_deliveries(hub: Hub) -> dg.RunRequest | dg.SkipReason:
    """A run that died before it began anything is asked for again after ten minutes."""
    now = datetime.now(UTC)
    with hub.connection() as connection:
        stamp = due_stamp(connection, now=now)
    if stamp is None:
        return dg.SkipReason("nothing is due")
    return dg.RunRequest(run_key=f"{stamp}-{int(now.timestamp()) // (60 * _AGAIN_MINUTES)}")
