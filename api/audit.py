"""The audit log over REST: entries of the caller's tenant, and the signed heads of the chain that they are part of."""

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Depends, FastAPI, Query, Response
from pydantic import BaseModel, Field

from api.access import Caller
from api.formats import Accepted, documented
from api.lists import in_format, read_page
from api.models import Page
from api.parameters import Instant, Paging, Text
from api.problems import Problem
from api.services import Services, services_of
from lah_platform.compliance.audit_kinds import KINDS
from lah_platform.stores.audit import kind_filter

__all__ = ["add_routes"]

_Kind = Literal[
    "key",
    "role",
    "price",
    "schema",
    "erasure",
    "personal_data",
    "rights",
    "retention",
    "policy",
    "archive",
    "backfill",
    "report",
    "signals",
    "other",
]


class AuditFilter(Paging):
    """Which entries, by when they were recorded: [from, to)."""

    from_: Instant | None = Field(None, alias="from", description="Start, included: RFC 3339 with an offset.")
    to: Instant | None = Field(None, description="End, excluded: RFC 3339 with an offset.")
    kind: _Kind | None = Field(
        None, description="; ".join(f"`{name}`: {kind.text}" for name, kind in KINDS.items()), examples=["key"]
    )
    actor: Text | None = Field(None, description="Who did it, such as `key:0123456789ab`.")
    action: Text | None = Field(None, description="What was done.")
    object_id: Text | None = Field(None, description="To which object.")


class AuditEntry(BaseModel):
    """Who did what to what. `lah audit export` has what the hashes are made of."""

    position: int = Field(description="Place in the chain of all tenants' entries: 1, 2, 3, ... without a gap.")
    at: datetime
    actor: str
    action: str
    object_type: str
    object_id: str
    tenant: str
    details: dict[str, Any]
    previous_hash: str = Field(description="`row_hash` of the entry before, in hexadecimal.")
    row_hash: str = Field(description="SHA-256 over this entry and the one before it, in hexadecimal.")


class AuditHead(BaseModel):
    """What the chain was at a time, under Ed25519: keep it, and nobody can write the log up to there anew unseen."""

    kind: Literal["lah-audit-head-1"]
    position: int
    row_hash: str
    signed_at: datetime
    public_key: str = Field(description="Base64 of 32 bytes.")
    signature: str = Field(description="Base64 of 64 bytes, over the canonical JSON of the four fields before.")


def list_audit(
    caller: Caller,
    services: Annotated[Services, Depends(services_of)],
    asked: Annotated[AuditFilter, Query()],
    kind: Accepted,
    response: Response,
) -> Any:
    """Entries of the audit log of the tenant, newest first; without `from` and `to`, of any time.

    An operator's key reads all of them. What concerns every tenant (tenant `*`) is the operator's to read.
    """
    if asked.from_ and asked.to and asked.from_ > asked.to:
        raise Problem("invalid-parameter", "`from` is later than `to`", field="from")
    page = read_page(
        services,
        "audit_entries",
        caller,
        asked,
        from_=asked.from_,
        to=asked.to,
        actor=asked.actor,
        action=asked.action,
        object_id=asked.object_id,
        **kind_filter(asked.kind),
    )
    return in_format(kind, {"items": page.rows, "next_cursor": page.next_cursor}, AuditEntry, response)


def list_heads(
    caller: Caller, services: Annotated[Services, Depends(services_of)], asked: Annotated[Paging, Query()]
) -> dict[str, Any]:
    """Signed heads of the audit log's chain, newest first. They say nothing of what anybody did."""
    page = read_page(services, "audit_signed_heads", caller, asked)
    return {"items": page.rows, "next_cursor": page.next_cursor}


def add_routes(app: FastAPI) -> None:
    """Entries and heads."""
    app.add_api_route(
        "/api/v1/audit",
        list_audit,
        methods=["GET"],
        tags=["evidence"],
        response_model=Page[AuditEntry],
        responses=documented(has_tag=False),
    )
    app.add_api_route(
        "/api/v1/audit/heads", list_heads, methods=["GET"], tags=["evidence"], response_model=Page[AuditHead]
    )
