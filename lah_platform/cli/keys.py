"""Commands on API keys: made, seen, rotated and revoked by whoever holds the database and the server's secret."""

import sys
from datetime import UTC, datetime, timedelta
from getpass import getuser
from typing import TYPE_CHECKING, Annotated

import typer

from lah_platform.errors import ConfigurationError
from lah_platform.settings import settings

if TYPE_CHECKING:
    from lah_platform.stores.postgres import Connection

__all__ = ["keys"]

keys = typer.Typer(help="API keys. Example: lah keys create --tenant acme --role viewer", no_args_is_help=True)

_PIPED_WIDTH = 240  # nothing is cut for want of a terminal
_KeyId = Annotated[str, typer.Argument(help="The id: what stands between the underscores of a key.")]


@keys.command("create")
def _create(
    tenant: Annotated[str, typer.Option(help="Whose it is; '*' is an operator's, of every tenant.")],
    role: Annotated[str, typer.Option(help="viewer, analyst, ingest, compliance or admin.")],
    label: Annotated[str, typer.Option(help="What it is for.")] = "",
    expires_in_days: Annotated[int | None, typer.Option(min=1, help="How long it is valid.")] = None,
) -> None:
    """Make a key and print it; it cannot be had again.

    Example: lah keys create --tenant acme --role viewer --label dashboards --expires-in-days 365
    """
    from lah_platform.stores.keys import create_key

    life = None if expires_in_days is None else timedelta(days=expires_in_days)
    with _connected() as connection:
        made, text = create_key(
            connection,
            _secret(),
            tenant=tenant,
            role=role,  # type: ignore[arg-type]  # create_key says which there are
            label=label,
            actor=_actor(),
            life=life,
        )
    print(text)
    typer.echo(f"Key {made.key_id} of {made.tenant}, {made.role}: keep it now, it cannot be had again.", err=True)


@keys.command("list")
def _list(tenant: Annotated[str, typer.Option(help="Of this tenant only.")] = "*") -> None:
    """Every key ever made, oldest first; never the key itself. Times are UTC.

    Example: lah keys list --tenant acme
    """
    from rich.console import Console
    from rich.table import Table

    from lah_platform.stores.keys import list_keys

    table = Table("key", "tenant", "role", "label", "made", "last used", "state", box=None, pad_edge=False)
    now = datetime.now(UTC)
    with _connected() as connection:
        for key in list_keys(connection, tenant):
            state = "valid"
            if key.revoked_at is not None:
                state = f"revoked {key.revoked_at:%Y-%m-%d %H:%M}"
            elif key.expires_at is not None:
                state = f"{'ends' if key.expires_at > now else 'ended'} {key.expires_at:%Y-%m-%d %H:%M}"
            used = f"{key.last_used_at:%Y-%m-%d %H:%M}" if key.last_used_at else "never"
            row = (f"lah_{key.key_id}_...", key.tenant, key.role, key.label, f"{key.created_at:%Y-%m-%d}", used, state)
            table.add_row(*row)
    Console(width=None if sys.stdout.isatty() else _PIPED_WIDTH).print(table)


@keys.command("rotate")
def _rotate(
    key_id: _KeyId,
    grace_minutes: Annotated[int, typer.Option(min=0, help="How long the old key is still taken.")] = 24 * 60,
) -> None:
    """Make a key that may do the same and print it; the old one ends after the grace.

    Example: lah keys rotate 0123456789ab --grace-minutes 60
    """
    from lah_platform.stores.keys import rotate_key

    with _connected() as connection:
        grace = timedelta(minutes=grace_minutes)
        made = rotate_key(connection, _secret(), key_id, grace=grace, actor=_actor())
    if made is None:
        raise _missing(key_id)
    print(made[1])
    typer.echo(f"Key {made[0].key_id} takes the place of {key_id}, which ends in {grace_minutes} minutes.", err=True)


@keys.command("revoke")
def _revoke(key_id: _KeyId) -> None:
    """Revoke a key; within five seconds no API process takes it any more.

    Example: lah keys revoke 0123456789ab
    """
    from lah_platform.stores.keys import revoke_key

    with _connected() as connection:
        if not revoke_key(connection, key_id, actor=_actor()):
            raise _missing(key_id)
    print(f"Key {key_id} is revoked")


def _connected() -> "Connection":
    from lah_platform.stack.endpoints import database_url
    from lah_platform.stores.postgres import connect

    return connect(database_url(settings()))


def _secret() -> bytes:
    from lah_platform.stores.keys import server_secret

    chosen = settings()
    return server_secret(chosen.home, chosen.secret.get_secret_value() if chosen.secret else None)


def _actor() -> str:
    return f"cli:{getuser()}"


def _missing(key_id: str) -> ConfigurationError:
    return ConfigurationError(f"There is no valid key {key_id}", "`lah keys list` shows them")
