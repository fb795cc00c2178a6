"""The audit log's chain read and signed: rows in order, heads kept beside them."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from lah_platform.compliance.audit_chain import GENESIS, AuditRow, ChainPoint, follow
from lah_platform.compliance.audit_heads import SignedHead, sign_head
from lah_platform.compliance.signing import Signature, Signer
from lah_platform.errors import AuditError
from lah_platform.stores.audit_chain import chain_head
from lah_platform.stores.postgres import Connection
from lah_platform.stores.queries import queries

__all__ = ["audit_rows", "head_from", "last_head", "sign_new_head", "signed_heads"]

_Q = queries("audit")
_ROWS_A_FETCH = 5_000
_KEEP = "Run `lah audit verify`, and keep the database as it is"


def audit_rows(connection: Connection, after: int | None = None, until: int | None = None) -> Iterator[AuditRow]:
    """The rows in (after, until] in order, fetched in pieces; inside a transaction."""
    with connection.cursor("lah_audit_rows", scrollable=False) as cursor:
        cursor.itersize = _ROWS_A_FETCH
        cursor.execute(_Q["rows"], {"after": after, "until": until}, binary=True)
        yield from map(AuditRow._make, cursor)


def signed_heads(connection: Connection, after: int | None = None, until: int | None = None) -> Iterator[SignedHead]:
    """The signed heads of (after, until] in order."""
    yield from map(head_from, connection.execute(_Q["heads"], {"after": after, "until": until}))


def last_head(connection: Connection) -> SignedHead | None:
    """The newest signed head."""
    row = connection.execute(_Q["last_head"]).fetchone()
    return None if row is None else head_from(row)


def sign_new_head(connection: Connection, signer: Signer, now: datetime) -> SignedHead | None:
    """Sign the chain's head, if it has moved since the last time; returns it, or None.

    Follows the chain from the last signed head on. Raises AuditError, and signs nothing, when it is broken there.
    """
    with connection.transaction():
        connection.execute("set transaction isolation level repeatable read")
        head, before = chain_head(connection), last_head(connection)
        start = (
            ChainPoint(0, GENESIS) if before is None else ChainPoint(before.position, bytes.fromhex(before.row_hash))
        )
        if start == (head.position, bytes.fromhex(head.row_hash)):
            return None
        last = start
        for point, wrong in follow(audit_rows(connection, after=start.position), start):
            if wrong:
                raise AuditError(f"The audit log is broken, {wrong[0]}", _KEEP)
            last = point
        if last != (head.position, bytes.fromhex(head.row_hash)):
            raise AuditError(f"The audit log ends at {last.position}, and its head is at {head.position}", _KEEP)
        signed = sign_head(signer, head.position, head.row_hash, now)
        connection.execute(_Q["add_head"], _columns(signed))
    return signed


def head_from(row: tuple[Any, ...]) -> SignedHead:
    """The head of a row of audit_heads."""
    position, row_hash, signed_at, public_key, signature = row
    return SignedHead(position, row_hash, signed_at, Signature(public_key, signature))


def _columns(head: SignedHead) -> dict[str, Any]:
    return {
        "position": head.position,
        "row_hash": head.row_hash,
        "signed_at": head.signed_at,
        "public_key": head.signature.public_key,
        "signature": head.signature.signature,
    }
