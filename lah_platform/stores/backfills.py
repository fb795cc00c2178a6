"""Backfill requests: rows that the sensor `backfill_requests` turns into one Dagster run each."""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID

from lah_platform.errors import ConfigurationError
from lah_platform.rollups.metrics import NUMBER_OF, metric
from lah_platform.rollups.windows import WINDOWS
from lah_platform.stores.audit import record
from lah_platform.stores.cold_events import refuse_cold_days
from lah_platform.stores.postgres import Connection
from lah_platform.stores.queries import queries

__all__ = [
    "BACKFILL_TABLES",
    "cancel_backfill",
    "check_days",
    "request_backfill",
    "set_state",
    "state_of",
    "unfinished",
]

_Q = queries("stack")

# What a request may name, and the Dagster job that computes it. The windows are recomputed together: they are
# made from one another, so one of them alone would not agree with the rest.
BACKFILL_TABLES: Final[Mapping[str, str]] = MappingProxyType(
    dict.fromkeys([window.table for window in WINDOWS], "rollups")
    | {"rollups": "rollups", "cost_daily": "cost_daily", "anomalies": "anomalies", "correlations": "correlations"}
    | {"forecasts": "forecasts", "compliance_report": "compliance_report", "daily": "daily", "marts": "marts"}
    | {"events_archive": "events_archive", "incidents": "incidents", "quality_scores": "quality_scores"}
)
# What is computed from the events in PostgreSQL itself, and the days before the first one that it reads too
_READS_EVENTS: Final[Mapping[str, int]] = MappingProxyType(
    {"cost_daily": 0, "compliance_report": 0, "correlations": 14, "incidents": 0, "daily": 14}
)


def check_days(start: date, end: date, *, today: date, retention_days: int, table: str = "") -> None:
    """Raises ConfigurationError for days whose events are not there: recomputing those would empty the tables.

    Days in the archive are there; what cannot be computed from it `request_backfill` refuses. The archive itself takes
    days that have ended.
    """
    oldest = today - timedelta(days=retention_days)
    if start > end:
        raise ConfigurationError(f"The period {start} to {end} is empty", "Name the earlier day first")
    if end > today:
        raise ConfigurationError(f"{end} has not begun", f"Today is {today} (UTC)")
    if table == "events_archive" and end == today:
        raise ConfigurationError(f"{end} has not ended", f"Today is {today} (UTC): name the day before")
    if start < oldest:
        raise ConfigurationError(f"Events before {oldest} are no longer kept", "Name a later day")


def request_backfill(
    connection: Connection,
    request_id: UUID,
    *,
    table: str,
    start: date,
    end: date,
    actor: str,
    metrics: Sequence[str] = (),
) -> None:
    """Ask for the UTC days `start` to `end` (included) of `table`, one of BACKFILL_TABLES; of rollups, `metrics` only.

    Raises ConfigurationError for what is computed from the events in PostgreSQL when some of these are in the archive,
    and for metrics that are unknown or of a table that has none.
    """
    if metrics and BACKFILL_TABLES[table] != "rollups":
        raise ConfigurationError(f"{table} is not computed metric by metric", "Name metrics for rollups only")
    for name in metrics:
        check_metric(name)
    if table in _READS_EVENTS:
        refuse_cold_days(connection, start - timedelta(days=_READS_EVENTS[table]), end, what=table)
    days = {"request_id": request_id, "table_name": table, "from_day": start, "to_day": end, "requested_by": actor}
    days["metrics"] = list(metrics) or None
    with connection.transaction():
        connection.execute(_Q["request_backfill"], days)
        record(
            connection,
            actor,
            "backfill",
            "table",
            table,
            "*",
            {"request": str(request_id), "from": f"{start}", "to": f"{end}"}
            | ({"metrics": list(metrics)} if metrics else {}),
        )


def check_metric(name: str) -> None:
    """Raises ConfigurationError, naming what there is, when no metric is called so."""
    try:
        metric(name)
    except ValueError as error:
        raise ConfigurationError(f"{error}".partition(":")[0], f"Name one of {', '.join(NUMBER_OF)}") from None


def cancel_backfill(connection: Connection, request_id: UUID, *, actor: str, table: str | None = None) -> str:
    """Have it stopped, or never started; returns its state, 'cancelling' or 'cancelled'. Said twice it changes nothing.

    The sensor that starts it stops it. LookupError when there is none (of `table`, where one is named), ValueError when
    it has ended otherwise.
    """
    with connection.transaction():
        asked = {"request_id": request_id, "table": table}
        row = connection.execute(_Q["cancel_backfill"], asked).fetchone()
        if row is not None:
            _record(connection, actor, "cancelling", request_id, row[0], None)
            return "cancelling"
    found = connection.execute(_Q["backfill_state"], {"request_id": request_id}).fetchone()
    if found is None or (table is not None and found[2] != table):
        raise LookupError(f"there is no backfill request {request_id}")
    if found[0] not in ("cancelling", "cancelled"):
        raise ValueError(f"it has {found[0]}")
    return str(found[0])


def state_of(connection: Connection, request_id: UUID) -> tuple[str, str | None]:
    """The request's state and its run. LookupError when unknown."""
    row = connection.execute(_Q["backfill_state"], {"request_id": request_id}).fetchone()
    if row is None:
        raise LookupError(f"there is no backfill request {request_id}")
    return row[0], row[1]


def unfinished(connection: Connection) -> list[dict[str, Any]]:
    """Requests in state 'requested', 'started' or 'cancelling', oldest first."""
    names = ("request_id", "table_name", "from_day", "to_day", "requested_by", "state", "run_id", "metrics")
    return [dict(zip(names, row, strict=True)) for row in connection.execute(_Q["open_backfills"])]


def set_state(connection: Connection, request_id: UUID, state: str, run_id: str | None) -> None:
    """Note progress, with a row of the audit log when it is news; a state that ended also notes when, and is kept."""
    with connection.transaction():
        asked = {"request_id": request_id, "state": state, "run_id": run_id}
        row = connection.execute(_Q["set_backfill_state"], asked).fetchone()
        if row is not None:
            _record(connection, f"dagster for {row[0]}", state, request_id, row[1], run_id)


def _record(connection: Connection, actor: str, state: str, request_id: UUID, table: str, run_id: str | None) -> None:
    details = {"request": str(request_id), "state": state} | ({"run": run_id} if run_id else {})
    record(connection, actor, f"backfill_{state}", "table", table, "*", details)
