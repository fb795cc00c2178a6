"""A period of the audit log, handed to somebody who has no database: what is in the file, what verifying it finds."""

import json
import random
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lah_platform.compliance.audit_export import Exported, Format, instant, microseconds
from lah_platform.compliance.audit_heads import SignedHead, sign_head
from lah_platform.compliance.signing import Signer
from lah_platform.errors import AuditError
from lah_platform.settings import PROJECT_ROOT
from lah_platform.stores.audit_export import export_log, manifest_path, verify_file
from lah_platform.stores.audit_heads import sign_new_head
from lah_platform.stores.audit_verify import Findings
from lah_platform.stores.postgres import Connection
from tests.audit_rows import write_past

_NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)
_SIGNER = Signer("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")
_OTHERS = Signer("AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=")
_KEYS = frozenset({_SIGNER.public_key})
_DAY = datetime(2026, 3, 4, tzinfo=UTC)
_SECRET = 'quarterly,\r\n"figures" é☃'


@pytest.fixture
def log(connection: Connection) -> Connection:
    """Ten rows, an hour apart, of two tenants in turn; the fifth and the last are signed."""
    entries = [
        {"at": _DAY + timedelta(hours=hour), "tenant": ("acme", "globex")[hour % 2], "actor": _SECRET,
         "details": json.dumps({"text": _SECRET, "n": hour / 3})}
        for hour in range(10)
    ]  # fmt: skip
    write_past(connection, entries[:5])
    assert sign_new_head(connection, _SIGNER, _NOW) is not None
    write_past(connection, entries)  # the same rows with other salts: the head of the fifth no longer fits
    return connection


def _export(log: Connection, path: Path, kind: Format = "jsonl", tenant: str = "*", **period: datetime) -> Exported:
    start, end = period.get("start"), period.get("end")
    return export_log(log, path, start=start, end=end, kind=kind, signer=_SIGNER, now=_NOW, tenant=tenant)


def _places(found: Findings) -> list[tuple[str, int, int]]:
    return [(breach.kind, breach.first, breach.last) for breach in found.breaches]


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
@pytest.mark.parametrize("tenant", ["*", "acme"])
def test_an_export_verifies_by_itself_and_shows_a_tenant_nothing_of_others(
    log: Connection, tmp_path: Path, kind: Format, tenant: str
) -> None:
    path = tmp_path / f"log.{kind}"
    made = _export(log, path, kind, tenant, start=_DAY + timedelta(hours=6), end=_DAY + timedelta(hours=9))
    assert (made.rows, made.whole_rows) == (3, 3 if tenant == "*" else 2)
    found = verify_file(path, keys=_KEYS)
    assert (found.breaches, found.rows, found.last.position) == ([], 3, 9)
    manifest = json.loads(manifest_path(path).read_text())
    assert (manifest["first_position"], manifest["last_position"], manifest["tenant"]) == (7, 9, tenant)
    assert ("globex" in path.read_text()) == (tenant == "*")
    salt = log.execute("select salt::text from audit_log where position = 8").fetchone()
    assert salt is not None
    assert (salt[0] in path.read_text()) == (tenant == "*")


def test_an_export_that_holds_a_head_and_copies_from_outside_must_agree_with_them(
    log: Connection, tmp_path: Path
) -> None:
    path = tmp_path / "log.jsonl"
    _export(log, path)
    assert _places(verify_file(path, keys=_KEYS)) == [("changed", 1, 5)]  # what was signed was not this
    row_hash = log.execute("select encode(row_hash, 'hex') from audit_log where position = 7").fetchone()
    assert row_hash is not None
    good = sign_head(_SIGNER, 7, row_hash[0], _NOW)
    later = sign_head(_SIGNER, 30, row_hash[0], _NOW)
    bad = sign_head(_SIGNER, 8, row_hash[0], _NOW)
    path = tmp_path / "part.jsonl"
    _export(log, path, start=_DAY + timedelta(hours=5))
    outside: list[tuple[str, SignedHead]] = [("heads.jsonl", good), ("heads.jsonl", later)]
    assert verify_file(path, anchors=outside, keys=_KEYS).breaches == []
    assert _places(verify_file(path, anchors=[*outside, ("heads.jsonl", bad)], keys=_KEYS)) == [("changed", 8, 8)]


def test_an_empty_period_is_an_export_too(log: Connection, tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    assert _export(log, path, end=datetime(2020, 1, 1, tzinfo=UTC)).rows == 0
    assert verify_file(path, keys=_KEYS).breaches == []


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_any_changed_bit_of_file_or_manifest_is_found(log: Connection, tmp_path: Path, kind: Format) -> None:
    path = tmp_path / f"log.{kind}"
    _export(log, path, kind, "acme", start=_DAY + timedelta(hours=5))
    assert verify_file(path, keys=_KEYS).is_whole
    draw = random.Random(7)
    for target in [path] * 60 + [manifest_path(path)] * 90:
        whole = target.read_bytes()
        place = draw.randrange(len(whole))
        target.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << draw.randrange(8)]) + whole[place + 1 :])
        changed = whole.splitlines()[whole[:place].count(b"\n")]
        try:
            is_whole = verify_file(path, keys=_KEYS).is_whole
        except AuditError:
            is_whole = False
        # the manifest is JSON for people: white space in it says nothing
        is_same = target != path and _same(whole, target.read_bytes())
        assert not is_whole or is_same, changed
        target.write_bytes(whole)


def _same(one: bytes, other: bytes) -> bool:
    try:
        return bool(json.loads(one) == json.loads(other))
    except ValueError:
        return False


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([0, 1, 3, 4], ("removed", 8, 8)),
        ([0, 1, 2, 3], ("removed", 10, 10)),
        ([0, 2, 1, 3, 4], ("removed", 7, 7)),
        ([0, 1, 1, 2, 3, 4], ("inserted", 7, 7)),
        ([1, 2, 3, 4], ("removed", 6, 6)),
        ([], ("removed", 6, 10)),
    ],
)
def test_lines_that_are_missing_moved_or_doubled_are_located(
    log: Connection, tmp_path: Path, lines: list[int], expected: tuple[str, int, int]
) -> None:
    path = tmp_path / "log.jsonl"
    _export(log, path, start=_DAY + timedelta(hours=5))
    there = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(there[line] for line in lines))
    found = _places(verify_file(path, keys=_KEYS))
    assert found[0] == expected


def test_a_manifest_made_by_somebody_else_is_told(log: Connection, tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    export_log(log, path, start=_DAY + timedelta(hours=5), end=None, kind="jsonl", signer=_OTHERS, now=_NOW)
    assert verify_file(path).is_whole  # nobody said whose key it should be
    assert [str(each) for each in verify_file(path, keys=_KEYS).breaches] == [
        f"forged_head: the manifest is signed by key {_OTHERS.key_id}, which is none of those given"
    ]
    manifest_path(path).unlink()
    with pytest.raises(AuditError, match="no manifest"):
        verify_file(path)


def test_instants_keep_their_microseconds_whenever_they_are() -> None:
    for at_us in (0, 1, -1, 1_772_582_400_000_001, 253_402_300_799_999_999):
        assert microseconds(instant(at_us)) == at_us


def test_the_page_recomputes_an_export_by_hand_and_stops_at_what_was_changed(log: Connection, tmp_path: Path) -> None:
    page = (PROJECT_ROOT / "docs" / "audit.md").read_text(encoding="utf-8")
    (script,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    path = tmp_path / "log.jsonl"
    made = _export(log, path, tenant="acme", start=_DAY + timedelta(hours=2))
    assert made.end is not None

    def by_hand() -> str:
        ran = subprocess.run(
            [sys.executable, "-", str(path)], input=script, capture_output=True, text=True, check=False
        )
        return (ran.stdout + ran.stderr).strip()

    assert by_hand() == f"whole up to ({made.end.position + 1}, '{made.end.row_hash.hex()}')"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:3] + lines[4:]))
    assert by_hand() == "position 7: it does not follow on the row before"
    path.write_text("".join([*lines[:4], lines[4].replace("figures", "Figures"), *lines[5:]]))
    assert by_hand() == "position 7: its hash is not that of its columns"
