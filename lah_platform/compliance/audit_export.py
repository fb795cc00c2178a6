"""A period of the audit log as a file that is verified without a database: JSON Lines or CSV, and a signed manifest.

A tenant's export has its own rows whole and everybody else's sealed: their hashes alone, so that the chain can be
followed over them. Belongs here: lines, manifest, reading them back. Does not: the database, checking the chain.
"""

import csv
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Literal, TextIO

from lah_platform.compliance.audit_chain import AuditRow, ChainPoint, SealedRow, content_hash
from lah_platform.compliance.signing import Signature, Signer, canonical_json, is_signed_by
from lah_platform.errors import AuditError

__all__ = ["KIND", "Exported", "Format", "instant", "manifest_of", "microseconds", "read_manifest", "read_rows", "seal"]

KIND: Final = "lah-audit-export-1"
Format = Literal["jsonl", "csv"]

_WHOLE: Final = ("position", "at", "actor", "action", "object_type", "object_id", "tenant", "details", "salt")
_HASHES: Final = ("previous_hash", "row_hash")
_COLUMNS: Final = (*_WHOLE, "content_hash", *_HASHES)
_LONGEST_FIELD: Final = 1 << 30  # PostgreSQL's own; Python's is 131,072
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass
class Exported:
    """What was written: rows of the log, how many of them whole, from which point to which, SHA-256 of the file."""

    rows: int = 0
    whole_rows: int = 0
    start: ChainPoint | None = None
    end: ChainPoint | None = None
    digest: Any = field(default_factory=hashlib.sha256, repr=False)

    def write(self, rows: Iterable[AuditRow | SealedRow], kind: Format, to: Callable[[bytes], object]) -> None:
        """Encode the rows one by one; `to` takes the bytes."""

        def write(text: str) -> None:
            data = text.encode()
            self.digest.update(data)
            to(data)

        table = csv.writer(_Writing(write), lineterminator="\r\n")
        if kind == "csv":
            table.writerow(_COLUMNS)
        for row in rows:
            if self.start is None:
                self.start = ChainPoint(row.position - 1, row.previous_hash)
            self.end = ChainPoint(row.position, row.row_hash)
            self.rows += 1
            self.whole_rows += isinstance(row, AuditRow)
            said = _said(row)
            if kind == "csv":
                table.writerow([said.get(name, "") for name in _COLUMNS])
            else:
                write(json.dumps(said, ensure_ascii=False) + "\n")


class _Writing:
    def __init__(self, write: Callable[[str], None]) -> None:
        self.write = write


def seal(row: AuditRow) -> SealedRow:
    """The row without what it says. Its salt stays behind, so that no guess of the content can be tried."""
    return SealedRow(row.position, content_hash(row), row.previous_hash, row.row_hash)


def manifest_of(
    exported: Exported, signer: Signer, *, file: str, kind: Format, said: Mapping[str, Any], heads: Iterable[Any]
) -> dict[str, Any]:
    """The manifest, signed: what the file holds, from which hash to which. `said`: the period, whose rows, when."""
    start, end = exported.start, exported.end
    content: dict[str, Any] = {
        "kind": KIND,
        "file": file,
        "format": kind,
        "sha256": exported.digest.hexdigest(),
        "rows": exported.rows,
        "whole_rows": exported.whole_rows,
        "first_position": start.position + 1 if start else None,
        "last_position": end.position if end else None,
        "previous_hash": start.row_hash.hex() if start else None,
        "row_hash": end.row_hash.hex() if end else None,
        "heads": list(heads),
        "public_key": signer.public_key,
        **said,
    }
    return content | {"signature": signer.sign(canonical_json(content)).signature}


def read_manifest(path: Path) -> tuple[dict[str, Any], Signature, bool]:
    """The manifest, its signature, and whether that holds. Raises AuditError when the file is no manifest."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["kind"] != KIND:
            raise ValueError("it is of another kind")
        signature = Signature(content["public_key"], content.pop("signature"))
        return content, signature, is_signed_by(signature, canonical_json(content))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise AuditError(
            f"{path} is no manifest of an audit export ({error})",
            "Keep it beside the file that `lah audit export` wrote",
        ) from error


def read_rows(lines: TextIO, kind: str) -> Iterator[AuditRow | SealedRow]:
    """The rows of an export in the order of the file. Raises AuditError for a line that is none."""
    csv.field_size_limit(_LONGEST_FIELD)
    read: Iterator[Mapping[str, Any]] = csv.DictReader(lines) if kind == "csv" else map(json.loads, lines)
    number = 0
    try:
        for said in read:
            yield _row(said)
            number += 1
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, csv.Error) as error:
        raise AuditError(
            f"Row {number + 1} of the file is no row of an audit export ({error})", "Export the period again"
        ) from error


def microseconds(text: str) -> int:
    """Microseconds since 1970 of an instant like 2026-03-04T05:06:07.000000Z."""
    return (datetime.fromisoformat(text) - _EPOCH) // timedelta(microseconds=1)


def instant(at_us: int) -> str:
    """The instant as `microseconds` reads it."""
    at = _EPOCH + timedelta(microseconds=at_us)
    return at.isoformat(timespec="microseconds").replace("+00:00", "Z")


def _said(row: AuditRow | SealedRow) -> dict[str, Any]:
    hashes = {"previous_hash": row.previous_hash.hex(), "row_hash": row.row_hash.hex()}
    if isinstance(row, SealedRow):
        return {"position": row.position, "content_hash": row.content_hash.hex(), **hashes}
    whole = (row.position, instant(row.at_us), *row[2:9])
    return dict(zip(_WHOLE, whole, strict=True)) | hashes


def _row(said: Mapping[str, Any]) -> AuditRow | SealedRow:
    position = int(said["position"])
    previous, own = (bytes.fromhex(said[name]) for name in _HASHES)
    if said.get("content_hash"):
        return SealedRow(position, bytes.fromhex(said["content_hash"]), previous, own)
    texts = [said[name] for name in _WHOLE[2:]]
    if not all(isinstance(text, str) for text in texts):
        raise ValueError("a column is no text")
    return AuditRow._make((position, microseconds(said["at"]), *texts, previous, own))
