"""The deterministic id of an anomaly, so that a repeated detection updates its row instead of adding one."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import NAMESPACE_URL, UUID, uuid5

_NAMESPACE = uuid5(NAMESPACE_URL, "urn:lah:anomaly")


def anomaly_id(series_id: int, metric: str, window: str, anomaly_type: str, started_at: datetime) -> UUID:
    """UUIDv5 of what identifies an episode: it keeps its start while it grows, so it keeps its id.

    Raises ValueError for a `started_at` without time zone.
    """
    if started_at.tzinfo is None:
        raise ValueError("started_at must carry a time zone")
    name = [str(series_id), metric, window, anomaly_type, started_at.astimezone(UTC).isoformat()]
    return uuid5(_NAMESPACE, "\x1f".join(name))
