"""Every number of a report is what a naive recount of bytes and rows finds, and what its own statement finds again."""

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lah_platform.compliance.content import build_content
from lah_platform.compliance.detached import ReportKey
from lah_platform.compliance.documents import documents_of
from lah_platform.compliance.evidence import MAX_EXCEPTIONS, Reading
from lah_platform.stores.control_files import load_framework, load_frameworks
from lah_platform.stores.evidence import read_evidence
from lah_platform.stores.postgres import Connection
from lah_platform.stores.queries import queries
from tests.compliance.recount import recount
from tests.compliance.traffic import ENVIRONMENTS, FROM, TENANTS, TO, empty, fill, made_up

_RETENTION_DAYS = 123
_ELSEWHERE = {"audit_log", "audit_chain", "encryption", "subject_requests", "erasures"}  # counted in test_evidence
_LISTED_ELSEWHERE = {"dead_letter_exceptions", "chain_exceptions", "clear_exceptions", "late_request_exceptions",
                     "erasure_exceptions"}  # fmt: skip


def _read(connection: Connection, tenant: str = "*", environment: str = "*") -> Reading:
    key = ReportKey("any", tenant, environment, f"{FROM}", f"{TO}")
    return read_evidence(connection, load_frameworks().values(), key, retention_days=_RETENTION_DAYS)


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 10**6),
    events=st.sampled_from([8, 150]),
    tenant=st.sampled_from([*TENANTS, "*", "nobody"]),
    environment=st.sampled_from([*ENVIRONMENTS, "*"]),
)
def test_every_figure_and_every_exception_equals_a_naive_recount(
    connection: Connection, database: str, seed: int, events: int, tenant: str, environment: str
) -> None:
    empty(connection)
    traffic = made_up(seed, events)
    fill(connection, database, traffic)
    rows = connection.execute("select series_id, event_type, environment from series").fetchall()
    series = {number: (kind, where) for number, kind, where in rows}

    reading = _read(connection, tenant, environment)

    naive = recount(traffic, series, tenant, environment, _RETENTION_DAYS)
    counted = {name: evidence.figures for name, evidence in reading.evidence.items() if name not in _ELSEWHERE}
    assert counted == naive.figures
    listed = {name: rows for name, rows in reading.exceptions.items() if name not in _LISTED_ELSEWHERE}
    assert {name: rows.total for name, rows in listed.items()} == {n: len(ids) for n, ids in naive.failed.items()}
    for name, exceptions in listed.items():
        ids = [str(row["id"]) for row in exceptions.rows]
        assert len(ids) == min(exceptions.total, MAX_EXCEPTIONS)
        assert set(ids) <= set(naive.failed[name]), name
        assert exceptions.total > MAX_EXCEPTIONS or sorted(ids) == sorted(naive.failed[name])
    dead = reading.exceptions["dead_letter_exceptions"]
    assert dead.total == naive.figures["dead_letters"]["pending"]
    for name, evidence in reading.evidence.items():
        for figure, value in evidence.figures.items():
            groups = [group[figure] for group in evidence.groups if group.get(figure) is not None]
            if groups and isinstance(value, int) and figure not in ("actors", "models", "days"):
                assert sum(int(each or 0) for each in groups) == value, (name, figure)


@pytest.fixture
def filled(connection: Connection, database: str) -> Connection:
    fill(connection, database, made_up(4))
    return connection


@pytest.mark.parametrize("name", ["soc2", "executive"])
def test_every_number_of_a_report_is_found_again_by_the_statement_that_it_names(filled: Connection, name: str) -> None:
    framework, summarized = load_framework(name)
    key = ReportKey(name, "acme", "*", f"{FROM}", f"{TO}")
    reading = read_evidence(filled, [framework, *summarized], key, retention_days=_RETENTION_DAYS)
    content = json.loads(documents_of(build_content(framework, reading, key, summarized=summarized))["json"])
    statements = {(query["gives"], query["name"]): query["sql"] for query in content["queries"]}
    walked = {"figures": 0, "groups": 0, "exceptions": 0, "sources": 0}

    for control in content["controls"]:
        rows = _run(filled, statements["figures", control["query"]])
        (total,) = [row for row in rows if row.get("is_total", True)]
        for figure, value in control["figures"].items():
            assert _text(total[figure]) == _text(value), (control["id"], figure)
            walked["figures"] += 1
        assert total["counted_rows"] == control["counted_rows"]
        _judged_again(control, total)
        groups = [row for row in rows if row is not total]
        for place, shown in enumerate((control["groups"] or {"rows": []})["rows"]):
            again = [groups[place][column] for column in control["groups"]["columns"]]
            assert list(map(_text, again)) == list(map(_text, shown))
            walked["groups"] += len(shown)
        if control["exceptions"] is not None:
            found = _run(filled, statements["exceptions", control["exceptions_query"]])
            assert control["exceptions"]["total"] == (found[0]["total"] if found else 0)
            assert [row["id"] for row in control["exceptions"]["rows"]] == [row["id"] for row in found]
            walked["exceptions"] += 1
    for source in content["sources"]:
        (row,) = _run(filled, source["sql"])
        assert (row["rows"], row["revision"]) == (source["rows"], source["revision"])
        walked["sources"] += 1
    for outcome in content["frameworks"]:
        alone = build_content(load_framework(outcome["id"])[0], reading, key)
        assert outcome["summary"] == alone["summary"]
        assert [each["id"] for each in outcome["open"]] == [c["id"] for c in alone["controls"] if c["status"] != "pass"]
    statuses = [control["status"] for control in content["controls"]]
    counted = {name: statuses.count(name) for name in ("pass", "fail", "not_evidenced")}
    assert content["summary"] == {"controls": len(statuses), **counted}
    assert min(walked.values()) > 5


def _judged_again(control: dict[str, Any], total: dict[str, Any]) -> None:
    """The status and the number from the row and the rule as the document states them."""
    needed = control["minimum_evidence"]
    measured, enough = total[control["measure"]], (total[needed["measure"]] or 0) >= needed["at_least"]
    whole = total[control["share_of"]] if control["share_of"] else 100
    if not enough or measured is None or not whole:
        assert (control["status"], control["number"]) == ("not_evidenced", None)
        return
    number = Decimal(measured) * 100 / Decimal(whole)
    limit = Decimal(control["threshold"]["value"])
    within = number <= limit if control["threshold"]["direction"] == "at_most" else number >= limit
    assert control["status"] == ("pass" if within else "fail")
    assert abs(Decimal(control["number"]) - number) <= Decimal("0.00005")


def _run(connection: Connection, sql: str) -> list[dict[str, Any]]:
    """As an auditor would: the statement as it stands in the report."""
    with connection.cursor() as cursor:
        rows = cursor.execute(sql.encode()).fetchall()
        return [dict(zip([column.name for column in cursor.description or ()], row, strict=True)) for row in rows]


def _text(value: Any) -> str:
    return f"{value:f}" if isinstance(value, Decimal) else str(value)


def test_every_query_is_of_a_control_and_every_list_of_exceptions_too() -> None:
    def named() -> Iterator[str | None]:
        for framework in load_frameworks().values():
            for control in framework.controls:
                yield control.query
                yield control.exceptions

    assert set(named()) - {None} == set(queries("evidence")) | set(queries("exceptions"))
