"""Reports are kept as generated, seen by their tenant only, and every one is in a log that cannot be changed."""

from datetime import UTC, datetime
from uuid import UUID

import psycopg
import pytest

from lah_platform.compliance.report import Report, build_report, is_unaltered
from lah_platform.stores.audit import record
from lah_platform.stores.audit_chain import chain_head
from lah_platform.stores.postgres import Connection
from lah_platform.stores.reports import get_report, list_reports, read_inputs, write_report
from tests.compliance.traffic import FROM, TO, fill, made_up

_AT = datetime(2026, 3, 6, 4, 30, tzinfo=UTC)


def _report(connection: Connection, tenant: str = "acme", at: datetime = _AT) -> Report:
    return build_report(read_inputs(connection, tenant=tenant, period_from=FROM, period_to=TO), generated_at=at)


def test_a_report_comes_back_as_it_was_generated(connection: Connection) -> None:
    fill(connection, made_up(6))
    report = _report(connection)

    report_id = write_report(connection, report, requested_by="schedule:weekly")
    stored = get_report(connection, report_id, tenant="acme")

    assert stored is not None
    assert stored.report == report
    assert is_unaltered(stored.report)
    entry = stored.entry
    assert (entry.name, entry.tenant, entry.period_from, entry.period_to) == ("compliance_evidence", "acme", FROM, TO)
    assert (entry.generated_at, entry.requested_by, entry.sha256) == (_AT, "schedule:weekly", report.sha256)


def test_every_report_is_in_the_audit_log_once(connection: Connection) -> None:
    report = _report(connection)

    ids = {write_report(connection, report, requested_by="key:1") for _ in range(2)}

    (report_id,) = ids
    rows = connection.execute(
        "select actor, action, object_type, object_id, tenant, details ->> 'sha256' from audit_log"
        " where object_type = 'report'"
    )
    assert rows.fetchall() == [("key:1", "generate", "report", str(report_id), "acme", report.sha256)]
    assert len(list_reports(connection, tenant="acme")) == 1


def test_a_later_report_of_the_same_period_does_not_replace_the_earlier(connection: Connection) -> None:
    ids = [
        write_report(connection, _report(connection, at=at), requested_by="key:1") for at in (_AT, _AT.replace(hour=5))
    ]

    assert [entry.report_id for entry in list_reports(connection, tenant="acme")] == ids[::-1]


def test_a_tenant_sees_its_own_reports_and_an_operator_sees_all(connection: Connection) -> None:
    mine, other, everyones = (
        write_report(connection, _report(connection, tenant), requested_by="key:1")
        for tenant in ("acme", "globex", "*")
    )

    assert [entry.report_id for entry in list_reports(connection, tenant="acme")] == [mine]
    assert {entry.report_id for entry in list_reports(connection, tenant="*")} == {mine, other, everyones}
    assert list_reports(connection, tenant="*", name="another") == []
    assert get_report(connection, other, tenant="acme") is None
    assert get_report(connection, everyones, tenant="acme") is None
    assert get_report(connection, other, tenant="*") is not None
    assert get_report(connection, UUID(int=0), tenant="*") is None


def test_a_report_that_cannot_be_logged_is_not_kept(connection: Connection) -> None:
    report = _report(connection)
    connection.execute("alter table audit_log add check (actor <> 'nobody')")

    with pytest.raises(psycopg.errors.CheckViolation):
        write_report(connection, report, requested_by="nobody")

    assert list_reports(connection, tenant="*") == []


@pytest.mark.parametrize(
    "tampering",
    [
        "update audit_log set actor = 'somebody else'",
        "delete from audit_log",
        "truncate audit_log",
        "insert into audit_log (position, actor, action, object_type, object_id, tenant)"
        " values (1, 'x', 'x', 'x', 'x', 'x') on conflict (position) do update set actor = 'somebody else'",
    ],
)
def test_the_audit_log_cannot_be_changed(connection: Connection, tampering: str) -> None:
    first = record(connection, "key:1", "create", "api_key", "k1", "acme", {"role": "viewer", "nested": {"is": [True]}})

    with pytest.raises(psycopg.errors.RaiseException, match="append-only"):
        connection.execute(tampering.encode())

    rows = connection.execute(
        "select position, actor, action, object_type, object_id, tenant, details from audit_log"
        " where object_type <> 'schema'"
    )
    details = {"role": "viewer", "nested": {"is": [True]}}
    assert rows.fetchall() == [(first, "key:1", "create", "api_key", "k1", "acme", details)]


def test_an_audited_change_that_is_rolled_back_leaves_no_entry(connection: Connection) -> None:
    before = chain_head(connection)

    with connection.transaction(force_rollback=True):
        record(connection, "key:1", "create", "api_key", "k1", "acme", {})

    assert chain_head(connection) == before
    assert record(connection, "key:1", "create", "api_key", "k1", "acme", {}) == before.position + 1
