"""`lah report schedules`, `lah report deliveries`, `lah access-review`: what is planned, sent and configured."""

from datetime import UTC, datetime
from pathlib import Path

from lah_platform.compliance.detached import ReportKey
from lah_platform.stores.deliveries import ask_delivery, list_deliveries
from lah_platform.stores.postgres import Connection
from lah_platform.stores.report_runs import write_report
from tests.cli.running import lah

_NOW = datetime(2026, 3, 2, 6, tzinfo=UTC)


def test_a_document_is_planned_sent_and_listed(database: str, connection: Connection, tmp_path: Path) -> None:
    plan = tmp_path / "plan.yaml"
    plan.write_text(
        "targets: {there: {webhook_from: NO_SUCH_HOOK}}\n"
        "schedules: {board: {reports: [soc2], period: month, cron: '0 6 1 * *', deliver: [there]}}"
    )
    planned = lah(database, tmp_path, "report", "schedules", LAH_REPORT_SCHEDULES=str(plan)).stdout
    assert "board: soc2, every last month, at '0 6 1 * *' UTC -> there (pdf, json, signature)" in planned
    assert "not set here: NO_SUCH_HOOK" in planned
    report_id = write_report(
        connection,
        ReportKey("soc2", "*", "*", "2026-02-01", "2026-03-01"),
        revision=1,
        supersedes=None,
        changes=[],
        content={},
        documents={"json": b"{}"},
        generated_at=_NOW,
        requested_by="test",
    )
    ask_delivery(connection, report_id, ["json"], target="there", kind="webhook", now=_NOW)
    sent = lah(database, tmp_path, "report", "deliveries", "send", LAH_REPORT_SCHEDULES=str(plan))
    assert sent.stdout == "0 arrived, 1 did not\n", sent.stderr
    (found,) = list_deliveries(connection)
    listed = lah(database, tmp_path, "report", "deliveries", "list", "--missing").stdout
    assert f"{found.delivery_id} waiting" in listed
    assert "soc2 json to webhook there: NO_SUCH_HOOK is not set in the environment" in listed


def test_what_is_configured_is_written_as_a_page(database: str, tmp_path: Path) -> None:
    page = tmp_path / "review.html"
    told = lah(database, tmp_path, "access-review", "--out", f"{page}")
    assert "5 tables" in told.stdout, told.stderr
    assert "<h1>Access review</h1>" in page.read_text()
