"""Proving an erasure later: what a receipt says, held against the database, the archive and every key there is."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from lah_platform.compliance.signing import Signer
from lah_platform.errors import ArchiveError, LahError, Unreadable
from lah_platform.privacy.cipher import open_text
from lah_platform.privacy.ciphertexts import Ciphertext, ciphertexts
from lah_platform.privacy.receipts import opened
from lah_platform.privacy.subjects import Person
from lah_platform.stores.erasure_reach import cold_rows_of
from lah_platform.stores.keyring import KeyRing
from lah_platform.stores.postgres import Connection
from lah_platform.stores.queries import queries
from lah_platform.stores.subjects import hmac_of, subjects_by_id

__all__ = ["Finding", "verify"]

_Q = queries("rights")
_ROWS = 200  # of PostgreSQL, and as many of each file of the archive
_TRIES = 50_000  # of other subjects' keys, a second's work


@dataclass(frozen=True)
class Finding:
    """One thing that was checked."""

    check: str
    passed: bool
    detail: str


def verify(
    connection: Connection,
    ring: KeyRing | None,
    document: Any,
    *,
    signer: Signer,
    archive_dir: Path | None,
    identifier: str | None = None,
    tenant: str = "*",
) -> list[Finding]:
    """What of an erasure receipt is true now. `tenant`: whose receipts the asker may have ('*': anyone's).

    Stops at a receipt that is not to be believed. `identifier`: the person's, when the asker knows it.
    """
    receipt = opened(document, keys=[signer.public_key])
    if isinstance(receipt, str):
        return [Finding("signature", False, receipt)]
    said = receipt.receipt
    if said.get("kind") != "erasure" or tenant not in ("*", said["tenant"]):
        return [Finding("signature", False, "it is no erasure receipt of this tenant's")]
    found = [Finding("signature", True, f"signed by key {signer.key_id} and unaltered")]
    subject_id, hmac = UUID(said["subject_id"]), bytes.fromhex(said["identifier_hmac"])
    whose = {"tenant": said["tenant"], "subject_id": subject_id, "hmac": hmac}
    by_id, by_hmac, tombstone = connection.execute(_Q["standing_of"], whose).fetchone() or (True, True, False)
    found += [
        Finding("no key", not by_id, "a key of this subject is held" if by_id else "no key of this subject is held"),
        Finding("no link", not by_hmac, "the HMAC leads to a subject" if by_hmac else "the HMAC leads to nobody"),
        Finding("tombstone", tombstone, "it is there" if tombstone else "it is missing: late events would link again"),
    ]
    if identifier is not None and ring is not None:
        is_his = hmac_of(connection, ring, Person(said["tenant"], identifier)) == hmac
        detail = "its HMAC is the receipt's" if is_his else "the receipt is about somebody else"
        found.append(Finding("identifier", is_his, detail))
    found.append(_unreadable(connection, ring, said, subject_id, archive_dir))
    return found


def _unreadable(
    connection: Connection, ring: KeyRing | None, said: Any, subject_id: UUID, archive_dir: Path | None
) -> Finding:
    try:
        texts = list(_ciphertexts(connection, said, subject_id, archive_dir))
    except ArchiveError as error:
        return Finding("ciphertexts", False, f"{error}")
    if ring is None:
        return Finding("ciphertexts", not texts, "encryption is off: no key is held")
    keys = list(_keys(connection, ring, said["tenant"], len(texts)))
    opened_by = [ref for each in texts for ref, key in keys if _opens(key, each)]
    if opened_by:
        return Finding("ciphertexts", False, f"key {opened_by[0]} opens a text of this subject's")
    return Finding("ciphertexts", True, f"{len(texts)} texts of this subject's rows open with none of {len(keys)} keys")


def _keys(connection: Connection, ring: KeyRing, tenant: str, texts: int) -> Iterator[tuple[str, bytes]]:
    """Keys of the tenant and of its subjects, as far as they open."""
    for (key_id,) in connection.execute(_Q["keys_of_tenant"], {"tenant": tenant}).fetchall():
        try:
            yield f"{key_id}", ring.by_id(connection, key_id)
        except LahError:
            continue  # of a master key that is not held: it opens nothing here
    if texts:
        asked = {"tenant": tenant, "limit": max(10, _TRIES // texts)}
        ids = [subject_id for (subject_id,) in connection.execute(_Q["subjects_of_tenant"], asked)]
        for subject_id, known in subjects_by_id(connection, ring, tenant, ids).items():
            yield f"of subject {subject_id}", known.key


def _opens(key: bytes, text: Ciphertext) -> bool:
    try:
        open_text(key, text.text, text.bound_to)
    except Unreadable:
        return False
    return True


def _ciphertexts(connection: Connection, said: Any, subject_id: UUID, archive_dir: Path | None) -> Iterator[Ciphertext]:
    """Encrypted texts under the subject's own key, of a sample of its rows wherever they lie."""
    own = f"s{subject_id.hex}"
    asked = {"tenant": said["tenant"], "subject_id": subject_id, "limit": _ROWS}
    rows: Sequence[tuple[Any, ...]] = connection.execute(_Q["sample_of_rows"], asked).fetchall()
    cold = cold_rows_of(connection, archive_dir, said["tenant"], subject_id, _ROWS)
    for event_id, tags, payload in [*rows, *cold]:
        texts = ciphertexts(said["tenant"], UUID(f"{event_id}"), json.loads(tags), json.loads(payload))
        yield from (each for each in texts if each.key_ref == own)
