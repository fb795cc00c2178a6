"""The audit log's hash chain: how a row is encoded and hashed, and what is wrong with a run of rows.

Belongs here: bytes, hashes, and checking an iterator of rows. Does not: where rows come from, signatures
(`audit_heads`), files (`audit_export`). The database computes the same in migration 0028; docs/audit.md says how.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

__all__ = [
    "GENESIS",
    "AuditRow",
    "Breach",
    "BreachKind",
    "ChainPoint",
    "Claim",
    "SealedRow",
    "content_hash",
    "follow",
    "row_hash",
]

GENESIS: Final = bytes(32)
"""previous_hash of position 1."""

_DOMAIN: Final = b"lah-audit-1"

BreachKind = Literal["changed", "removed", "inserted", "reordered", "forged_head", "unguarded"]


class AuditRow(NamedTuple):
    """A row of the log. `at_us`: microseconds since 1970 (UTC); `details`: PostgreSQL's text of the jsonb."""

    position: int
    at_us: int
    actor: str
    action: str
    object_type: str
    object_id: str
    tenant: str
    details: str
    salt: str
    previous_hash: bytes
    row_hash: bytes


class SealedRow(NamedTuple):
    """A row whose content stays with its owner: its hash stands in for it, so that the chain can be followed."""

    position: int
    content_hash: bytes
    previous_hash: bytes
    row_hash: bytes


class ChainPoint(NamedTuple):
    """A position and the hash of its row; (0, GENESIS) is where the chain begins."""

    position: int
    row_hash: bytes


class Claim(NamedTuple):
    """That the row at `position` has this hash, as `source` says; `is_outside`: it was not kept in the database."""

    position: int
    row_hash: bytes
    source: str
    is_outside: bool = False


@dataclass(frozen=True)
class Breach:
    """What is wrong with the positions `first` to `last`, both included; 0: with the log as a whole."""

    kind: BreachKind
    first: int
    last: int
    text: str

    def __str__(self) -> str:
        if self.last == 0:
            return f"{self.kind}: {self.text}"
        place = f"position {self.first}" if self.first == self.last else f"positions {self.first} to {self.last}"
        return f"{place}: {self.kind}: {self.text}"


def content_hash(row: AuditRow) -> bytes:
    """SHA-256 of the row without its hashes: each field is its length (32 bits, big-endian) and its bytes in UTF-8."""
    digest = hashlib.sha256()
    fields = (
        _DOMAIN,
        b"%d" % row.position,
        b"%d" % row.at_us,
        row.actor.encode(),
        row.action.encode(),
        row.object_type.encode(),
        row.object_id.encode(),
        row.tenant.encode(),
        row.details.encode(),
        row.salt.encode(),
    )
    digest.update(b"".join([len(field).to_bytes(4, "big") + field for field in fields]))
    return digest.digest()


def row_hash(previous: bytes, content: bytes) -> bytes:
    """SHA-256 of the previous row's hash and this row's content hash, 64 bytes together."""
    return hashlib.sha256(previous + content).digest()


def follow(
    rows: Iterable[AuditRow | SealedRow], start: ChainPoint, claims: Iterable[Claim] = ()
) -> Iterator[tuple[ChainPoint, list[Breach]]]:
    """Each row's point with what is wrong there, rows being those after `start` in the order they are stored in.

    A last item has the point that the chain ends at and what the claims say of rows behind it. `claims` ascend by
    position. Holds one row at a time. A breach does not spread: the next row is compared with what is stored, not
    with what should be.
    """
    last = start
    claimed = _Claims(claims, start)
    if wrong := claimed.at(start):
        yield start, wrong
    for row in rows:
        point = ChainPoint(row.position, row.row_hash)
        yield point, _wrong(row, last) + claimed.at(point)
        last = point if _is_after(point, last) else last
    yield last, claimed.behind(last)


class _Claims:
    """Claims in step with the chain. Of those that disagree, the first says it: later ones cannot agree.

    What lies between a disagreement and the last agreement may have been written anew. A copy from outside counts from
    the last such copy: the heads in the database can have been written anew as well.
    """

    def __init__(self, claims: Iterable[Claim], start: ChainPoint) -> None:
        self._waiting = iter(claims)
        self._next = next(self._waiting, None)
        self._agreed = {False: start.position, True: start.position}
        self._disagreed: set[bool] = set()

    def at(self, point: ChainPoint) -> list[Breach]:
        found: list[Breach] = []
        agreed = dict(self._agreed)
        while self._next is not None and point.position is not None and self._next.position <= point.position:
            claim, self._next = self._next, next(self._waiting, None)
            if claim.position < point.position:
                continue  # before the start, or of a row that is missing, which is said
            if claim.row_hash == point.row_hash:
                self._agreed |= {False: claim.position, claim.is_outside: claim.position}
            elif claim.is_outside not in self._disagreed:
                self._disagreed.add(claim.is_outside)
                first = min(agreed[claim.is_outside] + 1, claim.position)
                text = f"{claim.source} has another hash of row {claim.position}: written anew since"
                found.append(Breach("changed", first, claim.position, text))
        return found

    def behind(self, last: ChainPoint) -> list[Breach]:
        claim = self._next
        if claim is None:
            return []
        farthest = max([claim, *self._waiting])
        text = f"{claim.source} has row {claim.position}, and the log ends at {last.position}"
        return [Breach("removed", last.position + 1, farthest.position, text)]


def _wrong(row: AuditRow | SealedRow, last: ChainPoint) -> list[Breach]:
    place, expected = row.position, last.position + 1
    if place is None:
        return [Breach("inserted", last.position, last.position, "a row without a position is behind it")]
    found: list[Breach] = []
    if place > expected:
        gone = "a row is missing" if place == expected + 1 else "rows are missing"
        found.append(Breach("removed", expected, place - 1, f"{gone} before position {place}"))
    elif place == last.position:
        found.append(Breach("inserted", place, place, "a second row has this position"))
    elif place < last.position:
        found.append(Breach("reordered", place, place, f"it comes after position {last.position}"))
    content = row.content_hash if isinstance(row, SealedRow) else _content(row)
    if content is None or row.previous_hash is None or row_hash(row.previous_hash, content) != row.row_hash:
        found.append(Breach("changed", place, place, "its hash is not that of its columns"))
    elif place == expected and row.previous_hash != last.row_hash:
        text = f"row {place} was written after another row {last.position} than the one that is there"
        found.append(Breach("changed", max(last.position, 1), place, text))
    return found


def _is_after(point: ChainPoint, last: ChainPoint) -> bool:
    return point.position is not None and point.position > last.position


def _content(row: AuditRow) -> bytes | None:
    try:
        return content_hash(row)
    except (AttributeError, TypeError, UnicodeEncodeError):  # a null, or half of a surrogate pair
        return None
