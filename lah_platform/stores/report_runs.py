"""Reports in PostgreSQL: revisions with their documents, byte for byte, each with an entry in the audit log."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from lah_platform.compliance.detached import MEDIA_TYPES, ReportKey, digest
from lah_platform.stores.audit import record
from lah_platform.stores.postgres import Connection
from lah_platform.stores.queries import queries

__all__ = [
    "ReportEntry",
    "ReportRun",
    "find_document",
    "get_report",
    "hold_report",
    "latest_report",
    "list_reports",
    "write_report",
]

_NAMESPACE = uuid5(NAMESPACE_URL, "urn:lah:report")
_Q = queries("report_runs")


@dataclass(frozen=True)
class ReportEntry:
    """A stored revision without its documents. The period is UTC days [period_from, period_to); '*': all.

    `sha256` is the JSON document's. `changes` says what differs from the revision before, one object a figure.
    """

    report_id: UUID
    name: str
    tenant: str
    environment: str
    period_from: date
    period_to: date
    revision: int
    generated_at: datetime
    sha256: str
    requested_by: str
    supersedes: UUID | None
    changes: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class ReportRun:
    """A stored revision: `content` is what the documents say; `documents` are html, pdf, json, csv and signature."""

    entry: ReportEntry
    content: Mapping[str, Any]
    documents: Mapping[str, bytes]


def hold_report(connection: Connection, key: ReportKey) -> None:
    """Wait until nobody else writes revisions of this report; held to the end of the transaction."""
    connection.execute(_Q["hold_report"], {"key": "/".join(key.__dict__.values())})


def write_report(
    connection: Connection,
    key: ReportKey,
    *,
    revision: int,
    supersedes: UUID | None,
    changes: Sequence[Mapping[str, Any]],
    content: Mapping[str, Any],
    documents: Mapping[str, bytes],
    generated_at: datetime,
    requested_by: str,
) -> UUID:
    """Keep one revision and note it in the audit log, in one transaction.

    Raises psycopg.errors.UniqueViolation for a revision that is there.
    """
    report_id = uuid5(_NAMESPACE, "/".join([*key.__dict__.values(), str(revision), digest(documents["json"])]))
    with connection.transaction():
        connection.execute(
            _Q["write_report"],
            {
                "report_id": report_id,
                "name": key.framework,
                "tenant": key.tenant,
                "environment": key.environment,
                "period_from": key.period_from,
                "period_to": key.period_to,
                "revision": revision,
                "generated_at": generated_at,
                "content": Jsonb(content),
                "sha256": digest(documents["json"]),
                "requested_by": requested_by,
                "supersedes": supersedes,
                "changes": Jsonb(list(changes)),
            },
        )
        for name, body in documents.items():
            connection.execute(
                _Q["write_document"],
                {
                    "report_id": report_id,
                    "format": name,
                    "media_type": MEDIA_TYPES[name],
                    "body": body,
                    "sha256": digest(body),
                },
            )
        details = {**key.__dict__, "revision": revision, "sha256": digest(documents["json"])}
        record(connection, requested_by, "generate", "report", str(report_id), key.tenant, details)
    return report_id


def latest_report(connection: Connection, key: ReportKey) -> ReportRun | None:
    """The newest revision of this report with its documents, or None."""
    row = connection.execute(_Q["latest_report"], key.__dict__).fetchone()
    return None if row is None else get_report(connection, row[0], tenant="*")


def list_reports(
    connection: Connection, *, tenant: str, name: str | None = None, limit: int = 100
) -> list[ReportEntry]:
    """The newest revisions of a tenant ('*': of all), of one framework or (None) of any."""
    with connection.cursor(row_factory=class_row(ReportEntry)) as cursor:
        return cursor.execute(_Q["list_reports"], {"tenant": tenant, "name": name, "limit": limit}).fetchall()


def get_report(connection: Connection, report_id: UUID, *, tenant: str) -> ReportRun | None:
    """A revision with its documents, or None when there is none that this tenant ('*': any) may see."""
    parameters = {"report_id": report_id, "tenant": tenant}
    with connection.cursor(row_factory=class_row(ReportEntry)) as cursor:
        entry = cursor.execute(_Q["get_report"], parameters).fetchone()
    if entry is None:
        return None
    (content,) = connection.execute(_Q["get_content"], {"report_id": report_id}).fetchone() or ({},)
    rows = connection.execute(_Q["get_documents"], {"report_id": report_id}).fetchall()
    return ReportRun(entry, content, {name: bytes(body) for name, body in rows})


def find_document(connection: Connection, sha256: str) -> tuple[UUID, str] | None:
    """The report and format of a stored document with this hash, or None."""
    row = connection.execute(_Q["find_document"], {"sha256": sha256}).fetchone()
    return None if row is None else (row[0], row[1])
