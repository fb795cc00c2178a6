"""What people say about anomalies: dismissals and maintenance, written with the audit log, read for detection."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import polars as pl

from lah_platform.errors import ConfigurationError
from lah_platform.events.names import tenant_problem
from lah_platform.stores.audit import record
from lah_platform.stores.frames import read_frame
from lah_platform.stores.postgres import Connection
from lah_platform.stores.queries import queries

__all__ = [
    "add_maintenance",
    "dismiss",
    "learning",
    "maintenance_listed",
    "read_dismissals",
    "read_maintenance",
    "remove_maintenance",
]

_Q = queries("signals")
_TIME = pl.Datetime("us", "UTC")
_DISMISSAL = ("anomaly_id", "tenant", "series_id", "metric", "anomaly_type", "started_at", "deviation")
_SAID = ("dismissed_at", "dismissed_by", "note")
_DISMISSALS: dict[str, Any] = {
    "series_id": pl.Int64,
    "metric": pl.String,
    "anomaly_type": pl.String,
    "started_at": _TIME,
    "deviation": pl.Float64,
}
_MAINTENANCE: dict[str, Any] = {"tenant": pl.String, "model": pl.String, "starts_at": _TIME, "ends_at": _TIME}
_LISTED = ("maintenance_id", "tenant", "model", "starts_at", "ends_at", "reason", "created_by", "created_at")
_LONGEST_TEXT = 1000
_LEARNING = ("tenant", "series_id", "metric", "event_type", "subtype", "model", "hours")


def dismiss(connection: Connection, anomaly_id: UUID, *, tenant: str, actor: str, note: str) -> dict[str, Any]:
    """Say that an anomaly of `tenant` ("*": of any) was nothing; returns the dismissal, an earlier one unchanged.

    LookupError when there is no such anomaly for that tenant.
    """
    with connection.transaction():
        found = connection.execute(_Q["anomaly_of"], {"anomaly_id": anomaly_id, "tenant": tenant}).fetchone()
        if found is None:
            raise LookupError(f"there is no anomaly {anomaly_id}")
        said = {"anomaly_id": anomaly_id, "actor": actor, "note": note}
        if connection.execute(_Q["dismiss_anomaly"], said).fetchone() is not None:
            details = {"series_id": found[1], "metric": found[2], "type": found[3], "note": note}
            record(connection, actor, "dismiss", "anomaly", str(anomaly_id), found[0], details)
        row = connection.execute(_Q["dismissal"], {"anomaly_id": anomaly_id}).fetchone()
    if row is None:
        raise AssertionError("a dismissal that was just made is not there")
    return dict(zip(_DISMISSAL + _SAID, row, strict=True))


def read_dismissals(connection: Connection, start: datetime, end: datetime) -> pl.DataFrame:
    """Dismissed anomalies that started in [start, end) UTC, as `anomalies.feedback.lowered` takes them."""
    return read_frame(connection, _Q["dismissals"], {"start": start, "end": end}, schema=_DISMISSALS)


def add_maintenance(
    connection: Connection,
    starts_at: datetime,
    ends_at: datetime,
    *,
    tenant: str,
    model: str | None,
    reason: str,
    actor: str,
) -> dict[str, Any]:
    """Tell nothing of the tenant's series ("*": everyone's; of `model` only, if given) in [starts_at, ends_at) UTC;
    returns the window as `maintenance_listed` does.

    Raises ConfigurationError for a time that does not end after it starts, and for names that no series has.
    """
    if problem := _problem(starts_at, ends_at, tenant, model, reason):
        raise ConfigurationError(*problem)
    told = {"starts_at": starts_at, "ends_at": ends_at, "tenant": tenant, "model": model, "reason": reason}
    with connection.transaction():
        row = connection.execute(_Q["add_maintenance"], told | {"actor": actor}).fetchone()
        if row is None:
            raise AssertionError("an insert returned no row")
        details = {"from": f"{starts_at}", "to": f"{ends_at}", "model": model, "reason": reason}
        record(connection, actor, "add", "maintenance", str(row[0]), tenant, details)
    return dict(zip(_LISTED, row, strict=True))


def read_maintenance(connection: Connection, start: datetime, end: datetime) -> pl.DataFrame:
    """Maintenance that overlaps [start, end) UTC, as `anomalies.feedback.outside_maintenance` takes it."""
    return read_frame(connection, _Q["maintenance"], {"start": start, "end": end}, schema=_MAINTENANCE)


def maintenance_listed(
    connection: Connection, since: datetime, *, tenant: str = "*", limit: int | None = None
) -> list[dict[str, Any]]:
    """Maintenance of the tenant's series ("*": of anyone's) that ends after `since`, the next first."""
    rows = connection.execute(_Q["maintenance_listed"], {"since": since, "tenant": tenant, "limit": limit})
    return [dict(zip(_LISTED, row, strict=True)) for row in rows]


def remove_maintenance(connection: Connection, maintenance_id: int, *, tenant: str, actor: str) -> bool:
    """Take a maintenance window of `tenant` ("*": of any) back; False when there is none. The audit log keeps it."""
    with connection.transaction():
        asked = {"maintenance_id": maintenance_id, "tenant": tenant}
        row = connection.execute(_Q["remove_maintenance"], asked).fetchone()
        if row is None:
            return False
        owner, model, starts_at, ends_at, reason = row
        details = {"from": f"{starts_at}", "to": f"{ends_at}", "model": model, "reason": reason}
        record(connection, actor, "remove", "maintenance", str(maintenance_id), owner, details)
    return True


def _problem(
    starts_at: datetime, ends_at: datetime, tenant: str, model: str | None, reason: str
) -> tuple[str, str] | None:
    if ends_at <= starts_at:
        return "The end is not after the start", "Name the earlier time first"
    if tenant != "*" and (wrong := tenant_problem(tenant)):
        return f"The tenant's name {wrong}", "Name a tenant, or leave it out"
    if any("\0" in text or len(text) > _LONGEST_TEXT for text in (model or "", reason)):
        return f"A model or reason is longer than {_LONGEST_TEXT} characters or holds NUL", "Say it shorter"
    return None


def learning(connection: Connection, start: datetime, end: datetime, needed: int) -> list[Mapping[str, Any]]:
    """Series and metrics with no more than `needed` hours in [start, end) UTC: nothing can be said of them yet."""
    rows = connection.execute(_Q["learning_series"], {"start": start, "end": end, "needed": needed})
    return [dict(zip(_LEARNING, row, strict=True)) for row in rows]
