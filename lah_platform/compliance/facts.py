"""What is configured, as tables of facts: each table says where it was read, so that anybody can read it again.

Belongs here: the shape of such a document, as JSON and as HTML. Does not: what is asked (`access_review`,
`system_description`), reading it (`stores/access_facts.py`, `stores/system_facts.py`).
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path
from typing import Any, Literal

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from lah_platform.compliance.signing import canonical_json

__all__ = ["FactTable", "FactsDocument", "Finding", "Value", "facts_content", "facts_html", "facts_sha256"]

Value = str | int | bool | None | datetime
Severity = Literal["high", "medium", "low"]
_MOMENT = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)\+00:00")
_ORDER: tuple[Severity, ...] = ("high", "medium", "low")


@dataclass(frozen=True)
class FactTable:
    """Rows of one kind. `source` names the query, setting or catalog that they were read from; times are UTC."""

    table_id: str
    title: str
    source: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Value, ...], ...]
    note: str = ""

    def __post_init__(self) -> None:
        if any(len(row) != len(self.columns) for row in self.rows):
            raise ValueError(f"a row of {self.table_id} does not have {len(self.columns)} values")


@dataclass(frozen=True)
class Finding:
    """Something for a person to decide. `code` is stable, `table_id` is where the fact stands."""

    severity: Severity
    code: str
    subject: str
    text: str
    advice: str
    table_id: str


@dataclass(frozen=True)
class FactsDocument:
    """`tenant` "*": of the whole hub. `as_of` is when everything was read."""

    name: str
    title: str
    tenant: str
    as_of: datetime
    statement: str
    tables: tuple[FactTable, ...]
    findings: tuple[Finding, ...] = ()

    def table(self, table_id: str) -> FactTable:
        """The table of that id. Raises KeyError."""
        for each in self.tables:
            if each.table_id == table_id:
                return each
        raise KeyError(table_id)


def facts_content(document: FactsDocument, period: tuple[date, date] | None = None) -> dict[str, Any]:
    """The document as JSON-serialisable values: rows as objects, times as ISO 8601 in UTC, findings gravest first.

    `period`: the UTC days [from, to) that it is kept for.
    """
    kept = {} if period is None else {"period": {"from": f"{period[0]}", "to": f"{period[1]}"}}
    return kept | {
        "name": document.name,
        "title": document.title,
        "tenant": document.tenant,
        "as_of": _plain(document.as_of),
        "statement": document.statement,
        "findings": [
            {
                "severity": each.severity,
                "code": each.code,
                "subject": each.subject,
                "text": each.text,
                "advice": each.advice,
                "table": each.table_id,
            }
            for each in sorted(document.findings, key=lambda each: _ORDER.index(each.severity))
        ],
        "tables": [
            {
                "id": table.table_id,
                "title": table.title,
                "source": table.source,
                "note": table.note,
                "columns": list(table.columns),
                "rows": [_row(table.columns, row) for row in table.rows],
            }
            for table in document.tables
        ],
    }


def facts_sha256(content: Mapping[str, Any]) -> str:
    """SHA-256 of the content as canonical JSON, hexadecimal."""
    return hashlib.sha256(canonical_json(content)).hexdigest()


def facts_html(content: Mapping[str, Any]) -> str:
    """The content as one self-contained page that prints."""
    return str(_template().render(document=content, sha256=facts_sha256(content)))


def _row(columns: Sequence[str], values: Sequence[Value]) -> dict[str, Any]:
    return {column: _plain(value) for column, value in zip(columns, values, strict=True)}


def _plain(value: Value) -> str | int | bool | None:
    return value.astimezone(UTC).isoformat(timespec="seconds") if isinstance(value, datetime) else value


def _shown(value: object) -> str:
    if value is None:
        return "\N{EN DASH}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    moment = _MOMENT.fullmatch(str(value))
    return f"{moment[1]} {moment[2]}" if moment else str(value)


@cache
def _template() -> Any:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(shown=_shown, words=lambda name: name.replace("_", " "))
    return environment.get_template("facts.html.j2")
