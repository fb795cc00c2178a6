"""Deliveries in PostgreSQL: what was asked for, attempts begun and ended, each in a transaction of its own.

An attempt is noted before anything is sent and its end after, so a crash between leaves it `sending`; when its lease is
over it is made again, with the same id and the same bytes. Nothing is held open while a target takes its time.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.rows import class_row

from lah_platform.compliance.delivery import (
    LEASE,
    DeliveryFailed,
    Parcel,
    Target,
    delivery_id,
    document_name,
    wait_after,
)
from lah_platform.stores.audit import record
from lah_platform.stores.postgres import Connection
from lah_platform.stores.queries import queries

__all__ = [
    "Delivery",
    "DeliverySummary",
    "ask_delivery",
    "deliver_again",
    "deliver_due",
    "due_stamp",
    "list_deliveries",
    "summary",
]

_Q = queries("deliveries")
_MOST_AT_ONCE = 200


@dataclass(frozen=True)
class Delivery:
    """One document of a report on its way to one target. Times are UTC."""

    delivery_id: UUID
    report_id: UUID
    report: str
    document: str
    tenant: str
    target: str
    kind: str
    state: str
    attempts: int
    last_error: str | None
    requested_at: datetime
    next_attempt_at: datetime | None
    delivered_at: datetime | None
    sha256: str | None


@dataclass(frozen=True)
class DeliverySummary:
    """How many deliveries are in each state; `late`: of those that wait, an attempt failed."""

    delivered: int
    waiting: int
    late: int
    failed: int
    oldest_missing_at: datetime | None


def ask_delivery(
    connection: Connection, report_id: UUID, documents: Sequence[str], *, target: str, kind: str, now: datetime
) -> int:
    """Have the documents delivered; returns how many of them were not asked for before."""
    asked = 0
    for document in documents:
        parameters = {
            "delivery_id": delivery_id(report_id, document, target),
            "report_id": report_id,
            "format": document,
            "target": target,
            "kind": kind,
            "now": now,
        }
        asked += connection.execute(_Q["ask"], parameters).fetchone() is not None
    return asked


def due_stamp(connection: Connection, *, now: datetime) -> str | None:
    """A text that stands for what is due and how often it was tried; None: nothing is due."""
    row = connection.execute(_Q["due_stamp"], {"now": now}).fetchone()
    return None if row is None else row[0]


def deliver_due(
    connection: Connection, targets: Mapping[str, Callable[[], Target]], *, actor: str, clock: Callable[[], datetime]
) -> tuple[int, int]:
    """Try everything that is due, once; returns how many arrived and how many did not.

    `targets` makes each target when it is needed, and may raise DeliveryFailed. One that is not among them is a
    failed attempt. `connection` is in autocommit mode.
    """
    arrived = missed = 0
    for (each,) in connection.execute(_Q["due"], {"now": clock(), "limit": _MOST_AT_ONCE}).fetchall():
        begun_at = clock()
        begun = {"delivery_id": each, "now": begun_at, "lost_at": begun_at + LEASE}
        row = connection.execute(_Q["begin"], begun).fetchone()
        if row is None:
            continue  # somebody else has begun it
        attempts, target, parcel, tenant = row[0], row[1], _parcel(each, row), row[8]
        try:
            if target not in targets:
                raise DeliveryFailed(f"there is no target {target} in LAH_REPORT_SCHEDULES")
            targets[target]().send(parcel, now=begun_at)
        except DeliveryFailed as error:
            missed += 1
            _note_failure(connection, parcel, attempts, error, target=target, tenant=tenant, actor=actor, now=clock())
            continue
        arrived += 1
        with connection.transaction():
            connection.execute(_Q["delivered"], {"delivery_id": each, "now": clock(), "sha256": parcel.sha256})
            details = _details(parcel, target, attempts) | {"sha256": parcel.sha256}
            record(connection, actor, "deliver", "delivery", str(each), tenant, details)
    return arrived, missed


def deliver_again(connection: Connection, each: UUID, *, actor: str, now: datetime) -> bool:
    """Try one that has not arrived at once, with all its attempts; False: it has arrived, is being sent, or is none."""
    with connection.transaction():
        row = connection.execute(_Q["again"], {"delivery_id": each, "now": now}).fetchone()
        if row is not None:
            record(connection, actor, "retry", "delivery", str(each), row[0], {})
    return row is not None


def summary(connection: Connection) -> DeliverySummary:
    """How many are in each state, over everything."""
    (row,) = connection.execute(_Q["summary"]).fetchall()
    return DeliverySummary(*row)


def list_deliveries(connection: Connection, *, only_missing: bool = False, limit: int = 100) -> list[Delivery]:
    """The newest deliveries, or only those that have not arrived."""
    with connection.cursor(row_factory=class_row(Delivery)) as cursor:
        return cursor.execute(_Q["list"], {"only_missing": only_missing, "limit": limit}).fetchall()


def _parcel(each: UUID, row: Sequence[Any]) -> Parcel:
    _, _, report_id, document, media_type, body, sha256, report, tenant, first, last, revision = row
    name = document_name(report, tenant, f"{first}", f"{last}", revision, document)
    return Parcel(each, report_id, name, media_type, bytes(body), sha256)


def _note_failure(
    connection: Connection,
    parcel: Parcel,
    attempts: int,
    error: DeliveryFailed,
    *,
    target: str,
    tenant: str,
    actor: str,
    now: datetime,
) -> None:
    wait = wait_after(attempts, error.retry_after)
    noted = {
        "delivery_id": parcel.delivery_id,
        "attempts": attempts,
        "why": str(error),
        "next_at": None if wait is None else now + wait,
    }
    with connection.transaction():
        is_ours = connection.execute(_Q["failed"], noted).rowcount == 1
        if is_ours and wait is None:
            details = _details(parcel, target, attempts) | {"why": str(error)}
            record(connection, actor, "give up", "delivery", str(parcel.delivery_id), tenant, details)


def _details(parcel: Parcel, target: str, attempts: int) -> dict[str, Any]:
    return {"report": str(parcel.report_id), "document": parcel.name, "target": target, "attempts": attempts}
