"""API keys: made, found, rotated and revoked. Only an HMAC-SHA-256 of a key is ever stored.

A key reads `lah_<key id>_<secret>`: the id finds the row, the whole key under the server's secret proves it.
What a role may do is not decided here but in `api/access.py`.
"""

import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Literal, get_args

from lah_platform.errors import ConfigurationError
from lah_platform.events.names import tenant_problem
from lah_platform.stores.audit import record
from lah_platform.stores.postgres import Connection
from lah_platform.stores.queries import queries
from lah_platform.stores.secret_files import kept_secret

__all__ = [
    "EVERY_TENANT",
    "ROLES",
    "ApiKey",
    "Role",
    "create_key",
    "find_key",
    "list_keys",
    "note_use",
    "revoke_key",
    "rotate_key",
    "server_secret",
    "tenant_or_role_problem",
]

Role = Literal["viewer", "analyst", "ingest", "compliance", "admin"]
ROLES: Final[tuple[Role, ...]] = get_args(Role)

EVERY_TENANT: Final = "*"
"""The tenant of an operator's key: it reads all of them."""

_RESERVED_TENANTS = frozenset({"unknown", "__other__"})  # what the hub itself books unreadable and surplus rows under
_KEY_ID_BYTES = 6
_SECRET_BYTES = 32
_SERVER_SECRET_BYTES = 32
_MAX_LABEL_CHARS = 200
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
    expires_at: datetime | None = None
    replaces: str | None = None
    last_used_at: datetime | None = None

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
    return kept_secret(home / "secret", lambda: secrets.token_urlsafe(_SERVER_SECRET_BYTES)).encode()


def create_key(
    connection: Connection,
    secret: bytes,
    *,
    tenant: str,
    role: Role,
    label: str,
    actor: str,
    is_demo: bool = False,
    life: timedelta | None = None,
) -> tuple[ApiKey, str]:
    """Make a key, valid for `life` (None: until revoked); returns its record and the key, which cannot be had again.

    Raises ConfigurationError for a tenant, role, label or life that no key can have.
    """
    _check(tenant, role, label, life)
    with connection.transaction():
        key, text = _insert(connection, secret, tenant, role, label, is_demo=is_demo, life=life)
        details = {"role": role, "label": label, "is_demo": is_demo, "expires_at": _text(key.expires_at)}
        record(connection, actor, "create", "api_key", key.key_id, tenant, details)
    return key, text


def rotate_key(
    connection: Connection, secret: bytes, key_id: str, *, grace: timedelta, actor: str, tenant: str = EVERY_TENANT
) -> tuple[ApiKey, str] | None:
    """Make a key with the same tenant, role, label and length of life; the old one ends after `grace`.

    None when there is no such valid key of `tenant` ('*': of any). Raises ConfigurationError for a negative grace.
    """
    if grace < timedelta(0):
        raise ConfigurationError("A key cannot end in the past", "Use a grace of zero or more")
    with connection.transaction():
        row = connection.execute(queries("keys")["valid_key"], {"key_id": key_id, "tenant": tenant}).fetchone()
        if row is None:
            return None
        old = ApiKey(*row)
        life = None if old.expires_at is None else old.expires_at - old.created_at
        key, text = _insert(
            connection,
            secret,
            old.tenant,
            old.role,
            old.label,
            is_demo=old.is_demo,
            life=life,
            replaces=key_id,
        )
        ended = connection.execute(queries("keys")["expire_key"], {"key_id": key_id, "grace": grace}).fetchone()
        ends_at = ended[0] if ended else None
        details = {"replaced_by": key.key_id, "ends_at": _text(ends_at)}
        record(connection, actor, "rotate", "api_key", key_id, old.tenant, details)
    return key, text


def _insert(
    connection: Connection,
    secret: bytes,
    tenant: str,
    role: Role,
    label: str,
    *,
    is_demo: bool,
    life: timedelta | None,
    replaces: str | None = None,
) -> tuple[ApiKey, str]:
    key_id = secrets.token_hex(_KEY_ID_BYTES)
    text = f"lah_{key_id}_{secrets.token_urlsafe(_SECRET_BYTES)}"
    row = connection.execute(
        queries("keys")["create_key"],
        {
            "key_id": key_id,
            "tenant": tenant,
            "role": role,
            "label": label,
            "key_hmac": _digest(secret, text),
            "is_demo": is_demo,
            "life": life,
            "replaces": replaces,
        },
    ).fetchone()
    if row is None:
        raise AssertionError("an insert returned no row")
    return ApiKey(*row), text


def find_key(connection: Connection, secret: bytes, presented: str) -> ApiKey | None:
    """The key that `presented` is, or None when it is malformed, unknown, revoked or at its end.

    One lookup by primary key.
    """
    match = _KEY.fullmatch(presented)
    if match is None:
        return None
    row = connection.execute(queries("keys")["find_key"], {"key_id": match[1]}).fetchone()
    stored, is_valid, *fields = row or (b"", False)
    # compared even when the id is unknown, so that the answer takes equally long
    if not hmac.compare_digest(_digest(secret, presented), stored) or not is_valid:
        return None
    return ApiKey(*fields)


def note_use(connection: Connection, key_id: str) -> None:
    """Write that the key is used now; it is written at most once a minute, whoever notices."""
    connection.execute(queries("keys")["note_use"], {"key_id": key_id})


def revoke_key(connection: Connection, key_id: str, *, actor: str, tenant: str = EVERY_TENANT) -> bool:
    """Revoke from now on; False when `tenant` ('*': any) has no such key or it was revoked before."""
    with connection.transaction():
        row = connection.execute(queries("keys")["revoke_key"], {"key_id": key_id, "tenant": tenant}).fetchone()
        if row is not None:
            record(connection, actor, "revoke", "api_key", key_id, row[0], {})
    return row is not None


def list_keys(connection: Connection, tenant: str = EVERY_TENANT) -> list[ApiKey]:
    """Every key ever made for `tenant` ('*': for all), oldest first."""
    return [ApiKey(*row) for row in connection.execute(queries("keys")["list_keys"], {"tenant": tenant}).fetchall()]


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat()


def _digest(secret: bytes, text: str) -> bytes:
    return hmac.digest(secret, text.encode(), "sha256")


def tenant_or_role_problem(tenant: str, role: str) -> tuple[str, str] | None:
    """What is wrong with a credential for this tenant and role, and what to do; None: nothing."""
    if role not in ROLES:
        return f"No role is called {role!r}", f"Use one of {', '.join(ROLES)}"
    if tenant_problem(tenant) or not tenant.isprintable() or tenant in _RESERVED_TENANTS:
        return f"No key can belong to tenant {tenant!r}", "Use the tenant's own name"
    if tenant == EVERY_TENANT and role == "ingest":
        return "A key that writes belongs to one tenant", "Make one ingest key per tenant; '*' is for keys that read"
    return None


def _check(tenant: str, role: Role, label: str, life: timedelta | None) -> None:
    if problem := tenant_or_role_problem(tenant, role):
        raise ConfigurationError(*problem)
    if len(label) > _MAX_LABEL_CHARS or not (label.isprintable() or not label):
        raise ConfigurationError("No key can have this label", f"Use up to {_MAX_LABEL_CHARS} printable characters")
    if life is not None and life <= timedelta(0):
        raise ConfigurationError("A key cannot end in the past", "Name a longer life")
