"""What a reviewer of accesses must decide: each finding with what was seen and what to do about it."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final

from lah_platform.compliance.access_facts import KeyFact, LoginFact, ReaderFact
from lah_platform.compliance.facts import Finding

__all__ = ["UNUSED_AFTER", "findings_of_keys", "findings_of_logins", "findings_of_readers"]

UNUSED_AFTER: Final = timedelta(days=90)
_OLD_AFTER: Final = timedelta(days=365)
_GROUPS: Final = ("lah_reader", "lah_auditor")  # roles of the hub that an operator's own people are given


def findings_of_keys(keys: Sequence[KeyFact], at: datetime) -> Iterator[Finding]:
    """Of keys that are valid at `at`: those without an end, unused, never used, not rotated, or the demo's."""
    replaced = {key.replaces for key in keys}
    for key in keys:
        if not key.is_valid(at):
            continue
        who = f"key {key.key_id} of {key.tenant} ({key.role}{f', {key.label}' if key.label else ''})"
        revoke = f"Ask its owner; if nobody needs it: lah keys revoke {key.key_id}"
        if key.is_demo:
            yield Finding("medium", "demo_key", who, "A key of the demo is valid", revoke, "keys")
        if key.expires_at is None and key.role == "admin":
            text = "An admin key never expires" + (" and reaches every tenant" if key.tenant == "*" else "")
            advice = (
                f"Replace it by one that ends: lah keys create --expires-in-days, then lah keys revoke {key.key_id}"
            )
            yield Finding("high", "admin_key_without_expiry", who, text, advice, "keys")
        elif key.expires_at is None:
            advice = "Make its successor with --expires-in-days"
            yield Finding("low", "key_without_expiry", who, "The key never expires", advice, "keys")
        if key.last_used_at is None and at - key.created_at >= UNUSED_AFTER:
            text = f"Never used since it was made {(at - key.created_at).days} days ago"
            yield Finding("medium", "key_never_used", who, text, revoke, "keys")
        elif key.last_used_at is not None and at - key.last_used_at >= UNUSED_AFTER:
            text = f"Not used for {(at - key.last_used_at).days} days"
            yield Finding("medium", "key_unused", who, text, revoke, "keys")
        if key.key_id in replaced:
            text = f"Rotated, and still taken{f' until {key.expires_at:%Y-%m-%d %H:%M} UTC' if key.expires_at else ''}"
            yield Finding("low", "rotated_key_still_valid", who, text, revoke, "keys")
        elif at - key.created_at >= _OLD_AFTER:
            text = f"In use for {(at - key.created_at).days} days without a rotation"
            yield Finding("medium", "key_not_rotated", who, text, f"lah keys rotate {key.key_id}", "keys")


def findings_of_readers(readers: Sequence[ReaderFact]) -> Iterator[Finding]:
    """Of grants that name no login, or one on which they have no effect."""
    for each in readers:
        who = f"login {each.role_name} for {each.tenant}"
        advice = f"lah readers revoke {each.role_name} --tenant {each.tenant}"
        if not each.exists:
            text = "A grant names a login that does not exist; a login of that name made later would have it"
            yield Finding("medium", "reader_without_login", who, text, advice, "sql_readers")
        elif not each.is_member:
            text = "The login is not a member of lah_tenant_reader: the grant has no effect"
            yield Finding("low", "reader_without_membership", who, text, advice, "sql_readers")


def findings_of_logins(
    logins: Sequence[LoginFact], readers: Sequence[ReaderFact], public: Sequence[str]
) -> Iterator[Finding]:
    """Of logins that reach more than the views of tenants granted to them, and of what everybody may read."""
    granted = {each.role_name for each in readers}
    readable = {each.name: each.readable for each in logins}
    for each in logins:
        if not each.can_login:
            continue
        who = f"login {each.name}"
        if each.passes_every_check:
            text = "Owns the hub's schema" if each.owns_schema else "Is a superuser: reads and changes everything"
            advice = "Restrict to the hub's own processes and the database's administrators"
            yield Finding("low" if each.owns_schema else "medium", "login_without_limits", who, text, advice, "logins")
            continue
        if each.writable:
            text = f"May change {_relations(each.writable)} of schema lah"
            advice = f"revoke insert, update, delete, truncate on all tables in schema lah from {each.name}"
            yield Finding("high", "login_writes", who, text, advice, "logins")
        by = [name for name in _GROUPS if name in each.member_of]
        if each.readable > sum(readable.get(name, 0) for name in by):
            text = f"Reads {_relations(each.readable)} of schema lah itself, of every tenant"
            advice = f"Revoke its rights on tables of schema lah; let it read by lah readers grant {each.name}"
            yield Finding("high", "login_reads_tables", who, text, advice, "logins")
        elif each.readable:
            text = f"Reads {_relations(each.readable)} of every tenant, by {' and '.join(by)}"
            yield Finding("low", "login_reads_every_tenant", who, text, "Confirm it is an operator's", "logins")
        if each.bypasses_rls:
            text = "Passes row-level security"
            yield Finding("high", "login_bypasses", who, text, f"alter role {each.name} nobypassrls", "logins")
        if "lah_tenant_reader" in each.member_of and each.name not in granted:
            text = "May read the tenants' views, and no tenant is granted to it"
            advice = f"revoke lah_tenant_reader from {each.name}"
            yield Finding("low", "reader_of_nobody", who, text, advice, "logins")
    if public:
        text = f"Every login reads {', '.join(public)}"
        advice = "revoke all on all tables in schema lah from public"
        yield Finding("high", "public_reads", "every login (PUBLIC)", text, advice, "logins")


def _relations(count: int) -> str:
    return "1 relation" if count == 1 else f"{count} relations"
