"""Whether the audit log is what it was: its chain, its head, its signed heads, and copies of them from outside."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime

from lah_platform.compliance.audit_chain import GENESIS, AuditRow, Breach, ChainPoint, Claim, SealedRow, follow
from lah_platform.compliance.audit_heads import SignedHead, problem_of
from lah_platform.stores.audit_chain import chain_head
from lah_platform.stores.audit_heads import audit_rows, signed_heads
from lah_platform.stores.postgres import Connection
from lah_platform.stores.queries import queries

__all__ = ["Findings", "check_chain", "claims_of", "period_of", "snapshot", "verify_log"]

_Q = queries("audit")
_MOST_BREACHES = 1_000
_BEGINNING = ChainPoint(0, GENESIS)
_ROWS_A_STEP = 10_000


@dataclass
class Findings:
    """What verifying found: how many rows were read, up to which point, which heads agreed, and what is wrong."""

    rows: int = 0
    last: ChainPoint = _BEGINNING
    heads: int = 0
    anchors: int = 0
    keys: set[str] = field(default_factory=set)
    breaches: list[Breach] = field(default_factory=list)

    @property
    def is_whole(self) -> bool:
        return not self.breaches


def verify_log(
    connection: Connection,
    *,
    start: datetime | None = None,
    end: datetime | None = None,
    anchors: Iterable[tuple[str, SignedHead]] = (),
    keys: frozenset[str] | None = None,
    on_rows: Callable[[int], object] = lambda _: None,
) -> Findings:
    """Follow the chain over the rows of [start, end) (UTC; None: unbounded) in one snapshot, in bounded memory.

    `anchors` are heads kept outside, each with where it was found; `keys` the public keys that may sign (None: any).
    At most 1,000 breaches are told. `connection` must be in autocommit mode.
    """
    found = Findings()
    with snapshot(connection):
        for text in connection.execute(_Q["guards"]).fetchall():
            found.breaches.append(Breach("unguarded", 0, 0, f"the trigger of {text[0]} is not in force"))
        head = chain_head(connection)
        after = until = None
        begin = _BEGINNING
        if start is not None or end is not None:
            first, until = period_of(connection, start, end)
            if first is None:
                return found
            after = first - 1
            begin = _point(connection, after, found)
        heads = [("the signed head", each) for each in signed_heads(connection, after=after and after - 1, until=until)]
        claims = claims_of(heads, keys, found)
        found.heads = len(heads)
        outside = [pair for pair in anchors if until is None or pair[1].position <= until]
        found.anchors = len(outside)
        claims += claims_of(outside, keys, found, is_outside=True)
        if until is None:
            claims.append(Claim(head.position, bytes.fromhex(head.row_hash), "audit_chain"))
        rows = audit_rows(connection, after=after, until=until)
        check_chain(rows, begin, claims, found, on_rows)
    return found


def check_chain(
    rows: Iterable[AuditRow | SealedRow],
    start: ChainPoint,
    claims: list[Claim],
    found: Findings,
    on_rows: Callable[[int], object],
) -> None:
    """Follow the rows and note what is wrong in `found`."""
    found.rows = -1  # the chain's end comes as one point more
    for found.last, wrong in follow(rows, start, sorted(claims)):
        found.rows += 1
        found.breaches.extend(wrong[: _MOST_BREACHES - len(found.breaches)])
        if found.rows % _ROWS_A_STEP == 0:
            on_rows(found.rows)
    on_rows(found.rows)


def claims_of(
    heads: Iterable[tuple[str, SignedHead]], keys: frozenset[str] | None, found: Findings, *, is_outside: bool = False
) -> list[Claim]:
    """What genuine heads say; a head whose signature does not hold is a breach, and says nothing."""
    claims = []
    for source, head in heads:
        problem = problem_of(head, keys)
        if problem is None:
            found.keys.add(head.signature.key_id)
            claims.append(head.claim(source, is_outside=is_outside))
        else:
            found.breaches.append(Breach("forged_head", head.position, head.position, f"{source}: {problem}"))
    return claims


def period_of(connection: Connection, start: datetime | None, end: datetime | None) -> tuple[int | None, int | None]:
    """First and last position of the rows of [start, end)."""
    row = connection.execute(_Q["period"], {"from": start, "to": end}).fetchone()
    return (None, None) if row is None else (row[0], row[1])


def _point(connection: Connection, position: int, found: Findings) -> ChainPoint:
    if position == 0:
        return _BEGINNING
    row = connection.execute(_Q["point"], {"position": position}).fetchone()
    if row is None:
        found.breaches.append(Breach("removed", position, position, "the row before the period is missing"))
        return ChainPoint(position, b"")
    return ChainPoint(position, row[0])


@contextmanager
def snapshot(connection: Connection) -> Iterator[None]:
    """One reading of the database: what is committed meanwhile is not seen."""
    with connection.transaction():
        connection.execute("set transaction isolation level repeatable read read only")
        yield
