"""The access review: who can reach what, as the key table and PostgreSQL's catalog say.

Belongs here: the tables. Does not: reading them (`stores/access_facts.py`), what to decide (`access_findings`).
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from lah_platform.compliance.access_facts import AccessFacts, KeyFact, LoginFact, ReaderFact
from lah_platform.compliance.access_findings import (
    UNUSED_AFTER,
    findings_of_keys,
    findings_of_logins,
    findings_of_readers,
)
from lah_platform.compliance.facts import FactsDocument, FactTable

__all__ = ["NAME", "build_access_review", "permissions_table"]

NAME: Final = "access_review"
_STATEMENT = (
    "Everything here was read from the running system at the time given; nothing was typed in. Whether each access is "
    "still needed is for its owner to decide."
)


def build_access_review(
    facts: AccessFacts,
    *,
    tenant: str,
    as_of: datetime,
    roles: Mapping[str, frozenset[str]],
    issuer: Mapping[str, str | None],
) -> FactsDocument:
    """The review at `as_of`; `roles` is the API's table of permissions, `issuer` the LAH_OIDC_* settings by name.

    Tenant "*" is the whole hub; another sees its own keys and readers, and no logins of the server.
    """
    tables = [_keys(facts.keys, as_of), _readers(facts.readers), permissions_table(roles), _issuer(issuer)]
    if tenant == "*":
        tables.insert(2, _logins(facts.logins, facts.public_readable))
    findings = [*findings_of_keys(facts.keys, as_of), *findings_of_readers(facts.readers)]
    if tenant == "*":
        findings += findings_of_logins(facts.logins, facts.readers, facts.public_readable)
    return FactsDocument(NAME, "Access review", tenant, as_of, _STATEMENT, tuple(tables), tuple(findings))


def _keys(keys: Sequence[KeyFact], at: datetime) -> FactTable:
    replaced_by = {key.replaces: key.key_id for key in keys if key.replaces}
    columns = (
        "key_id",
        "tenant",
        "role",
        "label",
        "state",
        "demo",
        "created",
        "expires",
        "last_used",
        "use",
        "rotation",
    )
    rows = tuple(
        (
            key.key_id,
            key.tenant,
            key.role,
            key.label,
            _state(key, at),
            key.is_demo,
            key.created_at,
            key.expires_at,
            key.last_used_at,
            _use(key, at),
            _rotation(key, replaced_by.get(key.key_id)),
        )
        for key in keys
    )
    return FactTable("keys", "API keys", "query access.keys (table lah.api_keys)", columns, rows)


def _state(key: KeyFact, at: datetime) -> str:
    if key.revoked_at is not None:
        return f"revoked {key.revoked_at:%Y-%m-%d}"
    return "valid" if key.is_valid(at) else "expired"


def _use(key: KeyFact, at: datetime) -> str:
    if key.last_used_at is None:
        return "never used"
    return f"unused {(at - key.last_used_at).days} days" if at - key.last_used_at >= UNUSED_AFTER else "used"


def _rotation(key: KeyFact, replaced_by: str | None) -> str | None:
    said = [f"replaces {key.replaces}"] if key.replaces else []
    said += [f"rotated, now {replaced_by}"] if replaced_by else []
    return ", ".join(said) or None


def _readers(readers: Sequence[ReaderFact]) -> FactTable:
    return FactTable(
        "sql_readers",
        "Logins that read a tenant's rows with SQL",
        "query access.readers (table lah.sql_readers, catalog pg_roles, pg_has_role)",
        ("login", "tenant", "granted", "login_exists", "may_read_views"),
        tuple((each.role_name, each.tenant, each.granted_at, each.exists, each.is_member) for each in readers),
    )


def _logins(logins: Sequence[LoginFact], public: Sequence[str]) -> FactTable:
    columns = ("role", "can_log_in", "superuser", "bypasses_row_security", "makes_roles", "owns_schema", "member_of",
               "relations_read", "relations_written", "tenant_views_read", "password_valid_until")  # fmt: skip
    rows = tuple(
        (
            each.name,
            each.can_login,
            each.is_superuser,
            each.bypasses_rls,
            each.makes_roles,
            each.owns_schema,
            ", ".join(each.member_of) or None,
            each.readable,
            each.writable,
            each.tenant_views,
            each.valid_until,
        )
        for each in logins
    )
    note = (
        "Relations are those of schema lah, counted whichever way the right was come by: grant, membership, ownership. "
        "What a member may do only after SET ROLE is not counted; member of says of whom."
    )
    if public:
        note += f" PUBLIC reads {', '.join(public)}."
    source = "query access.logins (catalog pg_roles, pg_class, has_any_column_privilege, has_table_privilege)"
    return FactTable("logins", "Roles of the PostgreSQL server", source, columns, rows, note)


def permissions_table(roles: Mapping[str, frozenset[str]]) -> FactTable:
    """Roles of the API, as its own table of permissions says."""
    rows = tuple((role, ", ".join(sorted(permissions))) for role, permissions in roles.items())
    return FactTable(
        "roles", "Roles of the API and what they may do", "ROLES of api/access.py", ("role", "permissions"), rows
    )


def _issuer(issuer: Mapping[str, str | None]) -> FactTable:
    rows = tuple(issuer.items())
    note = "" if any(name.endswith("ISSUER") and value for name, value in rows) else "No issuer is set: API keys only."
    return FactTable("issuer", "Issuer of tokens (OpenID Connect)", "settings", ("setting", "value"), rows, note)
