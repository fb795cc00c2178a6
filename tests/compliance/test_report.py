"""The report says what was counted, claims nothing, and cannot be made to say anything else."""

import dataclasses
from collections.abc import Mapping
from datetime import UTC, date, datetime
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lah_platform.compliance.controls import CONTROLS, FINDINGS
from lah_platform.compliance.evidence import EVIDENCE, Evidence, Kind, Scalar
from lah_platform.compliance.report import ReportInputs, build_report, content_sha256, is_unaltered

_AT = datetime(2026, 4, 1, 6, 0, tzinfo=UTC)
_HOSTILE = '</td></pre><script>alert(1)</script><img src=x onerror=alert(2)>" onmouseover="alert(3)\' & {{ 7 * 7 }}'


def _empty(kind: Kind) -> Evidence:
    total: dict[str, Scalar] = dict.fromkeys(kind.measures, 0)
    return Evidence("select 1", (), total, 0, None, is_cut=False)


def _inputs(tenant: str = "acme", **evidence: Evidence) -> ReportInputs:
    everything = {name: _empty(kind) for name, kind in EVIDENCE.items()} | evidence
    return ReportInputs(tenant, date(2026, 3, 1), date(2026, 4, 1), "0004_histogram", everything)


def _counted(
    kind: str, groups: tuple[Mapping[str, Scalar], ...] = (), sql: str = "select 1", **total: Scalar
) -> Evidence:
    measures = dict.fromkeys(EVIDENCE[kind].measures, 0) | total
    return Evidence(sql, groups, measures, 7, datetime(2026, 3, 31, tzinfo=UTC), is_cut=False)


def _control(content: Mapping[str, Any], framework: str, control_id: str) -> dict[str, Any]:
    (found,) = [c for c in content["controls"] if c["framework"].startswith(framework) and c["control"] == control_id]
    return dict(found)


class _Reader(HTMLParser):
    """Collects the elements, attributes and text of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def _read(html: str) -> _Reader:
    reader = _Reader()
    reader.feed(html)
    return reader


def test_the_same_inputs_and_moment_give_the_same_bytes() -> None:
    evidence = _counted("ledger", ({"topic": "t", "received": 3, "stored": 3, "duplicate": 0, "dead_lettered": 0},))
    one, other = (build_report(_inputs(ledger=evidence), generated_at=_AT) for _ in range(2))

    assert one == other
    assert build_report(_inputs(), generated_at=_AT).sha256 != one.sha256


def test_a_changed_page_or_a_changed_number_is_noticed() -> None:
    report = build_report(_inputs(), generated_at=_AT)

    assert is_unaltered(report)
    assert not is_unaltered(dataclasses.replace(report, html=report.html.replace("no rows", "some rows")))
    assert not is_unaltered(dataclasses.replace(report, content={**report.content, "tenant": "globex"}))


@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
def test_any_text_from_a_producer_is_shown_as_text_and_nothing_else(text: str) -> None:
    plain = _read(build_report(_inputs(), generated_at=_AT).html)
    groups = ({"framework": text + _HOSTILE, "control_id": text, "findings": 1},)
    evidence = _counted("failing_controls", groups, sql=f"select '{text}{_HOSTILE}'", findings=1)

    page = _read(build_report(_inputs(tenant=text + _HOSTILE, failing_controls=evidence), generated_at=_AT).html)

    assert page.tags == plain.tags
    assert {name for name, _ in page.attributes} == {name for name, _ in plain.attributes}
    assert "".join(page.text).count(_HOSTILE) == 3  # the tenant, the group and the statement


def test_the_page_needs_nothing_from_anywhere_else() -> None:
    page = _read(build_report(_inputs(), generated_at=_AT).html)

    links = [value for name, value in page.attributes if name in ("href", "src", "srcset", "action", "background")]
    assert all(link and link.startswith("#") for link in links)
    assert not page.tags & {"script", "link", "img", "iframe", "object", "embed", "form", "base"}
    assert ("content", "default-src 'none'; style-src 'unsafe-inline'") in page.attributes
    assert "url(" not in "".join(page.text)
    assert "@import" not in "".join(page.text)


def test_every_number_names_a_source_that_is_listed() -> None:
    content = build_report(_inputs(), generated_at=_AT).content
    listed = {source["id"] for source in content["sources"]}

    named = [content["balance"], *content["figures"], *content["sections"]]
    for control in content["controls"]:
        named += control["evidence"] + control["findings"]
    assert {item["source"] for item in named} == listed
    by_source = {section["source"]: section["id"] for section in content["sections"]}
    assert all(source["query"] == f"reports.{by_source[source['id']]}" for source in content["sources"])


def test_a_ledger_that_does_not_balance_says_so() -> None:
    totals = {"received": 10, "stored": 7, "duplicate": 1, "dead_lettered": 1}
    report = build_report(_inputs(ledger=_counted("ledger", **totals)), generated_at=_AT)

    assert report.content["balance"] == totals | {"difference": 1, "is_balanced": False, "source": "S1"}
    assert "does not balance" in report.html
    assert "does not balance" not in build_report(_inputs(), generated_at=_AT).html


def test_a_control_without_rows_has_no_evidence_and_is_never_called_met() -> None:
    content = build_report(_inputs(), generated_at=_AT).content

    assert {control["status"] for control in content["controls"]} == {"no evidence in period"}
    assert all(control["not_covered"] for control in content["controls"])


def test_rows_without_a_problem_are_evidence_and_a_problem_is_a_finding() -> None:
    consented = _counted("privacy_operations", events=3, with_consent=3)
    refused = _counted("privacy_operations", events=3, with_consent=1, without_consent=2)

    good = _control(build_report(_inputs(privacy_operations=consented), generated_at=_AT).content, "GDPR", "Art. 7(1)")
    bad = _control(build_report(_inputs(privacy_operations=refused), generated_at=_AT).content, "GDPR", "Art. 7(1)")

    assert good["status"] == "evidence present"
    assert good["evidence"] == [{"section": "privacy_operations", "source": "S5", "rows": 7}]
    assert bad["status"] == "finding"
    assert bad["findings"] == [{"text": "operations on personal data without consent", "count": 2, "source": "S5"}]


@pytest.mark.parametrize("name", FINDINGS)
def test_every_finding_reaches_a_control_that_its_evidence_speaks_to(name: str) -> None:
    finding = FINDINGS[name]
    evidence = {finding.kind: _counted(finding.kind, **{finding.measure: 1})}
    content = build_report(_inputs(**evidence), generated_at=_AT).content

    concerned = {(control.framework, control.control_id) for control in CONTROLS if name in control.findings}
    marked = {(c["framework"], c["control"]) for c in content["controls"] if c["status"] == "finding"}
    assert concerned
    assert marked == concerned
    assert all(finding.kind in control.kinds for control in CONTROLS if name in control.findings)


def test_every_kind_of_evidence_but_money_speaks_to_a_control() -> None:
    assert {kind for control in CONTROLS for kind in control.kinds} == set(EVIDENCE) - {"costs"}


def test_shares_are_of_what_they_say_and_absent_where_there_is_nothing_to_share() -> None:
    remediated = _counted("policy_violations", events=3, auto_remediated=2, not_remediated=1)
    content = build_report(_inputs(policy_violations=remediated), generated_at=_AT).content
    figures = {figure["label"]: figure for figure in content["figures"]}

    assert figures["Policy violations remediated automatically"]["share"] == "0.6667"
    assert figures["Policy violations remediated automatically"]["of"] == 3
    assert figures["Compliance checks passed"]["share"] is None


def test_the_digest_does_not_depend_on_the_order_of_keys() -> None:
    assert content_sha256({"a": 1, "b": ["é", None]}) == content_sha256({"b": ["é", None], "a": 1})


@pytest.mark.parametrize(
    ("change", "generated_at"),
    [
        ({"period_to": date(2026, 3, 1)}, _AT),
        ({}, _AT.replace(tzinfo=None)),
        ({"evidence": {}}, _AT),
    ],
)
def test_a_report_of_nothing_at_no_time_is_refused(change: dict[str, Any], generated_at: datetime) -> None:
    with pytest.raises(ValueError, match=r"no day|time zone|differs in"):
        build_report(dataclasses.replace(_inputs(), **change), generated_at=generated_at)
