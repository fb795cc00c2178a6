"""What lies beside a report: when and by whom it was made, the hashes of its documents, the audit chain's head, signed.

The documents hold nothing that differs from one making to the next; all of that is here. Belongs here: writing and
checking the detached record. Does not: keeping it (`stores/report_runs.py`), the key (`stores/signing_key.py`).
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

from lah_platform.compliance.signing import Signature, Signer, canonical_json, is_signed_by

__all__ = ["FORMATS", "MEDIA_TYPES", "Format", "ReportKey", "Verdict", "detached_record", "digest", "verify"]

Format = Literal["html", "pdf", "json", "csv"]
FORMATS: Final[tuple[Format, ...]] = ("html", "pdf", "json", "csv")
MEDIA_TYPES: Final[Mapping[str, str]] = {
    "html": "text/html",
    "pdf": "application/pdf",
    "json": "application/json",
    "csv": "text/csv",
    "signature": "application/json",
}
_VERSION: Final = "lah-report-1"


@dataclass(frozen=True)
class ReportKey:
    """What a report is of: UTC days [period_from, period_to) as ISO dates; '*': every tenant, every environment."""

    framework: str
    tenant: str
    environment: str
    period_from: str
    period_to: str


@dataclass(frozen=True)
class Verdict:
    """One thing that was checked of a document, and whether it holds."""

    checked: str
    holds: bool


def digest(body: bytes) -> str:
    """SHA-256, hexadecimal."""
    return hashlib.sha256(body).hexdigest()


def detached_record(
    key: ReportKey,
    revision: int,
    documents: Mapping[Format, bytes],
    *,
    generated_at: datetime,
    requested_by: str,
    chain_head: Mapping[str, Any] | None,
    signer: Signer,
) -> bytes:
    """The signed record as JSON text; `chain_head` is the audit chain's as the report was counted, None: has none."""
    record = {
        "version": _VERSION,
        "report": {**key.__dict__, "revision": revision},
        "documents": {
            name: {"media_type": MEDIA_TYPES[name], "bytes": len(body), "sha256": digest(body)}
            for name, body in documents.items()
        },
        "generated_at": generated_at.astimezone(UTC).isoformat(),
        "requested_by": requested_by,
        "audit_chain_head": chain_head,
    }
    signature = signer.sign(canonical_json(record))
    signed = {
        **record,
        "signature": {
            "algorithm": "Ed25519",
            "of": "this object without signature, as JSON with sorted keys and no spaces, UTF-8",
            "public_key": signature.public_key,
            "key_id": signature.key_id,
            "signature": signature.signature,
        },
    }
    return (json.dumps(signed, indent=2, ensure_ascii=False) + "\n").encode()


def verify(body: bytes, record: bytes, *, public_key: str | None = None) -> list[Verdict]:
    """Check one document against its detached record; with `public_key` (base64) also whose signature it is.

    Whatever the bytes are, the answer is verdicts, never an exception.
    """
    try:
        signed = json.loads(record)
        stated = signed.pop("signature")
        signature = Signature(str(stated["public_key"]), str(stated["signature"]))
        hashes = {document["sha256"] for document in signed["documents"].values()}
        is_signed = is_signed_by(signature, canonical_json(signed))
    except (ValueError, TypeError, KeyError, AttributeError):
        return [Verdict("the detached record is one of this hub's", False)]
    verdicts = [
        Verdict("the document is one that the record names", digest(body) in hashes),
        Verdict("the record's signature is of its content", is_signed),
    ]
    if public_key is not None:
        verdicts.append(Verdict("the signature is by this hub's key", signature.public_key == public_key))
    return verdicts
