"""Receipts of retention runs: listed, and checked by whoever holds one."""

from collections.abc import Collection
from typing import Any

from psycopg.rows import dict_row

from lah_platform.privacy.receipts import opened
from lah_platform.stores.postgres import Connection
from lah_platform.stores.queries import queries

__all__ = ["check_run", "runs"]

_Q = queries("retention_run")
_ROWS_STAY = ("personal", "dead_letters")


def check_run(document: Any, *, keys: Collection[str]) -> str | None:
    """Why a receipt of retention is not to be believed; None: signature and sums are right."""
    receipt = opened(document, keys=keys)
    if isinstance(receipt, str):
        return receipt
    if receipt.receipt.get("kind") != "retention":
        return "it is a receipt of something else"
    for each in receipt.receipt["tables"]:
        if each["class"] in _ROWS_STAY:
            is_right = each["rows_before"] == each["rows_after"]
        else:
            gone = (
                each["rows_dropped"] + each["rows_after"],
                int(each["checksum_dropped"]) + int(each["checksum_after"]),
            )
            is_right = gone == (each["rows_before"], int(each["checksum_before"]))
        if not is_right:
            return f"its numbers of {each['table']} and {each['day']} do not add up"
    return None


def runs(connection: Connection, limit: int = 50) -> list[dict[str, Any]]:
    """The runs that removed something, newest first, each with its receipt as `document`."""
    with connection.cursor(row_factory=dict_row) as cursor:
        found = cursor.execute(_Q["runs"], {"limit": limit}).fetchall()
    return [
        {
            **{name: each[name] for name in ("run_id", "started_at", "finished_at", "run_by")},
            "document": {name: each[name] for name in ("receipt", "public_key", "signature")},
        }
        for each in found
    ]
