"""JSON log lines, one object a line, on standard error."""

import logging
import sys
from datetime import UTC, datetime

import msgspec

__all__ = ["configure"]


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "at": datetime.fromtimestamp(record.created, UTC),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        } | getattr(record, "figures", {})
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line).decode()


def configure(level: int = logging.INFO) -> None:
    """Send this process's logs to standard error as JSON lines; `extra={"figures": {...}}` adds fields."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonLines())
    logging.basicConfig(level=level, handlers=[handler], force=True)
