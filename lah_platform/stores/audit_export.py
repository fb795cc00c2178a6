"""A period of the audit log written to a file with its signed manifest, and such a file verified without a database."""

import hashlib
import io
import json
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from lah_platform.compliance.audit_chain import AuditRow, Breach, ChainPoint, Claim, SealedRow
from lah_platform.compliance.audit_export import (
    Exported,
    Format,
    instant,
    manifest_of,
    microseconds,
    read_manifest,
    read_rows,
    seal,
)
from lah_platform.compliance.audit_heads import SignedHead, head_of
from lah_platform.compliance.signing import Signer
from lah_platform.errors import AuditError
from lah_platform.stores.audit_heads import audit_rows, signed_heads
from lah_platform.stores.audit_verify import Findings, check_chain, claims_of, period_of, snapshot
from lah_platform.stores.postgres import Connection

__all__ = ["export_log", "manifest_path", "verify_file"]

_EVERYBODY: Final = "*"


def manifest_path(path: Path) -> Path:
    """Where the manifest of an export lies: beside it."""
    return path.with_name(f"{path.name}.manifest.json")


def export_log(
    connection: Connection,
    path: Path,
    *,
    start: datetime | None,
    end: datetime | None,
    kind: Format,
    signer: Signer,
    now: datetime,
    tenant: str = _EVERYBODY,
) -> Exported:
    """Write the rows of [start, end) (UTC; None: unbounded) and the manifest; in one snapshot, in bounded memory.

    With a `tenant` everybody else's rows are sealed. `connection` must be in autocommit mode.
    """
    exported = Exported()
    partial = path.with_name(f"{path.name}.partial")
    with snapshot(connection), partial.open("wb") as file:
        first, last = period_of(connection, start, end)
        rows: Iterable[AuditRow | SealedRow] = ()
        heads: list[SignedHead] = []
        if first is not None and last is not None:
            rows = _shown(audit_rows(connection, after=first - 1, until=last), tenant)
            heads = list(signed_heads(connection, after=first - 1, until=last))[-1:]
        exported.write(rows, kind, file.write)
    said = {
        "tenant": tenant,
        "from": None if start is None else _text(start),
        "to": None if end is None else _text(end),
        "made_at": _text(now),
    }
    manifest = manifest_of(
        exported, signer, file=path.name, kind=kind, said=said, heads=[head.content() for head in heads]
    )
    text = json.dumps(manifest, indent=2, ensure_ascii=False)
    manifest_path(path).write_text(text + "\n", encoding="utf-8")
    partial.replace(path)
    return exported


def verify_file(
    path: Path,
    *,
    anchors: Iterable[tuple[str, SignedHead]] = (),
    keys: frozenset[str] | None = None,
    on_rows: Callable[[int], object] = lambda _: None,
) -> Findings:
    """Follow the chain over an export: its rows, its manifest, the head in it, and copies of heads from outside.

    Raises AuditError when the file or its manifest cannot be read.
    """
    manifest, signature, holds = read_manifest(manifest_path(path))
    found = Findings(keys={signature.key_id} if holds else set())
    if not holds or (keys is not None and signature.public_key not in keys):
        text = "the manifest's signature is not that of its content"
        if holds:
            text = f"the manifest is signed by key {signature.key_id}, which is none of those given"
        found.breaches.append(Breach("forged_head", 0, 0, text))
    try:
        heads = [("the manifest's head", head_of(head)) for head in manifest["heads"]]
        first, last = manifest["first_position"], manifest["last_position"]
        if type(first) is not type(last) or type(first) not in (int, type(None)):
            raise ValueError("a position")
        claims = claims_of(heads, keys, found, is_outside=True)
        start = ChainPoint(0, b"")
        if first is not None:
            start = ChainPoint(first - 1, bytes.fromhex(manifest["previous_hash"]))
            claims.append(Claim(last, bytes.fromhex(manifest["row_hash"]), "the manifest", True))
        stated, kind = (manifest["sha256"], manifest["rows"]), manifest["format"]
    except (ValueError, KeyError, TypeError) as error:
        raise AuditError(f"The manifest of {path} lacks or misstates {error}", "Export the period again") from error
    outside = [pair for pair in anchors if last is not None and pair[1].position <= last]
    claims += claims_of(outside, keys, found, is_outside=True)
    found.heads, found.anchors = len(heads), len(outside)
    try:
        with path.open("rb") as file:
            hashing = _Hashing(file)
            lines = io.TextIOWrapper(io.BufferedReader(hashing), encoding="utf-8", newline="")
            check_chain(read_rows(lines, kind), start, claims, found, on_rows)
    except (OSError, UnicodeDecodeError) as error:
        raise AuditError(f"{path} cannot be read ({error})", "Export the period again") from error
    if (hashing.digest.hexdigest(), found.rows) != stated and not found.breaches:
        found.breaches.append(Breach("changed", 0, 0, "the file is not the one that the manifest is of"))
    return found


class _Hashing(io.RawIOBase):
    """Reads a file and hashes what is read."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self.digest = hashlib.sha256()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        count = int(self._file.readinto(buffer))
        self.digest.update(memoryview(buffer)[:count])
        return count


def _shown(rows: Iterable[AuditRow], tenant: str) -> Iterator[AuditRow | SealedRow]:
    for row in rows:
        yield row if tenant in (_EVERYBODY, row.tenant) else seal(row)


def _text(at: datetime) -> str:
    return instant(microseconds(at.astimezone(UTC).isoformat()))
