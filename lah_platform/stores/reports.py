"""Reports in PostgreSQL: evidence read in one snapshot, documents kept with an entry in the audit log."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from psycopg import ClientCursor
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from lah_platform.compliance.evidence import EVIDENCE, MAX_GROUPS, Evidence, Kind, Scalar
from lah_platform.compliance.report import NAME, Report, ReportInputs
from lah_platform.stores.audit import record
from lah_platform.stores.postgres import Connection
from lah_platform.stores.queries import queries

__all__ = ["ReportEntry", "StoredReport", "get_report", "list_reports", "read_inputs", "write_report"]

_NAMESPACE = uuid5(NAMESPACE_URL, "urn:lah:report")
_SNAPSHOT = "set transaction isolation level repeatable read read only"


@dataclass(frozen=True)
class ReportEntry:
    """A stored report without its documents. The period is UTC days [period_from, period_to)."""

    report_id: UUID
    name: str
    tenant: str
    period_from: date
    period_to: date
    generated_at: datetime
    sha256: str
    requested_by: str


@dataclass(frozen=True)
class StoredReport:
    """A stored report with its documents."""

    entry: ReportEntry
    report: Report


def read_inputs(connection: Connection, *, tenant: str, period_from: date, period_to: date) -> ReportInputs:
    """Count the evidence of UTC days [period_from, period_to) for a tenant, or for all of them with "*".

    One repeatable-read snapshot, so that all numbers agree with each other. `connection` must be in autocommit mode
    and outside a transaction.
    """
    parameters = {
        "from": datetime.combine(period_from, time(), UTC),
        "to": datetime.combine(period_to, time(), UTC),
        "tenant": tenant,
        "limit": MAX_GROUPS + 2,  # the total, and one more than is shown
    }
    with connection.transaction():
        connection.execute(_SNAPSHOT)
        (version,) = connection.execute(queries("reports")["schema_version"]).fetchone() or ("none",)
        evidence = {kind.name: _read(connection, kind, parameters) for kind in EVIDENCE.values()}
    return ReportInputs(tenant, period_from, period_to, version, evidence)


def write_report(connection: Connection, report: Report, *, requested_by: str) -> UUID:
    """Keep the report and note it in the audit log, in one transaction; the very same report is kept once."""
    content = report.content
    period = content["period"]
    identity = "/".join((content["name"], content["tenant"], period["from"], period["to"], report.sha256))
    report_id = uuid5(_NAMESPACE, identity)
    with connection.transaction():
        written = connection.execute(
            queries("reports")["write_report"],
            {
                "report_id": report_id,
                "name": content["name"],
                "tenant": content["tenant"],
                "period_from": date.fromisoformat(period["from"]),
                "period_to": date.fromisoformat(period["to"]),
                "generated_at": datetime.fromisoformat(content["generated_at"]),
                "content": Jsonb(content),
                "html": report.html,
                "sha256": report.sha256,
                "requested_by": requested_by,
            },
        ).fetchone()
        if written:
            details = {"name": content["name"], "period": period, "sha256": report.sha256}
            record(connection, requested_by, "generate", "report", str(report_id), content["tenant"], details)
    return report_id


def list_reports(
    connection: Connection, *, tenant: str, name: str | None = NAME, limit: int = 100
) -> list[ReportEntry]:
    """The newest reports of a tenant ("*": of all), of one name or (None) of any."""
    parameters = {"tenant": tenant, "name": name, "limit": limit}
    return [ReportEntry(*row) for row in connection.execute(queries("reports")["list_reports"], parameters).fetchall()]


def get_report(connection: Connection, report_id: UUID, *, tenant: str) -> StoredReport | None:
    """A report with its documents, or None when there is none that this tenant ("*": any) may see."""
    parameters = {"report_id": report_id, "tenant": tenant}
    row = connection.execute(queries("reports")["get_report"], parameters).fetchone()
    if row is None:
        return None
    entry = ReportEntry(*row[:8])
    return StoredReport(entry, Report(row[8], row[9], entry.sha256))


def _read(connection: Connection, kind: Kind, parameters: Mapping[str, Any]) -> Evidence:
    statement = ClientCursor(connection).mogrify(queries("reports")[kind.name], parameters)
    with connection.cursor(row_factory=dict_row) as cursor:
        (total, *groups) = cursor.execute(statement.encode()).fetchall()
    if not total["is_total"]:
        raise ValueError(f"the query reports.{kind.name} does not return its total first")
    return Evidence(
        sql=statement,
        groups=tuple({name: _plain(group[name]) for name in kind.columns} for group in groups[:MAX_GROUPS]),
        total={name: _plain(total[name]) for name in kind.measures},
        counted_rows=total["counted_rows"],
        watermark=total["watermark"],
        is_cut=len(groups) > MAX_GROUPS,
    )


def _plain(value: Any) -> Scalar:
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if value is None or isinstance(value, str | int):
        return value
    raise TypeError(f"a report cannot hold {type(value).__name__}")
