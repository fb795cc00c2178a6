"""Commands on what is configured: the access review and the description of the system."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lah_platform.errors import ConfigurationError
from lah_platform.settings import settings

if TYPE_CHECKING:
    from lah_platform.compliance.facts import FactsDocument

__all__ = ["access_review", "system_description"]

_Out = Annotated[Path | None, typer.Option(help="Write it to this file, .html or .json, instead of printing it.")]


def access_review(
    tenant: Annotated[str, typer.Option(help="One tenant, or * for the whole hub.")] = "*", out: _Out = None
) -> None:
    """Who can reach what, read now: keys and their use, SQL logins, roles, the issuer, and what to decide.

    Example: lah access-review --out review.html
    """
    from lah_platform.stack.endpoints import database_url
    from lah_platform.stores.facts_documents import make_access_review
    from lah_platform.stores.postgres import connect

    with connect(database_url(settings())) as connection:
        document = make_access_review(connection, settings(), tenant=tenant, roles=_roles(), now=datetime.now(UTC))
    _give(document, out)


def system_description(out: _Out = None) -> None:
    """What runs, how it is set, what it holds and whom it talks to, read now; secrets are not shown.

    Example: lah system-description --out system.html
    """
    from lah_platform.stack.endpoints import database_url
    from lah_platform.stores.facts_documents import make_system_description
    from lah_platform.stores.postgres import connect
    from lah_platform.stores.report_plan import load_plan

    with connect(database_url(settings())) as connection:
        document = make_system_description(
            connection, settings(), roles=_roles(), targets=load_plan(settings()).places(), now=datetime.now(UTC)
        )
    _give(document, out)


def _roles() -> dict[str, frozenset[str]]:
    from api.access import ROLES

    return {role: frozenset(permissions) for role, permissions in ROLES.items()}


def _give(document: "FactsDocument", out: Path | None) -> None:
    from lah_platform.compliance.facts import facts_content, facts_html

    content = facts_content(document)
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    if out is None:
        print(text, end="")
        return
    if out.suffix not in (".html", ".json"):
        raise ConfigurationError(f"{out} is neither .html nor .json", "Name it so")
    out.write_text(facts_html(content) if out.suffix == ".html" else text, encoding="utf-8")
    print(f"{out}: {len(document.tables)} tables, {len(document.findings)} findings")
