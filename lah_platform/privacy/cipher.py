"""AES-256-GCM of single fields, bound to their place (NIST SP 800-38D), and the text they have in a row.

Belongs here: bytes in, bytes or text out. Does not: whose key, or which field.
"""

import base64
import binascii
import os
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from lah_platform.errors import Unreadable

__all__ = ["KEY_BYTES", "MARK", "Sealed", "new_key", "nonces", "open_bytes", "open_text", "place", "read", "seal_bytes",
           "seal_text", "subject_ref", "subject_of", "tenant_ref"]  # fmt: skip

KEY_BYTES = 32
NONCE_BYTES = 12
MARK = "enc:v1:"


class Sealed(NamedTuple):
    """An encrypted text apart: the reference of its key, and nonce, ciphertext and tag in one."""

    key_ref: str
    body: bytes


def new_key() -> bytes:
    """A random AES-256 key."""
    return os.urandom(KEY_BYTES)


def nonces(count: int) -> Iterator[bytes]:
    """Random nonces of 96 bits, drawn at once: one system call for a batch."""
    drawn = os.urandom(NONCE_BYTES * count)
    return (drawn[at : at + NONCE_BYTES] for at in range(0, len(drawn), NONCE_BYTES))


def place(tenant: str, event_id: bytes, path: str) -> bytes:
    """What a ciphertext is bound to: nobody's, no other event's and no other field's will be accepted in its place."""
    return b"%s\0%s\0%s" % (tenant.encode(), event_id.hex().encode(), path.encode())


def seal_bytes(key: bytes, plain: bytes, bound_to: bytes, nonce: bytes | None = None) -> bytes:
    """Nonce, ciphertext and 128-bit tag in one; a nonce is used once with a key, and drawn when not given."""
    nonce = nonce or os.urandom(NONCE_BYTES)
    return nonce + _cipher(key).encrypt(nonce, plain, bound_to)


def open_bytes(key: bytes, sealed: bytes, bound_to: bytes) -> bytes:
    """The plain bytes. Raises Unreadable when key, place or any bit is another."""
    try:
        return _cipher(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], bound_to)
    except (InvalidTag, ValueError) as error:
        raise Unreadable(
            "An encrypted value does not open: another key, another place, or it was changed",
            "`lah doctor` says whether the master key is the one that the keys were wrapped with",
        ) from error


def seal_text(key: bytes, key_ref: str, plain: bytes, bound_to: bytes, nonce: bytes | None = None) -> str:
    """`enc:v1:<key ref>:<base64>` of the plain bytes; see `seal_bytes`."""
    body = binascii.b2a_base64(seal_bytes(key, plain, bound_to, nonce), newline=False).decode("ascii")
    return f"{MARK}{key_ref}:{body}"


def read(text: str) -> Sealed | None:
    """An encrypted text apart; None when it is none."""
    if not text.startswith(MARK):
        return None
    key_ref, separator, body = text[len(MARK) :].partition(":")
    if not separator:
        return None
    try:
        return Sealed(key_ref, base64.b64decode(body, validate=True))
    except ValueError:
        return None


def open_text(key: bytes, text: str, bound_to: bytes) -> bytes:
    """The plain bytes of an encrypted text. Raises Unreadable."""
    sealed = read(text)
    return open_bytes(key, b"" if sealed is None else sealed.body, bound_to)


def subject_ref(subject_id: UUID) -> str:
    """How a text names a subject's key."""
    return f"s{subject_id.hex}"


def tenant_ref(key_id: int) -> str:
    """How a text names a tenant's content key."""
    return f"t{key_id}"


def subject_of(key_ref: str) -> UUID | None:
    """The subject whose key is named; None for a tenant's, or what names no key."""
    try:
        return UUID(hex=key_ref[1:]) if key_ref.startswith("s") else None
    except ValueError:
        return None


@lru_cache(maxsize=4096)
def _cipher(key: bytes) -> AESGCM:
    return AESGCM(key)
