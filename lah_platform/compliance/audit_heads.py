"""Signed heads of the audit log's chain: what is signed, how it is written down, and whether the signature holds.

Belongs here: one head as bytes and as a line of JSON. Does not: where heads are kept (`stores/audit_heads.py`) and
where copies of them go (`stores/audit_anchors.py`).
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from lah_platform.compliance.audit_chain import Claim
from lah_platform.compliance.signing import Signature, Signer, canonical_json, is_signed_by
from lah_platform.errors import AuditError

__all__ = ["SignedHead", "head_of", "problem_of", "read_heads", "sign_head"]

_KIND: Final = "lah-audit-head-1"
_FIELDS: Final = ("position", "row_hash", "signed_at", "public_key", "signature")


@dataclass(frozen=True)
class SignedHead:
    """That row `position` had the hash `row_hash` (hexadecimal) and was the newest at `signed_at` (UTC)."""

    position: int
    row_hash: str
    signed_at: datetime
    signature: Signature

    def message(self) -> bytes:
        """What is signed: canonical JSON of kind, position, row_hash and signed_at."""
        return _message(self.position, self.row_hash, self.signed_at)

    def content(self) -> dict[str, Any]:
        """The head as JSON has it, signature included."""
        return {
            **json.loads(self.message()),
            "public_key": self.signature.public_key,
            "signature": self.signature.signature,
        }

    def line(self) -> str:
        """The head as one line of a JSON Lines file."""
        return canonical_json(self.content()).decode() + "\n"

    def claim(self, source: str, *, is_outside: bool = False) -> Claim:
        """What the chain must agree with; `source` says where the head was found."""
        try:
            stated = bytes.fromhex(self.row_hash)
        except ValueError:
            stated = b""  # which no row has
        return Claim(self.position, stated, f"{source} of {_text(self.signed_at)}", is_outside)


def sign_head(signer: Signer, position: int, row_hash: str, signed_at: datetime) -> SignedHead:
    """The head under the signer's key."""
    return SignedHead(position, row_hash, signed_at, signer.sign(_message(position, row_hash, signed_at)))


def problem_of(head: SignedHead, keys: frozenset[str] | None) -> str | None:
    """What is wrong with the signature; None: nothing. `keys`: the public keys that may sign, None: any may."""
    if not is_signed_by(head.signature, head.message()):
        return "its signature is not that of its content"
    if keys is not None and head.signature.public_key not in keys:
        return f"it is signed by key {head.signature.key_id}, which is none of those given"
    return None


def read_heads(lines: Iterable[str], source: str) -> Iterator[SignedHead]:
    """The heads of a JSON Lines file; empty lines are passed over. Raises AuditError for a line that is no head."""
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            yield head_of(json.loads(line))
        except (ValueError, KeyError, TypeError) as error:
            raise AuditError(
                f"{source}, line {number}, is no signed head ({error})", "Give a file that an anchor of the hub wrote"
            ) from error


def head_of(content: dict[str, Any]) -> SignedHead:
    """The head that `SignedHead.content` gave. Raises ValueError, KeyError or TypeError for anything else."""
    position, row_hash, signed_at, public_key, signature = (content[name] for name in _FIELDS)
    texts = (row_hash, signed_at, public_key, signature)
    if content["kind"] != _KIND or type(position) is not int or not all(isinstance(text, str) for text in texts):
        raise ValueError("a field is not what it should be")
    at = datetime.fromisoformat(signed_at)
    if at.utcoffset() is None:
        raise ValueError("signed_at has no offset")
    return SignedHead(position, row_hash, at.astimezone(UTC), Signature(public_key, signature))


def _message(position: int, row_hash: str, signed_at: datetime) -> bytes:
    return canonical_json(
        {"kind": _KIND, "position": position, "row_hash": row_hash, "signed_at": _text(signed_at)},
    )


def _text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
