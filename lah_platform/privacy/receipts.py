"""Signed receipts: a document that says what was done, with a signature that any change breaks (Ed25519, RFC 8032).

Belongs here: sealing and opening. Does not: what a receipt says, and where it is kept.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from lah_platform.compliance.signing import Signature, Signer, canonical_json, is_signed_by

__all__ = ["SealedReceipt", "opened", "sealed"]


@dataclass(frozen=True)
class SealedReceipt:
    """A receipt and the signature of its canonical JSON."""

    receipt: Mapping[str, Any]
    signature: Signature

    def document(self) -> dict[str, Any]:
        """The receipt as it is handed out."""
        return {
            "receipt": dict(self.receipt),
            "public_key": self.signature.public_key,
            "signature": self.signature.signature,
        }


def sealed(receipt: Mapping[str, Any], signer: Signer) -> SealedReceipt:
    """The receipt, signed. It must hold texts, whole numbers, booleans, nulls, lists and objects of these alone."""
    return SealedReceipt(receipt, signer.sign(canonical_json(receipt)))


def opened(document: Any, *, keys: Collection[str]) -> SealedReceipt | str:
    """The receipt in a document that was handed out, or why it is none: it was altered, or another hub signed it.

    `keys`: the public keys (base64) that are trusted.
    """
    if not isinstance(document, dict) or set(document) != {"receipt", "public_key", "signature"}:
        return "it is no receipt: an object with receipt, public_key and signature is"
    receipt, public_key, signature = document["receipt"], document["public_key"], document["signature"]
    if not isinstance(receipt, dict) or not isinstance(public_key, str) or not isinstance(signature, str):
        return "it is no receipt: its parts are not of the kinds they have to be"
    if public_key not in keys:
        return "its key is none that this hub signs with"
    made = SealedReceipt(receipt, Signature(public_key, signature))
    try:
        message = canonical_json(receipt)
    except ValueError:
        return "it was altered: it holds what no receipt holds"
    return made if is_signed_by(made.signature, message) else "it was altered after it had been signed"
