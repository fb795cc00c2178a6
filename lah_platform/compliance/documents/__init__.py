"""A report's four documents, each from the content alone: the same content gives the same bytes."""

from collections.abc import Mapping
from typing import Any

from lah_platform.compliance.detached import Format
from lah_platform.compliance.documents.as_csv import as_csv
from lah_platform.compliance.documents.as_html import as_html
from lah_platform.compliance.documents.as_json import as_json
from lah_platform.compliance.documents.as_pdf import as_pdf

__all__ = ["documents_of"]


def documents_of(content: Mapping[str, Any]) -> dict[Format, bytes]:
    """HTML, PDF, JSON and CSV."""
    return {"html": as_html(content), "pdf": as_pdf(content), "json": as_json(content), "csv": as_csv(content)}
