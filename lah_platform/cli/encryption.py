"""Commands on encryption keys, on what becomes of prompts, and on reading one event in the clear."""

import json
from getpass import getuser
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from lah_platform.errors import ConfigurationError
from lah_platform.settings import settings

if TYPE_CHECKING:
    from lah_platform.stores.keyring import KeyRing
    from lah_platform.stores.postgres import Connection

__all__ = ["encryption", "privacy"]

encryption = typer.Typer(help="Keys of personal fields. Example: lah encryption status", no_args_is_help=True)
privacy = typer.Typer(help="Personal data. Example: lah privacy policy --tenant acme --set drop", no_args_is_help=True)


@encryption.command("status")
def _status() -> None:
    """Whether personal fields are encrypted, by which master key, and whether that one opens what is there.

    Example: lah encryption status
    """
    from lah_platform.stack.encryption import encryption_finding

    with _connected() as connection:
        finding = encryption_finding(connection, settings())
    print(finding.observed)
    if not finding.is_healthy:
        raise ConfigurationError("Encryption is not as it should be", finding.advice)


@encryption.command("rotate")
def _rotate(
    tenant: Annotated[
        str | None, typer.Option(help="Also give this tenant new keys for what is new, and wrap its subjects' anew.")
    ] = None,
) -> None:
    """Wrap all keys with the newest version of the master key; no encrypted row is touched. Safe to stop and repeat.

    Example: lah encryption rotate
    """
    from lah_platform.stores.rotation import rotate_master, rotate_tenant

    ring = _ring()

    def tell(done: int, of: int) -> None:
        print(f"{done} of {of}")

    with _connected() as connection:
        done = rotate_master(connection, ring, actor=_actor(), on_progress=tell)
        print(f"{done} keys are now wrapped by {ring.master.current}; all others were already")
        if tenant is not None:
            subjects = rotate_tenant(connection, ring, tenant, actor=_actor(), on_progress=tell)
            print(f"{tenant} has new keys, and {subjects} subjects are wrapped by them")


@privacy.command("policy")
def _policy(
    tenant: Annotated[str, typer.Option(help="Whose; '*': list everyone's.")] = "*",
    set_: Annotated[str | None, typer.Option("--set", help="keep, hash, redact or drop.")] = None,
) -> None:
    """What becomes of prompts and completions: list what was chosen, or choose for a tenant.

    Example: lah privacy policy --tenant acme --set drop
    """
    from lah_platform.stores.content_policies import policies, set_policy

    with _connected() as connection:
        if set_ is not None:
            set_policy(connection, tenant, set_, actor=_actor())
        for each in policies(connection, tenant):
            print(f"{each.tenant:<24} {each.policy:<7} by {each.set_by} at {each.set_at:%Y-%m-%d %H:%M} UTC")
    print("Every other tenant: keep, encrypted" if tenant == "*" else "Without a line: keep, encrypted")


@privacy.command("reveal")
def _reveal(
    event_id: UUID,
    purpose: Annotated[str, typer.Option(help="Why, for the audit log.")],
    tenant: Annotated[str, typer.Option(help="Whose event; '*': anybody's.")] = "*",
) -> None:
    """One event's tags and payload in the clear, as JSON; the reading is audited.

    Example: lah privacy reveal 3f0c0a3e-6f0e-4b7e-9d8e-0a4a1b1c2d3e --purpose 'request 12'
    """
    from lah_platform.stores.reveal import reveal_event

    with _connected() as connection:
        events = reveal_event(connection, _ring(), tenant, event_id, actor=_actor(), purpose=purpose)
    if not events:
        raise ConfigurationError(f"PostgreSQL holds no event {event_id} of {tenant}", "Is its day in the archive?")
    for event in events:
        print(json.dumps(event._asdict(), default=str, indent=2))


def _ring() -> "KeyRing":
    from lah_platform.stores.master_keys import hub_key_ring

    ring = hub_key_ring(settings())
    if ring is None:
        raise ConfigurationError("LAH_FIELD_ENCRYPTION is off", "Set it to on")
    return ring


def _connected() -> "Connection":
    from lah_platform.stack.endpoints import database_url
    from lah_platform.stores.postgres import connect

    return connect(database_url(settings()))


def _actor() -> str:
    return f"cli:{getuser()}"
