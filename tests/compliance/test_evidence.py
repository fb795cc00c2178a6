"""What reports read: as a role that may only select, in one snapshot; controls with SQL of an officer's own."""

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from psycopg.types.json import Jsonb

from lah_platform.compliance.content import build_content
from lah_platform.compliance.detached import ReportKey
from lah_platform.compliance.evidence import MAX_GROUPS, Reading
from lah_platform.compliance.framework import read_framework
from lah_platform.errors import ConfigurationError
from lah_platform.settings import Settings
from lah_platform.stores.audit import record
from lah_platform.stores.audit_chain import chain_head
from lah_platform.stores.control_files import load_framework
from lah_platform.stores.evidence import read_evidence
from lah_platform.stores.postgres import Connection, connect
from lah_platform.stores.report_files import make_reports
from tests.compliance.test_framework import OWN
from tests.compliance.traffic import END, FROM, START, TO, Batch, Traffic, fill, one_event
from tests.stores.event_rows import add_event

_QUERY = OWN[OWN.index("      select count") : OWN.index("    measure: at_night")]


def _own(sql: str, old: str = "", new: str = "") -> str:
    return OWN.replace(_QUERY, f"      {sql}\n").replace(old or "\0", new)


def _read(connection: Connection, text: str, **more: Any) -> Reading:
    key = ReportKey("x", "acme", "*", f"{FROM}", f"{TO}")
    return read_evidence(connection, [read_framework(text, "own.yaml")], key, retention_days=1, **more)


def _judged(connection: Connection, text: str) -> None:
    reading = _read(connection, text, statement_seconds=0.3)
    build_content(read_framework(text, "x"), reading, ReportKey("x", "a", "*", f"{FROM}", f"{TO}"))


def _named(connection: Connection, name: str, day: datetime = START, tenant: str = "acme") -> Reading:
    key = ReportKey(name, tenant, "*", f"{day.date()}", f"{day.date() + timedelta(days=1)}")
    return read_evidence(connection, [load_framework(name)[0]], key, retention_days=1)


def test_an_officers_control_is_counted_judged_and_published_without_a_line_of_python(
    connection: Connection, database: str, tmp_path: Path
) -> None:
    night, day = START + timedelta(hours=3), START + timedelta(hours=9)
    messages = [one_event("auth", at + timedelta(seconds=n), number=n) for n, at in enumerate([night, day, day, day])]
    fill(connection, database, Traffic([Batch(START, 0, messages)]))
    (tmp_path / "own.yaml").write_text(OWN, encoding="utf-8")

    (made,) = make_reports(
        connection,
        Settings(home=tmp_path, controls_dir=tmp_path),
        ["house_rules"],
        tenant="acme",
        start=FROM,
        end=FROM,
        actor="Ann",
        now=END,
    )

    (control,) = made.run.content["controls"]
    assert (control["status"], control["number"], control["unit"]) == ("fail", "25.0000", "%")
    assert control["figures"] == {"logins": 4, "at_night": 1}
    assert b"Nobody logs in at night" in made.paths["html"].read_bytes()


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("select 1 as at_night, 1 as logins from api_keys where key_hmac is null", "may not be run as lah_reporter"),
        ("select 1 as at_night, 1 as logins from subjects", "may not be run as lah_reporter"),
        ("select 1 as at_night, 1 as logins from dead_letters where raw is null", "may not be run as lah_reporter"),
        ("select 1 as at_night, length(body) as logins from report_documents", "may not be run as lah_reporter"),
        ("select 1 as at_night, length(pg_read_file('/etc/passwd')) as logins", "may not be run as lah_reporter"),
        ("delete from events", "cannot be run"),
        ("with gone as (delete from events returning 1) select 1 as at_night, count(*) as logins from gone", "cannot"),
        ("select 1 as at_night, 1 as logins) q; delete from events; select (1", "cannot be run"),
        ("select 1 as at_night, set_config('role', 'none', true) as logins", "may not be run"),
        ("select 1 as at_night, count(*) as logins from nowhere", "cannot be run: relation"),
        ("select %(nobody)s as at_night, 1 as logins", "cannot be run"),
        ("select 1 as at_night, 1 as logins union all select 2, 2", "returns 2 rows"),
        ("select 1 as at_night", "its query returns no column 'logins'"),
        ("select 'x' as at_night, 1 as logins", "at_night is 'x'"),
        ("select 1 as at_night, 1 as logins, pg_sleep(20)", "takes longer than"),
    ],
)
def test_sql_of_an_officers_own_can_read_evidence_and_do_nothing_else(
    connection: Connection, sql: str, said: str
) -> None:
    add_event(connection, 1, START, tenant="acme", series_id=1)
    with pytest.raises(ConfigurationError) as caught:
        _judged(connection, _own(sql))
    assert "control HOUSE-1, field" in caught.value.message
    assert said in caught.value.message
    assert connection.execute("select count(*) from events").fetchone() == (1,)
    assert connection.execute("select current_user, session_user").fetchall()[0][0] == connection.info.user


def test_the_role_of_reports_reads_what_is_no_secret(connection: Connection) -> None:
    tables = [
        "events",
        "ledger",
        "audit_log",
        "rollup_1d",
        "checks",
        "reports",
        "consents",
        "retention_rules",
        "series",
    ]
    parts = ", ".join(f"(select count(*) from {table}) as {table}_rows" for table in tables)
    assert _read(connection, _own(f"select 1 as at_night, 1 as logins, {parts} -- and no more;")).evidence


def test_a_list_of_exceptions_of_ones_own_has_the_columns_that_are_shown(connection: Connection) -> None:
    listed = (
        "    exceptions_sql: select now() as at, 'x' as kind, 'y' as id, 'z' as tenant, 'd' as detail{}\n    tables:"
    )
    fine = _own("select 1 as at_night, 1 as logins", "    tables:", listed.format(", 7 as total"))
    assert _read(connection, fine).exceptions["sql:HOUSE-1"].total == 7
    with pytest.raises(ConfigurationError, match="field exceptions_sql: returns no column 'total'"):
        _read(connection, fine.replace(", 7 as total", ""))
    with pytest.raises(ConfigurationError, match="field exceptions_sql: its total is no whole number"):
        _read(connection, fine.replace("7 as total", "'7' as total"))


def test_numbers_are_exact_to_the_last_digit(connection: Connection) -> None:
    reading = _read(connection, _own("select 1234567890123456.123456789012 as at_night, 9007199254740993 as logins"))
    assert f"{reading.evidence['sql:HOUSE-1'].figures['at_night']}" == "1234567890123456.123456789012"
    assert reading.evidence["sql:HOUSE-1"].figures["logins"] == 9007199254740993


def test_names_without_end_are_cut_in_the_list_but_not_in_the_figures(connection: Connection, database: str) -> None:
    messages = [
        one_event("compliance_check", START, number=n, framework=f"f{n}", passed=False) for n in range(MAX_GROUPS + 1)
    ]
    fill(connection, database, Traffic([Batch(START, 0, messages)]))
    evidence = _named(connection, "soc2").evidence["compliance_checks"]
    assert (evidence.is_cut, len(evidence.groups), evidence.figures["failed"]) == (True, MAX_GROUPS, MAX_GROUPS + 1)


def test_all_numbers_are_of_one_moment_while_landing_goes_on(connection: Connection, database: str) -> None:
    stop = threading.Event()

    def land() -> None:
        with connect(database) as landing:
            for n in range(100_000):
                with landing.transaction():
                    landing.execute(
                        "insert into ledger as l values ('t', 0, %s, 'acme', 1, 0, 0, 1)"
                        " on conflict (topic, partition, minute, tenant)"
                        " do update set received = l.received + 1, dead_lettered = l.dead_lettered + 1",
                        [START],
                    )
                    landing.execute(
                        "insert into dead_letters (tenant, topic, topic_id, partition, record_offset, dead_lettered_at,"
                        " code, field, reason) values ('acme', 't', '', 0, %s, %s, 'invalid_json', '', '')",
                        [n, START],
                    )
                if stop.is_set():
                    return

    writer = threading.Thread(target=land)
    writer.start()
    try:
        seen = set()
        while len(seen) < 5:
            evidence = _named(connection, "soc2").evidence
            pending = evidence["dead_letters"].figures["pending"]
            assert evidence["ledger"].figures["dead_lettered"] == pending
            seen.add(pending)
    finally:
        stop.set()
        writer.join()


def _today(connection: Connection) -> datetime:
    (now,) = connection.execute("select now()").fetchone() or (None,)
    assert isinstance(now, datetime)
    return now.astimezone(UTC)


def test_entries_of_the_audit_log_are_counted_without_those_about_reports_and_the_head_is_told(
    connection: Connection,
) -> None:
    today = _today(connection)
    before = _named(connection, "gdpr", today, "*").evidence["audit_log"].figures["entries"]
    assert isinstance(before, int)
    for kind in ("api_key", "api_key", "report"):
        record(connection, "key:1", "create", kind, "r", "acme", {})
    reading = _named(connection, "gdpr", today, "*")
    assert reading.evidence["audit_log"].figures["entries"] == before + 2
    assert _named(connection, "gdpr", today, "acme").evidence["audit_log"].figures == {"entries": 2, "actors": 1}
    assert reading.evidence["audit_chain"].figures == {"entries": before + 2, "breaks": 0}
    assert reading.chain_head is not None
    assert reading.chain_head["row_hash"] == chain_head(connection).row_hash


@pytest.mark.parametrize("change", ["actor = 'nobody'", "row_hash = sha256('x')", "details = '{\"a\": 1}'"])
def test_an_entry_that_was_altered_past_the_database_breaks_the_chain_of_the_report(
    connection: Connection, change: str
) -> None:
    for _ in range(3):
        record(connection, "key:1", "create", "api_key", "r", "acme", {})
    (place,) = connection.execute("select max(position) - 1 from audit_log").fetchone() or (0,)
    connection.execute("alter table audit_log disable trigger user")  # as its owner can
    connection.execute(f"update audit_log set {change} where position = {place}".encode())
    reading = _named(connection, "gdpr", _today(connection), "*")
    assert reading.evidence["audit_chain"].figures["breaks"] in (1, 2)  # the entry, and the next one's link to it
    assert f"{place}" in {row["id"] for row in reading.exceptions["chain_exceptions"].rows}


def test_windows_that_failed_a_check_are_kept_out_and_counted(connection: Connection, database: str) -> None:
    messages = [
        one_event("error_rate", START + timedelta(days=day), number=day, total_requests=100, failed_requests=50)
        for day in range(2)
    ]
    fill(connection, database, Traffic([Batch(START, 0, messages)]))
    assert _whole(connection)["availability"] == {"requests": 200, "failed": 100}
    connection.execute(
        "insert into suspect_windows (tenant, series_id, metric, window_name, window_rank, period_from, period_to,"
        " asset, check_name, advice, since) select tenant, series_id, metric, '1h', 4, bucket_start, bucket_start"
        " + interval '1 hour', 'rollup_1h', 'x', 'x', now() from rollup_1h join series using (series_id)"
        " where bucket_start < %s",
        [START + timedelta(days=1)],
    )
    figures = _whole(connection)
    assert figures["availability"] == {"requests": 100, "failed": 50}
    assert (figures["activity"]["events"], figures["activity"]["silent_days"]) == (1, 1)
    assert figures["suspect"] == {"rollup_1d": 3}  # the metrics of the day


def _whole(connection: Connection) -> dict[str, Any]:
    key = ReportKey("x", "acme", "*", f"{FROM}", f"{TO}")
    frameworks = [load_framework("soc2")[0], load_framework("eu_ai_act")[0]]
    reading = read_evidence(connection, frameworks, key, retention_days=1)
    suspect = {"rollup_1d": reading.sources["rollup_1d"].suspect_windows}
    return {name: dict(evidence.figures) for name, evidence in reading.evidence.items()} | {"suspect": suspect}


def test_requests_of_persons_are_timed_and_erasures_need_their_receipt(connection: Connection) -> None:
    for number, (kind, hours, outcome) in enumerate(
        [("export", 1, "done"), ("erase", 31 * 24, "done"), ("erase", None, "done"), ("consent", 2, "refused")]
    ):
        connection.execute(
            "insert into subject_requests (request_id, tenant, kind, subject_id, requested_by, requested_at,"
            " finished_at, outcome) values (gen_random_uuid(), 'acme', %s, %s, 'x', %s, %s, %s)",
            [
                kind,
                f"00000000-0000-4000-8000-00000000000{number}",
                START,
                None if hours is None else START + timedelta(hours=hours),
                outcome,
            ],
        )
    connection.execute(
        "insert into erasure_receipts (receipt_id, tenant, identifier_hmac, subject_id, erased_at, erased_by, removed,"
        " receipt, public_key, signature)"
        " values (gen_random_uuid(), 'acme', sha256('x'), %s, %s, 'x', '{}', '{}', 'k', 's')",
        ["00000000-0000-4000-8000-000000000001", START],
    )
    reading = _named(connection, "gdpr")
    figures = reading.evidence["subject_requests"].figures
    assert {name: figures[name] for name in ("requests", "finished", "refused", "late")} == {
        "requests": 4,
        "finished": 3,
        "refused": 1,
        "late": 1,
    }
    assert f"{figures['median_seconds']} {figures['longest_seconds']}" == "7200.000 2678400.000"
    assert reading.evidence["erasures"].figures == {"erasures": 2, "unproved": 1}
    assert [row["detail"] for row in reading.exceptions["late_request_exceptions"].rows] == ["erase, done"]


def test_the_shortest_retention_rule_that_applies_counts_else_the_setting(connection: Connection) -> None:
    def days(tenant: str = "acme") -> object:
        return _named(connection, "eu_ai_act", tenant=tenant).evidence["retention"].figures["retention_days"]

    def rule(tenant: str, keep: int, event_type: str = "") -> None:
        connection.execute(
            "insert into retention_rules (tenant, class, event_type, keep_days, set_by)"
            " values (%s, 'events', %s, %s, 'x')",
            [tenant, event_type, keep],
        )

    assert days() == 1
    rule("acme", 500, "security")
    assert days() == 1  # the other types go by the setting
    rule("*", 300)
    assert days() == 300
    rule("globex", 200)
    assert (days(), days("globex"), days("*")) == (300, 200, 200)


def test_a_personal_field_counts_as_stored_in_the_clear_unless_it_is_a_subject_or_a_ciphertext(
    connection: Connection,
) -> None:
    payloads: list[dict[str, Any]] = [
        {"user_id": "u-17"},
        {"user_id": "0b3ad3c2-5b1c-4b1e-9d51-3f7a3c0c9a10", "source_ip": "enc:v1:abc"},
        {"data_subjects": ["customer-9"]},
        {"data_subjects": []},
        {"actor": "[erased]", "ip_address": "203.0.113.7"},
        {"action": "login"},
    ]
    for number, payload in enumerate(payloads):
        columns = {"payload_type": "security", "subtype": "auth", "payload": Jsonb(payload)}
        add_event(connection, number + 1, START, tenant="acme", series_id=1, **columns)
    assert _named(connection, "hipaa").evidence["encryption"].figures == {"personal": 4, "in_clear": 3}
