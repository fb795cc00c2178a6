"""Named SQL: `sql/queries/<room>.sql` holds blocks that start with `-- name: <query>` and a line of description."""

import re
from functools import cache

from lah_platform.settings import SQL_ROOT

__all__ = ["queries"]

_HEADER = re.compile(r"^-- name: ([a-z0-9_]+)$", re.MULTILINE)


@cache
def queries(room: str) -> dict[str, bytes]:
    """The statements of one room by name; parameters are psycopg's `%(name)s`.

    Raises FileNotFoundError for an unknown room.
    """
    text = (SQL_ROOT / "queries" / f"{room}.sql").read_text(encoding="utf-8")
    parts = _HEADER.split(text)[1:]
    return {name: body.strip().encode() for name, body in zip(parts[::2], parts[1::2], strict=True)}
