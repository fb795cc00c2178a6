"""What becomes of a tenant's prompts and completions; landing follows from the transaction on that sets it."""

from datetime import datetime
from typing import NamedTuple

from lah_platform.errors import ConfigurationError
from lah_platform.privacy.redaction import is_installed
from lah_platform.privacy.writers import CONTENT_POLICIES
from lah_platform.stores.audit import record
from lah_platform.stores.postgres import Connection
from lah_platform.stores.queries import queries
from lah_platform.stores.subjects import next_epoch

__all__ = ["PolicyRow", "policies", "set_policy"]

_Q = queries("privacy")


class PolicyRow(NamedTuple):
    """A tenant's choice; `set_at` is UTC."""

    tenant: str
    policy: str
    set_by: str
    set_at: datetime


def policies(connection: Connection, tenant: str = "*") -> list[PolicyRow]:
    """The choices that were made, by tenant; "*": of all of them. A tenant without one keeps contents, encrypted."""
    rows = [PolicyRow(*row) for row in connection.execute(_Q["content_policies"]).fetchall()]
    return [row for row in rows if tenant in ("*", row.tenant)]


def set_policy(connection: Connection, tenant: str, policy: str, *, actor: str) -> PolicyRow:
    """Choose; what landed before stays as it is.

    Raises ConfigurationError for an unknown policy, for all tenants at once, and for `redact` without its extra.
    """
    if policy not in CONTENT_POLICIES:
        raise ConfigurationError(f"There is no content policy {policy!r}", f"There are {', '.join(CONTENT_POLICIES)}")
    if tenant in ("", "*"):
        raise ConfigurationError("A content policy is one tenant's", "Name the tenant")
    if policy == "redact" and not is_installed():
        raise ConfigurationError(
            "The policy 'redact' needs Presidio",
            "Install it where landing runs: pip install 'llm-analytics-hub[redact]'",
        )
    with connection.transaction():
        next_epoch(connection)
        before = {row.tenant: row.policy for row in policies(connection, tenant)}.get(tenant, "keep")
        connection.execute(_Q["set_policy"], {"tenant": tenant, "policy": policy, "set_by": actor})
        record(connection, actor, "set", "content_policy", tenant, tenant, {"before": before, "after": policy})
        return policies(connection, tenant)[0]
