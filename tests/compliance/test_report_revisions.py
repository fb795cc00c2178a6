"""A report is published once: made again it is the same bytes; what differs later is a new revision that says so."""

import json
import os
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lah_platform.compliance.detached import FORMATS, ReportKey, detached_record, digest, verify
from lah_platform.compliance.documents.as_html import as_html
from lah_platform.compliance.signing import Signer
from lah_platform.errors import ConfigurationError
from lah_platform.settings import Settings
from lah_platform.stores.audit_chain import chain_head
from lah_platform.stores.postgres import Connection
from lah_platform.stores.report_files import Made, make_reports
from lah_platform.stores.report_runs import find_document, get_report, list_reports
from lah_platform.stores.signing_key import hub_signer
from tests.compliance.traffic import END, FROM, START, Batch, Traffic, fill, one_event
from tests.stores.event_rows import add_event

_NOW = datetime(2026, 3, 6, 4, 30, tzinfo=UTC)
_LAST = date(2026, 3, 4)


def _make(
    connection: Connection, home: Path, *names: str, now: datetime = _NOW, actor: str = "key:1", **asked: Any
) -> list[Made]:
    days = {"start": FROM, "end": _LAST} | asked
    return make_reports(connection, Settings(home=home), names, actor=actor, now=now, **days)


@pytest.fixture
def filled(connection: Connection, database: str) -> Connection:
    messages = [one_event("privacy", START + timedelta(hours=n), number=n, user_consent=n > 0) for n in range(5)]
    fill(connection, database, Traffic([Batch(START, 0, messages)]))
    return connection


def test_a_period_made_again_is_the_stored_revision_byte_for_byte_in_every_format(
    filled: Connection, tmp_path: Path
) -> None:
    first = _make(filled, tmp_path / "a", "gdpr", "executive")
    again = _make(filled, tmp_path / "b", "gdpr", "executive", now=_NOW + timedelta(days=9), actor="somebody else")

    assert [each.is_new for each in first + again] == [True, True, False, False]
    assert [each.run for each in again] == [each.run for each in first]
    for one, other in zip(first, again, strict=True):
        assert set(one.paths) == {*FORMATS, "signature"}
        for name, path in one.paths.items():
            assert path.read_bytes() == other.paths[name].read_bytes() == one.run.documents[name]
    assert len(list_reports(filled, tenant="*")) == 2


def test_the_documents_hold_nothing_of_when_and_by_whom_they_were_made(filled: Connection, tmp_path: Path) -> None:
    (first,) = _make(filled, tmp_path, "gdpr")
    filled.execute("truncate reports cascade")
    (again,) = _make(filled, tmp_path, "gdpr", now=_NOW + timedelta(days=1), actor="somebody else")

    assert {name: first.run.documents[name] for name in FORMATS} == {n: again.run.documents[n] for n in FORMATS}
    records = [json.loads(each.run.documents["signature"]) for each in (first, again)]
    assert [record["generated_at"] for record in records] == ["2026-03-06T04:30:00+00:00", "2026-03-07T04:30:00+00:00"]
    assert [record["requested_by"] for record in records] == ["key:1", "somebody else"]
    places = [record["audit_chain_head"]["position"] for record in records]
    assert places[1] == places[0] + 1  # the first report's own entry


def test_a_figure_that_changed_later_is_a_new_revision_that_says_what_moved(
    filled: Connection, database: str, tmp_path: Path
) -> None:
    first, other = _make(filled, tmp_path, "gdpr", "eu_ai_act")
    late = one_event("privacy", START + timedelta(hours=30), number=99, user_consent=False)
    fill(filled, database, Traffic([Batch(END + timedelta(days=1), 0, [late])]))

    second, again, same = _make(filled, tmp_path, "gdpr", "eu_ai_act", "hipaa", now=_NOW + timedelta(days=1))

    assert (first.run.entry.revision, second.run.entry.revision) == (1, 2)
    assert second.run.entry.supersedes == first.run.entry.report_id
    assert second.run.content["supersedes"] == first.run.entry.sha256 == digest(first.run.documents["json"])
    changes = {(each["control"], each["figure"]): each for each in second.run.entry.changes}
    consent = changes["GDPR-7.1-1", "without consent"]
    assert (consent["old"], consent["new"]) == (1, 2)
    (moved,) = consent["moved"]
    assert (moved["table"], moved["from"]["rows"], moved["to"]["rows"]) == ("events", 5, 6)
    assert second.run.content["changes"] == second.run.entry.changes
    assert (again.run.entry.revision, same.run.entry.revision) == (2, 1)  # its days with events are more now
    assert other.run.entry.revision == 1
    assert first.paths["pdf"] != second.paths["pdf"]
    assert first.paths["pdf"].read_bytes() == first.run.documents["pdf"]
    kept = get_report(filled, first.run.entry.report_id, tenant="*")
    assert kept is not None
    assert kept.documents == first.run.documents
    assert _make(filled, tmp_path, "gdpr")[0].run == second.run


def test_tenants_environments_and_periods_have_revisions_of_their_own(filled: Connection, tmp_path: Path) -> None:
    made = [
        *_make(filled, tmp_path, "gdpr"),
        *_make(filled, tmp_path, "gdpr", tenant="acme"),
        *_make(filled, tmp_path, "gdpr", tenant="a/../c"),
        *_make(filled, tmp_path, "gdpr", environment="production"),
        *_make(filled, tmp_path, "gdpr", end=FROM),
    ]
    assert all(each.is_new and each.run.entry.revision == 1 for each in made)
    paths = {path for each in made for path in each.paths.values()}
    assert len(paths) == 5 * len(made)
    assert {path.parent for path in paths} == {tmp_path / "reports"}
    assert {entry.tenant for entry in list_reports(filled, tenant="acme")} == {"acme"}
    mine = made[1].run.entry.report_id
    assert get_report(filled, mine, tenant="acme") is not None
    assert get_report(filled, mine, tenant="globex") is None
    assert get_report(filled, made[0].run.entry.report_id, tenant="acme") is None
    assert get_report(filled, UUID(int=0), tenant="*") is None


def test_every_revision_is_in_the_audit_log_once_and_one_that_cannot_be_logged_is_not_kept(
    filled: Connection, tmp_path: Path
) -> None:
    (made,) = _make(filled, tmp_path, "gdpr")
    _make(filled, tmp_path, "gdpr")
    rows = filled.execute(
        "select actor, action, object_id, tenant, details ->> 'sha256' from audit_log where object_type = 'report'"
    ).fetchall()
    assert rows == [("key:1", "generate", f"{made.run.entry.report_id}", "*", made.run.entry.sha256)]
    filled.execute("alter table audit_log add check (actor <> 'nobody')")
    with pytest.raises(psycopg.errors.CheckViolation):
        _make(filled, tmp_path, "soc2", actor="nobody")
    assert [entry.name for entry in list_reports(filled, tenant="*")] == ["gdpr"]


def test_a_document_with_one_changed_bit_or_another_signature_is_noticed(filled: Connection, tmp_path: Path) -> None:
    (made,) = _make(filled, tmp_path, "gdpr")
    record = made.paths["signature"].read_bytes()
    key = hub_signer(Settings(home=tmp_path)).public_key
    head = json.loads(record)["audit_chain_head"]
    assert head["row_hash"] != chain_head(filled).row_hash  # the report's own entry came after
    for name in FORMATS:
        body = made.paths[name].read_bytes()
        assert all(verdict.holds for verdict in verify(body, record, public_key=key))
        assert find_document(filled, digest(body)) == (made.run.entry.report_id, name)
        altered = bytes([body[0] ^ 1]) + body[1:]
        assert [verdict.holds for verdict in verify(altered, record, public_key=key)] == [False, True, True]
        assert find_document(filled, digest(altered)) is None
    later = record.replace(b"2026-03-06", b"2026-03-07")
    assert [verdict.holds for verdict in verify(body, later, public_key=key)] == [True, False, True]
    assert [verdict.holds for verdict in verify(body, record, public_key="another")] == [True, True, False]


@given(record=st.binary(max_size=60) | st.sampled_from([b"[]", b"{}", b'{"signature": 1}', b'{"signature": {}}']))
def test_no_record_whatever_its_bytes_verifies_a_document_it_does_not_name(record: bytes) -> None:
    assert not all(verdict.holds for verdict in verify(b"document", record))


def test_a_record_names_each_document_and_is_the_same_for_the_same_facts() -> None:
    signer = Signer("A" * 43 + "=")
    key = ReportKey("soc2", "*", "*", "2026-03-01", "2026-04-01")
    facts: Any = {"generated_at": _NOW, "requested_by": "x", "chain_head": None, "signer": signer}
    one, other = (detached_record(key, 1, {"json": b"{}"}, **facts) for _ in range(2))
    assert one == other
    assert json.loads(one)["documents"]["json"] == {
        "media_type": "application/json",
        "bytes": 2,
        "sha256": digest(b"{}"),
    }


def test_an_unknown_framework_and_an_empty_period_are_refused(connection: Connection, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="No framework is called 'sox'"):
        _make(connection, tmp_path, "sox")
    with pytest.raises(ConfigurationError, match="is empty"):
        _make(connection, tmp_path, "gdpr", end=FROM - timedelta(days=1))


def test_an_empty_hub_passes_nothing_for_lack_of_data(connection: Connection, tmp_path: Path) -> None:
    for made in _make(connection, tmp_path):
        summary = made.run.content["summary"]
        passed = [control["id"] for control in made.run.content["controls"] if control["status"] == "pass"]
        assert summary["not_evidenced"] == summary["controls"] > 0, passed
        assert b"not evidenced" in as_html(made.run.content)


def test_the_command_verifies_a_file_and_ends_with_one_when_it_was_altered(
    filled: Connection, database: str, tmp_path: Path
) -> None:
    add_event(filled, 1, START, tenant="acme")
    (made,) = _make(filled, tmp_path, "gdpr")

    def lah(*arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "LAH_HOME": f"{tmp_path}", "LAH_DATABASE_URL": database}
        command = [sys.executable, "-m", "lah_platform.cli", "report", *arguments]
        return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)

    good = lah("verify", f"{made.paths['pdf']}")
    assert (good.returncode, good.stdout.count("yes"), good.stderr) == (0, 4, "")
    made.paths["csv"].write_bytes(made.paths["csv"].read_bytes() + b"x")
    bad = lah("verify", f"{made.paths['csv']}")
    assert (bad.returncode, bad.stdout.count("NO")) == (1, 2)
