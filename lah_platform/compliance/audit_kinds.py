"""The kinds of entry of the audit log, told by what an entry says was done to what.

Belongs here: names and how they are recognized. Does not: recording, which whoever makes a change does.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

__all__ = ["KINDS", "OTHER", "Kind", "kind_of", "matched_by"]


@dataclass(frozen=True)
class Kind:
    """Entries about any of these types of object, or of any of these actions."""

    text: str
    object_types: tuple[str, ...] = ()
    actions: tuple[str, ...] = ()

    def holds(self, action: str, object_type: str) -> bool:
        return object_type in self.object_types or action in self.actions


OTHER: Final = "other"
_BACKFILL = ("requested", "started", "succeeded", "failed", "cancelling", "cancelled")

# The first that holds is the entry's
KINDS: Final[Mapping[str, Kind]] = MappingProxyType(
    {
        "key": Kind(
            "an API key, master key or tenant key made, rotated or revoked", ("api_key", "master_key", "tenant_key")
        ),
        "role": Kind("a login given or refused a tenant's rows", ("sql_reader", "role")),
        "price": Kind("the price book changed", ("price_book",)),
        "schema": Kind("a migration applied", ("schema",)),
        "erasure": Kind("a person's data erased", actions=("erase",)),
        "personal_data": Kind("personal data read", ("personal_data",)),
        "rights": Kind("a person's consent or export", ("subject", "consent")),
        "retention": Kind(
            "old data dropped; for how long it is kept changed; a legal hold",
            ("retention_setting", "retention_rule", "retention_run", "legal_hold"),
            ("retention", "drop archived day"),
        ),
        "policy": Kind("what is kept of prompts and completions changed", ("content_policy",)),
        "archive": Kind(
            "files of the archive written anew; subjects backed up or restored", ("archive", "subjects"), ("rewrite",)
        ),
        "backfill": Kind("a table computed again", (), ("backfill", *(f"backfill_{state}" for state in _BACKFILL))),
        "report": Kind("a report made or sent", ("report", "delivery")),
        "signals": Kind("an anomaly dismissed, a maintenance window", ("anomaly", "maintenance")),
        OTHER: Kind("anything else"),
    }
)


def kind_of(action: str, object_type: str) -> str:
    """The name of the entry's kind."""
    return next((name for name, kind in KINDS.items() if kind.holds(action, object_type)), OTHER)


def matched_by(name: str) -> tuple[Kind, Kind]:
    """What entries of this kind match, and what none of them does: what the kinds before it do. Of OTHER: nothing."""
    before = [kind for each, kind in KINDS.items() if list(KINDS).index(each) < list(KINDS).index(name)]
    types = tuple(each for kind in before for each in kind.object_types)
    actions = tuple(each for kind in before for each in kind.actions)
    return KINDS[name], Kind("", types, actions)
