"""Everything about a person, handed out: JSON and CSV files with a manifest, written as they are read.

The right of access and of data portability (GDPR articles 15 and 20). Other persons in the same events stay behind
their subject_ids. Each export is a line in the audit log and a row of subject_requests.
"""

import csv
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from psycopg import sql
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from lah_platform.privacy.ciphertexts import in_the_clear
from lah_platform.privacy.mentions import is_distinct
from lah_platform.privacy.subjects import Person
from lah_platform.stores.archive import event_columns
from lah_platform.stores.audit import record
from lah_platform.stores.consents import collect_consents, consents_of
from lah_platform.stores.erasure import erasures, person_of
from lah_platform.stores.erasure_reach import cold_events, letters_naming
from lah_platform.stores.keyring import KeyRing
from lah_platform.stores.postgres import Connection
from lah_platform.stores.queries import queries
from lah_platform.stores.subjects import KnownSubject, hmac_of, subject_of_person, subjects_by_id

__all__ = ["Exported", "export_subject"]

_Q = queries("rights")
_BATCH_ROWS = 5_000
_Row = Mapping[str, Any]


@dataclass(frozen=True)
class Exported:
    """What was written: the folder and its manifest."""

    folder: Path
    manifest: Mapping[str, Any]


def export_subject(
    connection: Connection,
    ring: KeyRing,
    tenant: str,
    asked: str,
    folder: Path,
    *,
    now: datetime,
    actor: str,
    archive_dir: Path | None,
) -> Exported:
    """Write all that is known of the person that `asked` names, by identifier or subject_id, into a new folder.

    Nothing is known of somebody whose events were never stored; of an erased person, only the erasure. Memory holds a
    few thousand rows. Raises ArchiveError when files of the archive cannot be read, FileExistsError when the folder
    is there already.
    """
    folder.mkdir(parents=True, mode=0o700)
    person = person_of(connection, ring, tenant, asked)
    found = subject_of_person(connection, ring, person)
    collect_consents(connection, now)
    known = None if found is None else subjects_by_id(connection, ring, tenant, [found.subject_id])[found.subject_id]
    consents = [] if known is None else consents_of(connection, tenant, known.subject_id)
    columns = {
        "events": [*event_columns(connection)],
        "consents": ["purpose", "is_granted", "given_at", "source"],
        "dead_letters": ["dead_letter_id", "bytes"],
        "erasures": ["erased_at", "receipt_id"],
    }
    with connection.transaction():
        rows: dict[str, Iterable[_Row]] = {
            "events": _events(connection, tenant, known, archive_dir),
            "consents": consents,
            "dead_letters": _letters(connection, ring, person),
            "erasures": _erasures(connection, ring, person, asked),
        }
        files = [line for name, found in rows.items() for line in _write(folder, name, found, columns[name])]
        manifest = {
            "made_at": now.isoformat(),
            "tenant": tenant,
            "identifier": person.identifier,
            "subject_id": None if known is None else f"{known.subject_id}",
            "first_seen_at": None if known is None else known.created_at.isoformat(),
            "files": files,
            "left_out": _left_out(person),
        }
        (folder / "manifest.json").write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", "utf-8")
        counted = {each["name"].removesuffix(".json"): each["rows"] for each in files if each["name"].endswith(".json")}
        subject_id = None if known is None else known.subject_id
        record(connection, actor, "export", "subject", f"{subject_id or 'nobody'}", tenant, {"rows": counted})
        outcome = "done" if known is not None or counted["erasures"] else "unknown subject"
        request = {"request_id": uuid4(), "tenant": tenant, "kind": "export", "subject_id": subject_id}
        ended = {"requested_at": now, "outcome": outcome, "details": Jsonb({"rows": counted})}
        connection.execute(_Q["note_request"], {**request, **ended, "actor": actor})
    return Exported(folder, manifest)


def _left_out(person: Person) -> list[str]:
    said = [
        "what was sent under other identifiers of the same person",
        "figures that were made of many persons' events",
    ]
    if not is_distinct(person.identifier):
        said.append("dead letters: the identifier is too short to be told from other words")
    return said


def _events(
    connection: Connection, tenant: str, known: KnownSubject | None, archive_dir: Path | None
) -> Iterator[_Row]:
    if known is None:
        return
    whose = {"tenant": tenant, "subject_id": known.subject_id}
    columns = sql.SQL(", ").join(sql.Identifier("e", name) for name in event_columns(connection))
    statement = sql.SQL(_Q["events_of_subject"].decode()).format(columns=columns)
    with connection.cursor("subject_export", row_factory=dict_row) as cursor:
        cursor.itersize = _BATCH_ROWS
        for row in cursor.execute(statement, whose):
            yield _clear(tenant, known, row)
    for row in cold_events(connection, archive_dir, tenant, known.subject_id, _BATCH_ROWS):
        parsed = {**row, **{name: json.loads(row[name]) for name in ("tags", "payload")}}
        yield _clear(tenant, known, parsed)


def _clear(tenant: str, known: KnownSubject, row: _Row) -> _Row:
    event_id = UUID(f"{row['event_id']}")
    who = (known.subject_id, known.key, known.identifier)
    return {
        **row,
        "tags": in_the_clear(tenant, event_id, row["tags"], *who, "tags"),
        "payload": in_the_clear(tenant, event_id, row["payload"], *who),
    }


def _letters(connection: Connection, ring: KeyRing, person: Person) -> Iterator[_Row]:
    if is_distinct(person.identifier):
        for each in letters_naming(connection, ring, person.tenant, person.identifier):
            yield {"dead_letter_id": each.dead_letter_id, "bytes": each.text}


def _erasures(connection: Connection, ring: KeyRing, person: Person, asked: str) -> list[_Row]:
    hmac = hmac_of(connection, ring, person).hex()
    return [
        {"erased_at": each["erased_at"], "receipt_id": each["receipt_id"], "document": each["document"]}
        for each in erasures(connection, person.tenant, limit=1_000_000)
        if asked == each["subject_id"] or (each["document"]["receipt"] or {}).get("identifier_hmac") == hmac
    ]


def _write(folder: Path, name: str, rows: Iterable[_Row], columns: list[str]) -> list[dict[str, Any]]:
    """The rows as a JSON array and as CSV, in one pass; returns both files' lines of the manifest."""
    count = 0
    with (
        (folder / f"{name}.json").open("w", encoding="utf-8") as as_json,
        (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as as_csv,
    ):
        writer: csv.DictWriter[str] | None = None
        as_json.write("[")
        for row in rows:
            if writer is None:
                writer = csv.DictWriter(as_csv, [*row])
                writer.writeheader()
            as_json.write(",\n" if count else "\n")
            as_json.write(json.dumps(row, ensure_ascii=False, default=_text))
            writer.writerow({key: _cell(value) for key, value in row.items()})
            count += 1
        if writer is None:
            csv.writer(as_csv).writerow(columns)
        as_json.write("\n]\n" if count else "]\n")
    return [_line(folder, f"{name}.{ending}", count) for ending in ("json", "csv")]


def _line(folder: Path, name: str, rows: int) -> dict[str, Any]:
    with (folder / name).open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return {"name": name, "rows": rows, "bytes": (folder / name).stat().st_size, "sha256": sha256}


def _text(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else f"{value}"


def _cell(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return json.dumps(value, ensure_ascii=False, default=_text) if isinstance(value, dict | list) else value
