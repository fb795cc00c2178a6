"""The two documents of facts, put together from everything that is read."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from lah_platform.compliance.access_review import build_access_review, permissions_table
from lah_platform.compliance.facts import FactsDocument
from lah_platform.compliance.system_description import (
    build_system_description,
    encryption_table,
    retention_table,
    settings_table,
    third_parties_table,
)
from lah_platform.events.payloads import STRUCTS
from lah_platform.privacy.fields import PERSONAL_FIELDS
from lah_platform.settings import EVENT_LOG_DAYS, Settings
from lah_platform.stores.access_facts import read_access
from lah_platform.stores.postgres import Connection
from lah_platform.stores.system_facts import read_settings, read_system

__all__ = ["make_access_review", "make_system_description"]

_ISSUER = ("LAH_OIDC_ISSUER", "LAH_OIDC_AUDIENCE", "LAH_OIDC_TENANT_CLAIM", "LAH_OIDC_ROLE_CLAIM")


def make_access_review(
    connection: Connection,
    settings: Settings,
    *,
    tenant: str,
    roles: Mapping[str, frozenset[str]],
    now: datetime,
) -> FactsDocument:
    """The access review of `tenant` ("*": of the whole hub) as things are at `now` (UTC).

    `roles` is the API's table: api/access.py.
    """
    known = {each.variable: each.value for each in read_settings(settings)}
    issuer = {variable: known[variable] for variable in _ISSUER}
    facts = read_access(connection, tenant=tenant)
    return build_access_review(facts, tenant=tenant, as_of=now, roles=roles, issuer=issuer)


def make_system_description(
    connection: Connection,
    settings: Settings,
    *,
    roles: Mapping[str, frozenset[str]],
    targets: Sequence[tuple[str, str, str]],
    now: datetime,
) -> FactsDocument:
    """The description of the hub as it is at `now` (UTC). `targets`: name, kind and address where reports go."""
    chosen = read_settings(settings)
    known = {each.variable: each for each in chosen}
    tables = [
        *read_system(connection, settings),
        settings_table(chosen),
        encryption_table(known, _personal_fields()),
        retention_table(known, EVENT_LOG_DAYS),
        permissions_table(roles),
        third_parties_table(known, targets),
    ]
    return build_system_description(tables, as_of=now)


def _personal_fields() -> dict[str, dict[str, str]]:
    names = {struct: name for structs in STRUCTS.values() for name, struct in structs.items()}
    declared = {names.get(struct, "custom"): fields for struct, fields in PERSONAL_FIELDS.items()}
    return {name: {path: str(sort) for path, sort in fields.items()} for name, fields in sorted(declared.items())}
