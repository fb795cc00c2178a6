"""What an erasure receipt says: pure text and numbers, made from what was counted.

Crypto-shredding (as in NIST SP 800-88 Rev. 1, cryptographic erase): the subject's data key and the only link from the
person to the subject_id are destroyed; ciphertexts and figures stay where they are, unreadable and unlinkable.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

__all__ = ["Counted", "Expiry", "receipt_of"]

_HOW = (
    "`lah subject verify RECEIPT` (or POST /api/v1/subjects/verify) checks, as often as wanted: the signature; that no "
    "subject has this subject_id or this HMAC; that the tombstone is there; that ciphertexts of the rows listed open "
    "with no key that the hub holds. Whoever knows the identifier can give it too: its HMAC has to be the receipt's."
)
_STAYS = (
    "Times, types, models, token counts, latencies, costs and all other figures stay; they lead to nobody. What stands "
    "in place of the identifier is a random subject_id that nothing leads from."
)
_LEFTOVERS = (
    "The table subjects was vacuumed: the deleted row is not reachable by any query. Until its space is used again, "
    "bytes of it may remain in the table's file, in the write-ahead log until the server recycles it, in an archive of "
    "that log, in replicas and in base backups or dumps that were made before. Each of them holds the subject's key "
    "only as wrapped by the tenant's key, which the master key wraps. How long such copies are kept is the "
    "operator's to say and to keep to; restoring one brings the subject back until the erasure is repeated."
)


@dataclass(frozen=True)
class Expiry:
    """Until when a copy outside the tables may exist (UTC); None: there is none, for the reason given."""

    until: datetime | None
    reason: str

    def told(self) -> dict[str, Any]:
        """As a receipt says it."""
        return {"until": None if self.until is None else self.until.isoformat(), "reason": self.reason}


@dataclass(frozen=True)
class Counted:
    """What became unreadable, by table and by file (with SHA-256); `removed`: rows with text taken out, by table."""

    tables: Mapping[str, int]
    files: Sequence[Mapping[str, Any]]
    removed: Mapping[str, int]
    notes: Sequence[str] = field(default_factory=tuple)


def receipt_of(
    *,
    receipt_id: UUID,
    tenant: str,
    subject_id: UUID,
    identifier_hmac: bytes,
    erased_at: datetime,
    erased_by: str,
    counted: Counted,
    backups: Expiry,
    broker: Expiry,
    log_archiving: str,
    replicas: int,
) -> dict[str, Any]:
    """The receipt, ready to be signed."""
    return {
        "kind": "erasure",
        "version": 1,
        "receipt_id": f"{receipt_id}",
        "tenant": tenant,
        "subject_id": f"{subject_id}",
        "identifier_hmac": identifier_hmac.hex(),
        "erased_at": erased_at.isoformat(),
        "erased_by": erased_by,
        "destroyed": ["the subject's data key", "the link from the person to the subject_id"],
        "unreadable_rows": dict(sorted(counted.tables.items())),
        "unreadable_rows_in_files": [dict(each) for each in counted.files],
        "rows_with_text_removed": dict(sorted(counted.removed.items())),
        "notes": list(counted.notes),
        "what_stays": _STAYS,
        "expires": {"backup_of_subjects": backups.told(), "broker_topic": broker.told()},
        "leftovers": {"text": _LEFTOVERS, "archive_mode": log_archiving, "replicas": replicas},
        "how_to_verify": _HOW,
    }
