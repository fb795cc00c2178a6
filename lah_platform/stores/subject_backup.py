"""The subjects' own backup: who is who and their keys, in a file that is encrypted, expires, and honours erasures.

A file begins with a line of JSON: what it is, until when it may be restored, and its key as the master key wraps it.
Blocks follow, each its length and AES-256-GCM of compressed lines of JSON; each is bound to the first line and to its
own place, so that neither the expiry can be put off nor a block left out.
"""

import hashlib
import json
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO
from uuid import uuid4

from lah_platform.errors import ConfigurationError
from lah_platform.privacy.cipher import new_key, open_bytes, seal_bytes
from lah_platform.stores.audit import record
from lah_platform.stores.keyring import KeyRing
from lah_platform.stores.postgres import Connection
from lah_platform.stores.queries import queries
from lah_platform.stores.subjects import next_epoch

__all__ = ["Backup", "backup_subjects", "restore_subjects"]

_Q = queries("subject_backup")
_BLOCK_ROWS = 5_000
_LENGTH = struct.Struct(">I")
_CONTEXT = "backup of subjects"
_TABLES = ("encryption_keys", "subjects", "subject_tombstones")


@dataclass(frozen=True)
class Backup:
    """A backup: until when it may be restored (UTC), and how many subjects it holds."""

    backup_id: str
    expires_at: datetime
    subjects: int


def backup_subjects(
    connection: Connection, ring: KeyRing, path: Path, *, life: timedelta, now: datetime, actor: str
) -> Backup:
    """Write the subjects, their tenants' keys and the tombstones to a new file, as of one moment.

    Raises FileExistsError when the file is there.
    """
    key, backup_id = new_key(), f"{uuid4()}"
    path.touch(mode=0o600, exist_ok=False)
    digest = hashlib.sha256()
    try:
        with connection.transaction():
            connection.execute(b"set transaction isolation level repeatable read")
            (subjects,) = connection.execute(_Q["count"]).fetchone() or (0,)
            header = {
                "kind": _CONTEXT,
                "version": 1,
                "backup_id": backup_id,
                "made_at": now.isoformat(),
                "expires_at": (now + life).isoformat(),
                "subjects": subjects,
                "wrapped_key": ring.master.wrap(key, _CONTEXT).hex(),
                "wrapped_by": ring.master.current,
            }
            with path.open("wb") as file:
                for part in _parts(connection, key, json.dumps(header).encode() + b"\n"):
                    file.write(part)
                    digest.update(part)
        with connection.transaction():
            values = {"backup_id": backup_id, "made_at": now, "expires_at": now + life, "actor": actor}
            connection.execute(_Q["record"], {**values, "subjects": subjects, "sha256": digest.hexdigest()})
            details = {"subjects": subjects, "expires_at": header["expires_at"], "sha256": digest.hexdigest()}
            record(connection, actor, "back up", "subjects", backup_id, "*", details)
    except BaseException:
        path.unlink()  # a backup that no receipt would name
        raise
    return Backup(backup_id, now + life, subjects)


def restore_subjects(connection: Connection, ring: KeyRing, path: Path, *, now: datetime, actor: str) -> int:
    """Bring back the subjects of a backup that are missing, except erased ones; returns how many came back.

    Tombstones of the backup come back too; of two erasures the earlier counts. Raises ConfigurationError when the file
    is none, has expired or ends too early, Unreadable when it was changed or another master key wrapped its key.
    """
    with path.open("rb") as file:
        line = file.readline()
        header = _header(line)
        if now >= datetime.fromisoformat(header["expires_at"]):
            raise ConfigurationError(f"The backup expired at {header['expires_at']}", "Delete the file")
        key = ring.master.unwrap(bytes.fromhex(header["wrapped_key"]), header["wrapped_by"], _CONTEXT)
        with connection.transaction():
            next_epoch(connection)
            for table in _TABLES:
                connection.execute(_Q[f"stage_{table}"])
            for table, rows in _blocks(file, key, line):
                connection.execute(_Q[f"add_{table}"], {"rows": json.dumps(rows)})
            connection.execute(_Q["restore_tombstones"])
            connection.execute(_Q["restore_keys"])
            restored = connection.execute(_Q["restore_subjects"]).rowcount
            record(connection, actor, "restore", "subjects", header["backup_id"], "*", {"subjects": restored})
    ring.forget()
    return restored


def _parts(connection: Connection, key: bytes, line: bytes) -> Iterator[bytes]:
    yield line
    number = 0
    for table in _TABLES:
        with connection.cursor(f"backup_{table}") as cursor:
            cursor.itersize = _BLOCK_ROWS
            cursor.execute(_Q[f"read_{table}"])
            while rows := cursor.fetchmany(_BLOCK_ROWS):
                yield _sealed(key, line, number, {"table": table, "rows": [row for (row,) in rows]})
                number += 1
    yield _sealed(key, line, number, {"table": None, "rows": []})


def _sealed(key: bytes, line: bytes, number: int, content: Any) -> bytes:
    body = seal_bytes(key, zlib.compress(json.dumps(content).encode()), _bound(line, number))
    return _LENGTH.pack(len(body)) + body


def _blocks(file: BinaryIO, key: bytes, line: bytes) -> Iterator[tuple[str, list[Any]]]:
    number = 0
    while True:
        size = file.read(_LENGTH.size)
        body = file.read(_LENGTH.unpack(size)[0]) if len(size) == _LENGTH.size else b""
        if not body:
            raise ConfigurationError("The backup ends too early", "Use another copy of the file")
        content = json.loads(zlib.decompress(open_bytes(key, body, _bound(line, number))))
        if content["table"] is None:
            return
        yield content["table"], content["rows"]
        number += 1


def _bound(line: bytes, number: int) -> bytes:
    return hashlib.sha256(line).digest() + _LENGTH.pack(number)


def _header(line: bytes) -> dict[str, Any]:
    try:
        header = json.loads(line)
        if header["kind"] == _CONTEXT and header["version"] == 1:
            return dict(header)
    except (ValueError, KeyError, TypeError):
        pass
    raise ConfigurationError("The file is no backup of subjects", "Name one that `lah subject backup` wrote")
