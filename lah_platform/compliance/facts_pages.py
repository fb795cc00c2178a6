"""A document of facts as HTML, PDF, JSON and CSV; the same content gives the same bytes."""

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lah_platform.compliance.detached import Format
from lah_platform.compliance.facts import facts_html, facts_sha256

__all__ = ["facts_pages"]

_TYPST = Path(__file__).parent / "templates" / "facts.typ"


def facts_pages(content: Mapping[str, Any]) -> dict[Format, bytes]:
    """What `facts_content` gave, in each format. The CSV has one line a value: table, row (from 1), column, value."""
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    return {
        "html": facts_html(content).encode(),
        "pdf": _pdf(content),
        "json": text.encode(),
        "csv": _csv(content).encode(),
    }


def _csv(content: Mapping[str, Any]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(("table", "row", "column", "value"))
    tables = [{"id": "findings", "rows": content["findings"]}, *content["tables"]]
    for table in tables:
        for number, row in enumerate(table["rows"], 1):
            writer.writerows((table["id"], number, column, _cell(value)) for column, value in row.items())
    return out.getvalue()


def _cell(value: object) -> str:
    """A value that no spreadsheet takes for a formula."""
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def _pdf(content: Mapping[str, Any]) -> bytes:
    import typst  # a compiler of 30 MB, for those who print

    inputs = {"document": json.dumps(content, ensure_ascii=False), "sha256": facts_sha256(content)}
    return bytes(typst.compile(_TYPST.read_bytes(), sys_inputs=inputs, ignore_system_fonts=True))
