"""What a report counts is what is in the database for its period and tenant, and anyone can count it again."""

import json
import threading
from datetime import UTC, datetime, timedelta

import pytest

from lah_platform.compliance.evidence import EVIDENCE, MAX_GROUPS
from lah_platform.compliance.report import build_report
from lah_platform.quality.suites import Verdict
from lah_platform.stores.audit import record
from lah_platform.stores.checks import write_verdicts
from lah_platform.stores.postgres import Connection, connect
from lah_platform.stores.reports import read_inputs
from tests.compliance.recount import groups_of_security_events, recount
from tests.compliance.traffic import END, FROM, START, TO, Event, Traffic, fill, made_up

_GENERATED_AT = datetime(2026, 3, 6, tzinfo=UTC)


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("tenant", ["acme", "globex", "*", "nobody"])
def test_every_total_equals_a_naive_recount_of_the_rows(connection: Connection, tenant: str, seed: int) -> None:
    traffic = made_up(seed)
    fill(connection, traffic)

    inputs = read_inputs(connection, tenant=tenant, period_from=FROM, period_to=TO)

    assert {kind: dict(evidence.total) for kind, evidence in inputs.evidence.items()} == recount(traffic, tenant)
    security = inputs.evidence["security_events"]
    assert {(group["subtype"], group["severity"]): group["events"] for group in security.groups} == dict(
        groups_of_security_events(traffic, tenant)
    )


def test_groups_add_up_to_their_total_and_name_the_newest_row(connection: Connection) -> None:
    traffic = made_up(3)
    fill(connection, traffic)

    evidence = read_inputs(connection, tenant="acme", period_from=FROM, period_to=TO).evidence

    for name in ("security_events", "authentication", "privacy_operations", "policy_violations", "compliance_checks"):
        assert sum(int(group["events"] or 0) for group in evidence[name].groups) == evidence[name].total["events"]
    mine = [e.at for e in traffic.events if e.tenant == "acme" and e.payload_type == "security" and START <= e.at < END]
    assert evidence["security_events"].watermark == max(mine)
    assert evidence["security_events"].counted_rows == len(mine)


def test_an_auditor_can_run_every_source_again_and_finds_the_same_total(connection: Connection) -> None:
    fill(connection, made_up(4))
    report = build_report(
        read_inputs(connection, tenant="acme", period_from=FROM, period_to=TO), generated_at=_GENERATED_AT
    )
    totals = {section["source"]: section["total"] for section in report.content["sections"]}

    assert [source["query"] for source in report.content["sources"]] == [f"reports.{name}" for name in EVIDENCE]
    for source in report.content["sources"]:
        with connection.cursor() as cursor:
            row = cursor.execute(source["sql"].encode()).fetchone()
            found = dict(zip([column.name for column in cursor.description or ()], row or (), strict=True))
        assert found["is_total"]
        assert found["counted_rows"] == source["rows"]
        for measure, value in totals[source["id"]].items():
            assert str(found[measure]) == str(value), (source["query"], measure)


def test_entries_of_the_audit_log_are_counted_when_they_were_written(connection: Connection) -> None:
    for actor, tenant in [("key:1", "acme"), ("key:2", "acme"), ("key:1", "globex")]:
        record(connection, actor, "generate", "report", "r", tenant, {})
    row = connection.execute("select max(at)::date from audit_log").fetchone()
    assert row is not None
    today = row[0]
    one_day = timedelta(days=1)

    counted = read_inputs(connection, tenant="acme", period_from=today - one_day, period_to=today + one_day).evidence
    before = read_inputs(connection, tenant="acme", period_from=today - 3 * one_day, period_to=today - one_day).evidence

    assert counted["audit_log"].total == {"entries": 2, "actors": 2}
    assert before["audit_log"].total == {"entries": 0, "actors": 0}


def test_only_the_latest_verdict_of_each_rule_about_the_period_counts(connection: Connection) -> None:
    def verdict(name: str, passed: bool, severity: str = "error") -> Verdict:
        return Verdict("events", name, severity, True, passed, 5, 0 if passed else 2, {}, "look")  # type: ignore[arg-type]

    hour = timedelta(hours=1)
    for at, period, verdicts in [
        (
            END + hour,
            (START, END),
            [verdict("a", passed=False), verdict("b", passed=False), verdict("c", False, "warn")],
        ),
        (END + 2 * hour, (START, END), [verdict("a", passed=True)]),
        (END + 3 * hour, (END, END + 24 * hour), [verdict("b", passed=True)]),  # about the day after
    ]:
        write_verdicts(connection, verdicts, checked_at=at, period_from=period[0], period_to=period[1], run_id=None)

    evidence = read_inputs(connection, tenant="acme", period_from=FROM, period_to=TO).evidence["quality_verdicts"]

    assert evidence.total == {"rules": 3, "passing": 1, "failing": 2, "failing_errors": 1}
    assert {group["check_name"]: group["verdict"] for group in evidence.groups} == {
        "a": "passed",
        "b": "failed",
        "c": "failed",
    }


def test_names_without_end_are_cut_in_the_list_but_not_in_the_total(connection: Connection) -> None:
    checks = [
        Event(START, "acme", "governance", "compliance_check", "info", {"framework": f"f{n}", "passed": False})
        for n in range(MAX_GROUPS + 1)
    ]
    fill(connection, Traffic(checks, [], [], [], []))

    inputs = read_inputs(connection, tenant="acme", period_from=FROM, period_to=TO)

    evidence = inputs.evidence["compliance_checks"]
    assert evidence.is_cut
    assert len(evidence.groups) == MAX_GROUPS
    assert evidence.total["events"] == MAX_GROUPS + 1
    assert f"the {MAX_GROUPS} largest groups" in build_report(inputs, generated_at=_GENERATED_AT).html


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
        while len(seen) < 10:
            evidence = read_inputs(connection, tenant="acme", period_from=FROM, period_to=TO).evidence
            assert evidence["ledger"].total["dead_lettered"] == evidence["dead_letters"].total["pending"]
            seen.add(evidence["ledger"].total["dead_lettered"])
    finally:
        stop.set()
        writer.join()


def test_what_is_counted_fits_into_json_without_rounding(connection: Connection) -> None:
    fill(connection, made_up(5))
    connection.execute("update cost_daily set reported_usd = 1234567890123456.123456789012 where tenant = 'acme'")
    inputs = read_inputs(connection, tenant="acme", period_from=FROM, period_to=TO)
    report = build_report(inputs, generated_at=_GENERATED_AT)

    days_and_models = 3 * 2
    assert json.loads(json.dumps(report.content)) == report.content
    assert inputs.evidence["costs"].total["reported_usd"] == "7407407340740736.740740734072"
    assert days_and_models * 1234567890123456123456789012 == 7407407340740736740740734072
    assert "7,407,407,340,740,736.740740734072" in report.html
