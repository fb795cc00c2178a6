"""The blind index: what stands for an identifier where it has to be found again without being kept.

HMAC-SHA256 under a key derived from the tenant's index secret by HKDF (RFC 5869), so that neither another tenant's rows
nor a list of guessed identifiers match, and a rotation of the master key changes nothing.
"""

import hmac
import unicodedata
from functools import lru_cache

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

__all__ = ["hash_text", "identifier_hmac"]

_BYTES = 32


def identifier_hmac(index_secret: bytes, identifier: str) -> bytes:
    """32 bytes; spellings that Unicode holds to be the same (NFC) have the same."""
    if not identifier.isascii():
        identifier = unicodedata.normalize("NFC", identifier)
    return hmac.digest(_derived(index_secret, b"lah identifier v1"), identifier.encode(), "sha256")


@lru_cache(maxsize=65_536)
def hash_text(index_secret: bytes, text: str) -> str:
    """`hmac:v1:<64 hexadecimal digits>`, the same for the same text: what the content policy `hash` keeps."""
    return "hmac:v1:" + hmac.digest(_derived(index_secret, b"lah content v1"), text.encode(), "sha256").hex()


@lru_cache(maxsize=1024)
def _derived(secret: bytes, info: bytes) -> bytes:
    return HKDF(SHA256(), _BYTES, salt=None, info=info).derive(secret)
