"""What an access review is made of: keys, logins and grants as they were read.

Belongs here: the shapes. Does not: reading them (`stores/access_facts.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

__all__ = ["AccessFacts", "KeyFact", "LoginFact", "ReaderFact"]


@dataclass(frozen=True)
class KeyFact:
    """One API key, without anything it could be made from. Times are UTC."""

    key_id: str
    tenant: str
    role: str
    label: str
    is_demo: bool
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    replaces: str | None

    def is_valid(self, at: datetime) -> bool:
        """Whether it lets anybody in at that time."""
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > at)


@dataclass(frozen=True)
class LoginFact:
    """A role of the PostgreSQL server, and what it may do in schema lah, whichever way it came to it.

    `readable` and `writable` count tables and views of schema lah; `member_of` is transitive.
    """

    name: str
    can_login: bool
    is_superuser: bool
    bypasses_rls: bool
    makes_roles: bool
    owns_schema: bool
    member_of: Sequence[str]
    readable: int
    writable: int
    tenant_views: int
    valid_until: datetime | None

    @property
    def passes_every_check(self) -> bool:
        """Whether grants say nothing about it."""
        return self.is_superuser or self.owns_schema


@dataclass(frozen=True)
class ReaderFact:
    """A row of sql_readers, and whether the catalog has a login behind it that is granted lah_tenant_reader."""

    role_name: str
    tenant: str
    granted_at: datetime
    exists: bool
    is_member: bool


@dataclass(frozen=True)
class AccessFacts:
    """Everything a review is made of. `logins` and `public_readable` are the whole server's: operators only."""

    keys: Sequence[KeyFact]
    readers: Sequence[ReaderFact]
    logins: Sequence[LoginFact]
    public_readable: Sequence[str]
