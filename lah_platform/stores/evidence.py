"""Evidence of a period read in one snapshot: figures, exceptions, and how far each source was filled.

Every statement runs as a role that may only select, read-only and within a time. Belongs here: reading. Does not: what
the numbers come to (`compliance/judgement.py`).
"""

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any, Final

from psycopg import ClientCursor, errors

from lah_platform.compliance.detached import ReportKey
from lah_platform.compliance.evidence import (
    MAX_EXCEPTIONS,
    MAX_GROUPS,
    Evidence,
    Exceptions,
    Reading,
    Row,
    Scalar,
    Source,
    exceptions_key,
    figures_of,
    query_key,
)
from lah_platform.compliance.framework import Control, Framework
from lah_platform.errors import ConfigurationError
from lah_platform.stores.audit_chain import ChainHead, chain_head
from lah_platform.stores.postgres import Connection
from lah_platform.stores.queries import queries

__all__ = ["READER_ROLE", "read_evidence"]

READER_ROLE: Final = "lah_reporter"
_SNAPSHOT: Final = "set transaction isolation level repeatable read read only"
_SOURCES: Final = queries("report_sources")
_OF_EXCEPTIONS: Final = ("at", "kind", "id", "tenant", "detail", "total")


def read_evidence(
    connection: Connection,
    frameworks: Iterable[Framework],
    key: ReportKey,
    *,
    retention_days: int,
    statement_seconds: float = 60,
) -> Reading:
    """Read what the frameworks' controls name, for UTC days, a tenant and an environment ('*': all).

    One repeatable-read snapshot, so that all numbers agree with each other. `connection` must be in autocommit mode and
    outside a transaction. Raises ConfigurationError naming the control for SQL of its own that cannot be run as
    lah_reporter, takes longer than `statement_seconds`, or returns what is neither figures nor exceptions.
    """
    controls = [control for framework in frameworks for control in framework.controls]
    reader = _Reader(connection, _parameters(key, retention_days))
    with connection.transaction():
        connection.execute(_SNAPSHOT)
        connection.execute("select set_config('statement_timeout', %s, true)", [f"{round(statement_seconds * 1000)}"])
        if any(control.sql or control.exceptions_sql for control in controls):
            _require_role(connection)
        evidence: dict[str, Evidence] = {}
        exceptions: dict[str, Exceptions] = {}
        for control in controls:
            name = query_key(control)
            if name not in evidence:
                evidence[name] = reader.figures(control)
            listed = exceptions_key(control)
            if listed is not None and listed not in exceptions:
                exceptions[listed] = reader.exceptions(control)
        tables = {table for control in controls for table in control.tables}
        return Reading(
            schema_version=str(reader.rows(_text(_SOURCES["schema_version"]))[1][0]["version"]),
            evidence=evidence,
            exceptions=exceptions,
            sources=reader.sources(tables),
            chain_head=_head(chain_head(connection)),
        )


class _Reader:
    def __init__(self, connection: Connection, parameters: Mapping[str, Any]) -> None:
        self._connection = connection
        self._parameters = parameters

    def rows(self, text: str) -> tuple[str, list[Row]]:
        """The statement with its values, and what it returns: numbers exact, other values as JSON says them."""
        sql = ClientCursor(self._connection).mogrify(text, self._parameters)
        found = self._connection.execute("select r::text from lah_report_rows(%s) r", [sql]).fetchall()
        return sql, [json.loads(row, parse_float=Decimal) for (row,) in found]

    def figures(self, control: Control) -> Evidence:
        text: str = control.sql or _text(queries("evidence")[control.query or ""])

        def fault(said: str) -> ConfigurationError:
            return _fault(control, "sql" if control.sql else "query", said)

        sql, rows = self._own_rows(control, "sql", text) if control.sql else self.rows(text)
        return figures_of(_shown(sql), _description(text) or control.title, rows, fault)

    def exceptions(self, control: Control) -> Exceptions:
        own = control.exceptions_sql
        text = control.exceptions_sql or _text(queries("exceptions")[control.exceptions or ""])
        sql, rows = self._own_rows(control, "exceptions_sql", text) if own else self.rows(text)
        for row in rows[:1]:
            if missing := [name for name in _OF_EXCEPTIONS if name not in row]:
                raise _fault(control, "exceptions_sql", f"returns no column {missing[0]!r}")
        total = rows[0]["total"] if rows else 0
        if isinstance(total, bool) or not isinstance(total, int):
            raise _fault(control, "exceptions_sql", "its total is no whole number")
        return Exceptions(_shown(sql), _description(text) or control.title, tuple(rows[:MAX_EXCEPTIONS]), total)

    def sources(self, tables: Iterable[str]) -> dict[str, Source]:
        verdicts: dict[str, list[Row]] = {}
        for verdict in self.rows(_text(_SOURCES["verdicts"]))[1]:
            verdicts.setdefault(str(verdict["asset"]), []).append(
                {name: verdict[name] for name in ("check_name", "severity", "passed", "failed_rows")}
            )
        return {table: self._source(table, tuple(verdicts.get(table, ()))) for table in sorted(tables)}

    def _source(self, table: str, verdicts: tuple[Row, ...]) -> Source:
        if table not in _SOURCES:
            return Source(table, None, None, None, verdicts, 0, None)
        sql, (row,) = self.rows(_text(_SOURCES[table]))
        rows, watermark, revision = row["rows"], row["watermark"], row["revision"]
        return Source(
            table,
            rows if isinstance(rows, int) else None,
            None if watermark is None else str(watermark),
            None if revision is None else str(revision),
            verdicts,
            int(str(row.get("suspect_windows") or 0)),
            _shown(sql),
        )

    def _own_rows(self, control: Control, field: str, text: str) -> tuple[str, list[Row]]:
        try:
            return self.rows(text)
        except errors.QueryCanceled:
            raise _fault(control, field, "takes longer than a report's query may") from None
        except errors.InsufficientPrivilege as error:
            said = f"may not be run as {READER_ROLE}: {error.diag.message_primary}"
            raise _fault(control, field, said) from None
        except (errors.Error, KeyError, ValueError, TypeError) as error:
            said = f"{error.diag.message_primary}" if isinstance(error, errors.Error) else f"{error!r}"
            raise _fault(control, field, f"cannot be run: {said}") from None


def _parameters(key: ReportKey, retention_days: int) -> dict[str, Any]:
    return {
        "from": datetime.combine(date.fromisoformat(key.period_from), time(), UTC),
        "to": datetime.combine(date.fromisoformat(key.period_to), time(), UTC),
        "tenant": key.tenant,
        "environment": key.environment,
        "retention_days": retention_days,
        "limit": max(MAX_GROUPS + 2, MAX_EXCEPTIONS),  # the total, and one more than is shown
    }


def _head(head: ChainHead) -> dict[str, Scalar]:
    at = None if head.at is None else head.at.astimezone(UTC).isoformat()
    return {"position": head.position, "row_hash": head.row_hash, "at": at}


def _require_role(connection: Connection) -> None:
    (owner,) = connection.execute(queries("report_runs")["reader_role"]).fetchone() or (None,)
    if owner != READER_ROLE:
        raise ConfigurationError(
            f"SQL of a control's own is run as the role {READER_ROLE}, which this database has not",
            "Have a role with CREATEROLE make it, then run what docs/controls.md says",
        )


def _fault(control: Control, field: str, said: str) -> ConfigurationError:
    return ConfigurationError(
        f"control {control.id}, field {field}: {said}", "docs/controls.md says what a query returns"
    )


def _text(statement: bytes) -> str:
    return statement.decode()


def _description(text: str) -> str:
    return " ".join(line[3:] for line in text.splitlines() if line.startswith("-- "))


def _shown(sql: str) -> str:
    return "\n".join(line for line in sql.strip().splitlines() if not line.startswith("-- "))
