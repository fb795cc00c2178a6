"""API keys: made, found and revoked. Only an HMAC-SHA-256 of a key is ever stored.

A key reads `lah_<key id>_<secret>`: the id finds the row, the whole key under the server's secret proves it.
What a role may do is not decided here but in `api/access.py`.
"""

import hmac
import os
import re
import secrets
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, Literal, get_args

from lah_platform.errors import ConfigurationError
from lah_platform.events.names import tenant_problem
from lah_platform.stores.audit import record
from lah_platform.stores.postgres import Connection
from lah_platform.stores.queries import queries

__all__ = [
    "EVERY_TENANT",
    "ROLES",
    "ApiKey",
    "Role",
    "create_key",
    "find_key",
    "list_keys",
    "revoke_key",
    "server_secret",
]

Role = Literal["viewer", "analyst", "ingest", "compliance", "admin"]
ROLES: Final[tuple[Role, ...]] = get_args(Role)

EVERY_TENANT: Final = "*"
"""The tenant of an operator's key: it reads all of them."""

_RESERVED_TENANTS = frozenset({"unknown", "__other__"})  # what the hub itself books unreadable and surplus rows under
_KEY_ID_BYTES = 6
_SECRET_BYTES = 32
_SERVER_SECRET_BYTES = 32
_KEY = re.compile(r"lah_([0-9a-f]{12})_[A-Za-z0-9_-]{43}")


@dataclass(frozen=True)
class ApiKey:
    """What is known of a key; the key itself is shown once, when it is made. Times are UTC."""

    key_id: str
    tenant: str
    role: Role
    label: str
    is_demo: bool
    created_at: datetime
    revoked_at: datetime | None

    @property
    def actor(self) -> str:
        """How the audit log names whoever uses this key."""
        return f"key:{self.key_id}"


def server_secret(home: Path, configured: str | None = None) -> bytes:
    """The secret that keys are stored under: `configured` (LAH_SECRET), else the one in `home`, made when missing.

    Raises ConfigurationError when the configured one is shorter than 16 characters.
    """
    if configured is not None:
        if len(configured) < 16:
            raise ConfigurationError("LAH_SECRET is too short", "Use at least 16 random characters")
        return configured.encode()
    path = home / "secret"
    if not path.exists():
        home.mkdir(parents=True, exist_ok=True)
        partial = home / f"secret.{os.getpid()}.{secrets.token_hex(4)}"
        partial.touch(mode=0o600)
        partial.write_text(secrets.token_urlsafe(_SERVER_SECRET_BYTES), encoding="ascii")
        try:
            os.link(partial, path)  # two processes starting at once agree on the first one's
        except FileExistsError:
            pass
        finally:
            partial.unlink()
    return path.read_bytes().strip()


def create_key(
    connection: Connection,
    secret: bytes,
    *,
    tenant: str,
    role: Role,
    label: str,
    actor: str,
    is_demo: bool = False,
) -> tuple[ApiKey, str]:
    """Make a key; returns its record and the key itself, which cannot be had again.

    Raises ConfigurationError for a tenant or role that no key can have.
    """
    _check(tenant, role)
    key_id = secrets.token_hex(_KEY_ID_BYTES)
    text = f"lah_{key_id}_{secrets.token_urlsafe(_SECRET_BYTES)}"
    with connection.transaction():
        row = connection.execute(
            queries("keys")["create_key"],
            {
                "key_id": key_id,
                "tenant": tenant,
                "role": role,
                "label": label,
                "key_hmac": _digest(secret, text),
                "is_demo": is_demo,
            },
        ).fetchone()
        record(
            connection, actor, "create", "api_key", key_id, tenant, {"role": role, "label": label, "is_demo": is_demo}
        )
    if row is None:
        raise AssertionError("an insert returned no row")
    return ApiKey(*row), text


def find_key(connection: Connection, secret: bytes, presented: str) -> ApiKey | None:
    """The key that `presented` is, or None when it is malformed, unknown or revoked; one lookup by primary key."""
    match = _KEY.fullmatch(presented)
    if match is None:
        return None
    row = connection.execute(queries("keys")["find_key"], {"key_id": match[1]}).fetchone()
    stored, *fields = row or (b"",)
    # compared even when the id is unknown, so that the answer takes equally long
    if not hmac.compare_digest(_digest(secret, presented), stored) or row is None:
        return None
    key = ApiKey(*fields)
    return None if key.revoked_at is not None else key


def revoke_key(connection: Connection, key_id: str, *, actor: str) -> bool:
    """Revoke from now on; False when there is no such key or it was revoked before."""
    with connection.transaction():
        row = connection.execute(queries("keys")["revoke_key"], {"key_id": key_id}).fetchone()
        if row is not None:
            record(connection, actor, "revoke", "api_key", key_id, row[0], {})
    return row is not None


def list_keys(connection: Connection) -> list[ApiKey]:
    """Every key ever made, oldest first."""
    return [ApiKey(*row) for row in connection.execute(queries("keys")["list_keys"]).fetchall()]


def _digest(secret: bytes, text: str) -> bytes:
    return hmac.digest(secret, text.encode(), "sha256")


def _check(tenant: str, role: Role) -> None:
    if role not in ROLES:
        raise ConfigurationError(f"No role is called {role!r}", f"Use one of {', '.join(ROLES)}")
    if tenant_problem(tenant) or not tenant.isprintable() or tenant in _RESERVED_TENANTS:
        raise ConfigurationError(f"No key can belong to tenant {tenant!r}", "Use the tenant's own name")
    if tenant == EVERY_TENANT and role == "ingest":
        raise ConfigurationError(
            "A key that writes belongs to one tenant", "Make one ingest key per tenant; '*' is for keys that read"
        )
