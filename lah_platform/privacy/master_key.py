"""The master key: wraps the tenants' keys, and nothing else. Where it lives is a provider's matter.

Belongs here: what the hub asks of a provider, and keys that are held in this process (environment, file). Providers
that are asked over a network are in `lah_platform/stores/`.
"""

import base64
import secrets
from collections.abc import Mapping
from typing import Protocol

from lah_platform.errors import ConfigurationError, Unreadable
from lah_platform.privacy.cipher import KEY_BYTES, open_bytes, seal_bytes

__all__ = ["HeldKeys", "MasterKey", "new_held_key", "read_held_keys"]


class MasterKey(Protocol):
    """A provider of one master key in several versions."""

    @property
    def current(self) -> str:
        """What `wrap` wraps with, such as `file:2`: provider and version."""

    def wrap(self, key: bytes, context: str) -> bytes:
        """`key` wrapped with the current version, bound to `context`. Raises StoreUnavailable, ConfigurationError."""

    def unwrap(self, wrapped: bytes, wrapped_by: str, context: str) -> bytes:
        """The key; `wrapped_by` was `current` then. Raises Unreadable, StoreUnavailable, ConfigurationError."""


class HeldKeys:
    """Keys by version in this process's memory; the highest version is current."""

    def __init__(self, provider: str, keys: Mapping[int, bytes]) -> None:
        self._provider = provider
        self._keys = keys
        self._newest = max(keys)

    @property
    def current(self) -> str:
        return f"{self._provider}:{self._newest}"

    def wrap(self, key: bytes, context: str) -> bytes:
        return seal_bytes(self._keys[self._newest], key, context.encode())

    def unwrap(self, wrapped: bytes, wrapped_by: str, context: str) -> bytes:
        version = wrapped_by.rpartition(":")[2]
        key = self._keys.get(int(version)) if version.isdigit() else None
        if key is None:
            raise Unreadable(
                f"A key is wrapped by master key {wrapped_by}, and {self._provider} has "
                f"{', '.join(map(str, sorted(self._keys)))}",
                "Give the hub that version beside the newer one until `lah encryption rotate` has run",
            )
        return open_bytes(key, wrapped, context.encode())


def new_held_key(version: int = 1) -> str:
    """A random key as `read_held_keys` reads it."""
    return f"{version}:{base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()}"


def read_held_keys(text: str, source: str) -> Mapping[int, bytes]:
    """Keys by version from `1:<base64 of 32 bytes>`, several apart by commas or lines; one alone needs no version.

    Raises ConfigurationError naming `source`, and no key.
    """
    keys: dict[int, bytes] = {}
    for entry in text.replace(",", "\n").split():
        version, separator, encoded = entry.rpartition(":")
        try:
            key = base64.b64decode(encoded, validate=True)
        except ValueError:
            key = b""
        number = int(version) if version.isdigit() else 0 if separator else 1
        if len(key) != KEY_BYTES or number < 1 or number in keys:
            break
        keys[number] = key
    else:
        if keys:
            return keys
    raise ConfigurationError(
        f"{source} is not base64 of 32 bytes, nor a list of <version>:<base64> with a version each",
        "Make a key with `openssl rand -base64 32`",
    )
