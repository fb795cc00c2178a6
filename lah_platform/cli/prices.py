"""Commands on the price book."""

import sys
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from lah_platform.errors import ConfigurationError
from lah_platform.settings import settings

__all__ = ["prices"]

prices = typer.Typer(help="What tokens cost. Example: lah prices list --on 2026-11-01", no_args_is_help=True)

_PIPED_WIDTH = 240  # nothing is cut for want of a terminal
_MOST = 100_000


@prices.callback()
def _prices() -> None:
    """What tokens cost."""


@prices.command("list")
def _list(
    on: Annotated[str | None, typer.Option(help="Those in force on this UTC day only, such as 2026-11-01.")] = None,
    provider: Annotated[str | None, typer.Option(help="Of this provider only.")] = None,
    model: Annotated[str | None, typer.Option(help="Of this model only.")] = None,
) -> None:
    """Prices in USD a million tokens, by model, earliest first. Times are UTC.

    Example: lah prices list --on 2026-11-01 --model gpt-4o
    """
    from rich.console import Console
    from rich.table import Table

    from lah_platform.stack.endpoints import database_url
    from lah_platform.stores.postgres import connect
    from lah_platform.stores.serving import page

    try:
        day = None if on is None else datetime.strptime(on, "%Y-%m-%d").replace(tzinfo=UTC)
        end = None if day is None else day + timedelta(days=1)
    except (ValueError, OverflowError):
        raise ConfigurationError(f"--on is not a day: {on!r}", "Write it as 2026-11-01") from None
    with connect(database_url(settings())) as connection:
        found = page(connection, "prices", tenant="*", limit=_MOST, start=day, end=end, provider=provider, model=model)
    table = Table("model", "provider", "from", "to", "input", "cache read", "cache write", "output", "source")
    table.box, table.pad_edge = None, False
    for each in found.rows:
        amounts = (each[f"{name}_usd_per_mtok"] for name in ("input", "cache_read", "cache_write", "output"))
        texts = ["as input" if amount is None else f"{amount.normalize():f}" for amount in amounts]
        until = "" if each["valid_to"] is None else f"{each['valid_to']:%Y-%m-%d %H:%M}"
        table.add_row(
            each["model"], each["provider"], f"{each['valid_from']:%Y-%m-%d %H:%M}", until, *texts, each["source"]
        )
    Console(width=None if sys.stdout.isatty() else _PIPED_WIDTH).print(table)
