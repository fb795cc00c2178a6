"""The demo's API keys: made once, kept in files only their owner can read, revoked off loopback."""

import os
from collections.abc import Mapping
from pathlib import Path

from lah_platform.stores.keys import EVERY_TENANT, create_key, find_key, list_keys, revoke_key
from lah_platform.stores.postgres import Connection

__all__ = ["DEMO_TENANTS", "ensure_demo_keys", "revoke_demo_keys"]

DEMO_TENANTS: Mapping[str, str] = {"operator": EVERY_TENANT, "acme": "acme"}  # acme: one of the replays' two tenants
_ACTOR = "lah up"


def ensure_demo_keys(connection: Connection, secret: bytes, home: Path) -> dict[str, str]:
    """The demo keys by name, from their files in `home`, or made anew where those are missing or not valid here."""
    return {
        name: _ensure(connection, secret, home / f"demo-{name}.key", tenant) for name, tenant in DEMO_TENANTS.items()
    }


def _ensure(connection: Connection, secret: bytes, path: Path, tenant: str) -> str:
    if path.exists():
        kept = path.read_text(encoding="ascii").strip()
        if find_key(connection, secret, kept):
            return kept
        path.unlink()
    _, key = create_key(connection, secret, tenant=tenant, role="admin", label="demo", actor=_ACTOR, is_demo=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(key)
    return key


def revoke_demo_keys(connection: Connection) -> int:
    """Revoke every demo key, as an address that others can reach demands; returns how many were valid."""
    valid = [key for key in list_keys(connection) if key.is_demo and key.revoked_at is None]
    return sum(revoke_key(connection, key.key_id, actor=_ACTOR) for key in valid)
