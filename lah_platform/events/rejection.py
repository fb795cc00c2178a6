"""Why a record cannot be stored. A value that travels to the dead letters, never an exception.

Text in here ends in PostgreSQL `text` columns and in people's eyes, so it is printable and bounded whatever the
record held. How a reason is found belongs in `explain.py`.
"""

from datetime import datetime
from typing import Literal

import msgspec

UNKNOWN_TENANT = "unknown"
"""Tenant of records whose bytes cannot be read."""

WHOLE_RECORD = "$"
"""`Rejection.field` when the fault is the record's, not one field's."""

RejectionCode = Literal[
    "tombstone",
    "too_large",
    "not_utf8",
    "malformed_json",
    "too_deep",
    "missing_field",
    "invalid_field",
    "unknown_payload",
    "unsupported_schema_version",
    "future_timestamp",
    "too_old",
    "nul_character",
    "wrong_tenant",
    "conflicting_timestamp",
    "database_rejected",
]

# A dead letter keeps the raw record; the reason only has to be readable, and a producer may send a megabyte as a key.
_MAX_FIELD_CHARS = 200
_MAX_REASON_CHARS = 400


class Rejection(msgspec.Struct, frozen=True):
    """One refused record.

    `field` is a path from the top of the record (`payload.data.total_tokens`, `tags.team`, `common.severity` in the
    nested spelling), or `$` for the record as a whole. `reason` is a sentence in plain words. `tenant` is
    `UNKNOWN_TENANT` when the record cannot be read.
    """

    code: RejectionCode
    field: str
    reason: str
    tenant: str


def reject(code: RejectionCode, field: str, reason: str, tenant: str) -> Rejection:
    """A `Rejection` whose text fits a `text` column: printable characters only, bounded in length."""
    return Rejection(code, _readable(field, _MAX_FIELD_CHARS), _readable(reason, _MAX_REASON_CHARS), tenant)


def conflicting_timestamp(tenant: str, first: datetime) -> Rejection:
    """An event whose id came before under another timestamp, `first` (UTC)."""
    reason = f"this event_id was stored with {first.isoformat()} before: an event has one time"
    return reject("conflicting_timestamp", "timestamp", reason, tenant)


def _readable(text: str, max_chars: int) -> str:
    if len(text) > max_chars:
        text = text[: max_chars - 1] + "…"
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
