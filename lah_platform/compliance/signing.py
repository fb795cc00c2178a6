"""Ed25519 signatures (RFC 8032) of what the hub hands out as evidence: chain heads, reports, receipts.

Belongs here: signing and checking bytes. Does not: where the private key is kept (`stores/secret_files.py`), what is
signed.
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from lah_platform.errors import ConfigurationError

__all__ = ["Signature", "Signer", "canonical_json", "is_signed_by"]

_SEED_BYTES = 32


@dataclass(frozen=True)
class Signature:
    """A detached signature: base64 of the raw 32-byte public key and of the 64-byte signature."""

    public_key: str
    signature: str

    @property
    def key_id(self) -> str:
        """The first 16 hexadecimal digits of the public key's SHA-256: how people compare keys."""
        return hashlib.sha256(base64.b64decode(self.public_key)).hexdigest()[:16]


class Signer:
    """Signs with one private key, given as base64 of its 32-byte seed.

    Raises ConfigurationError for a seed of another shape; the message does not repeat it.
    """

    def __init__(self, seed: str) -> None:
        try:
            raw = base64.b64decode(seed.strip(), validate=True)
        except ValueError:
            raw = b""
        if len(raw) != _SEED_BYTES:
            raise ConfigurationError(
                "LAH_SIGNING_KEY is not base64 of 32 bytes", "Make one with `openssl rand -base64 32`"
            )
        self._key = Ed25519PrivateKey.from_private_bytes(raw)
        self.public_key = base64.b64encode(self._key.public_key().public_bytes_raw()).decode()

    @property
    def key_id(self) -> str:
        """See Signature.key_id."""
        return Signature(self.public_key, "").key_id

    def sign(self, message: bytes) -> Signature:
        """The signature of `message`; the same message gives the same signature."""
        return Signature(self.public_key, base64.b64encode(self._key.sign(message)).decode())


def is_signed_by(signature: Signature, message: bytes) -> bool:
    """Whether `signature` is that of `message` under its own public key; whose key it is remains to be compared."""
    try:
        key = Ed25519PublicKey.from_public_bytes(_decoded(signature.public_key))
        key.verify(_decoded(signature.signature), message)
    except (ValueError, InvalidSignature):
        return False
    return True


def _decoded(text: str) -> bytes:
    """The bytes; ValueError for another spelling of them: the last character has bits that say nothing."""
    data = base64.b64decode(text, validate=True)
    if base64.b64encode(data).decode() != text:
        raise ValueError("not the base64 of its bytes")
    return data


def canonical_json(content: Mapping[str, Any]) -> bytes:
    """`content` as JSON in UTF-8 with sorted keys and no spaces: what is hashed and signed. No floats, no NaN."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
