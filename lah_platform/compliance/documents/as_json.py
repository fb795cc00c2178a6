"""The report as JSON: the content itself."""

import json
from collections.abc import Mapping
from typing import Any

__all__ = ["as_json"]


def as_json(content: Mapping[str, Any]) -> bytes:
    """Indented JSON in UTF-8, members in the content's order."""
    return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode("utf-8", "surrogatepass")
