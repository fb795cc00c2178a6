"""A plan of reports is taken as it is written, or refused with the place and the reason; periods are whole."""

from datetime import date, timedelta

import pytest
from dagster._utils.schedules import is_valid_cron_string
from hypothesis import given
from hypothesis import strategies as st

from lah_platform.compliance.cron import cron_problem
from lah_platform.compliance.periods import PERIODS, Period
from lah_platform.compliance.schedules import read_plan
from lah_platform.errors import ConfigurationError

_REPORTS = ("soc2", "gdpr", "access_review")
_GOOD = """
targets:
  auditors: {folder: /srv/evidence}
  vault:
    store: s3://evidence/lah
    settings: {region: eu-central-1}
    secrets: {access_key_id: EVIDENCE_KEY, secret_access_key: EVIDENCE_SECRET}
  grc: {webhook_from: GRC_HOOK, secret_headers: {Authorization: GRC_TOKEN}}
schedules:
  board: {reports: [soc2, gdpr], period: quarter, cron: "30 6 1 1,4,7,10 *", deliver: [auditors, vault]}
  acme_weekly: {reports: [soc2], period: week, cron: "0 6 * * 1", tenant: acme, documents: [pdf]}
"""


def test_a_plan_is_taken_as_it_is_written() -> None:
    plan = read_plan(_GOOD, "plan.yaml", known_reports=_REPORTS)
    assert {name: target.kind for name, target in plan.targets.items()} == {
        "auditors": "folder",
        "vault": "store",
        "grc": "webhook",
    }
    assert plan.targets["vault"].variables == ["EVIDENCE_KEY", "EVIDENCE_SECRET"]
    assert list(plan.of_period("week")) == ["acme_weekly"]
    assert plan.schedules["board"].documents == ("pdf", "json", "signature")
    empty = read_plan("", "plan.yaml", known_reports=_REPORTS)
    assert (empty.targets, empty.schedules) == ({}, {})


_CRON = "cron: '0 0 * * *'"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("targets: {a: {folder: relative}}", "targets.a: folder: is not a whole path"),
        ("targets: {a: {}}", "targets.a: give exactly one of"),
        ("targets: {a: {folder: /a, webhook: 'https://x'}}", "targets.a: give exactly one of"),
        ("targets: {a: {webhook: 'http://x/y'}}", "targets.a: webhook: is not reached by https"),
        ("targets: {a: {webhook: 'file:///etc/passwd'}}", "targets.a: webhook: is not a web address"),
        ("targets: {a: {webhook: 'https://u:p@x'}}", "targets.a: the address must hold no user"),
        ("targets: {a: {store: 'ftp://x'}}", "targets.a: store: begins with none of"),
        ("targets: {a: {store: 's3://x', settings: {secret_access_key: x}}}", "targets.a: settings.secret_access_key"),
        ("targets: {a: {store: 's3://x', secrets: {token: 'no name'}}}", "targets.a.secrets[...]: Expected `str`"),
        ("targets: {a: {folder: /a, secret_headers: {X: Y}}}", "targets.a: secret_headers are for a webhook"),
        ("targets: {a: {url: x}}", "targets.a: Object contains unknown field `url`"),
        ("targets: {A b: {folder: /a}}", "targets: Expected `str` matching regex"),
        (f"schedules: {{s: {{reports: [x], period: week, {_CRON}}}}}", "schedules.s.reports: there is no report x"),
        (f"schedules: {{s: {{reports: [], period: week, {_CRON}}}}}", "schedules.s.reports: Expected `array`"),
        (f"schedules: {{s: {{reports: [soc2], period: era, {_CRON}}}}}", "schedules.s.period: Invalid enum value"),
        ("schedules: {s: {reports: [soc2], period: day, cron: '0 0 * *'}}", "s.cron: '0 0 * *' has 4 fields"),
        ("schedules: {s: {reports: [soc2], period: day, cron: '0 24 * * *'}}", "s.cron: '24' is no hour"),
        ("schedules: {s: {reports: [soc2], period: day}}", "s: Object missing required field `cron`"),
        (f"schedules: {{s: {{reports: [soc2], period: day, {_CRON}, deliver: [x]}}}}", "there is no target x"),
        (f"schedules: {{s: {{reports: [soc2], period: day, {_CRON}, documents: [x]}}}}", "schedules.s.documents[0]"),
        ("schedules: [1]", "schedules: Expected `object`, got `array`"),
        ("a: : b", "line 1 is not YAML"),
        ("- 1", "Expected `object`, got `array`"),
    ],
)
def test_a_plan_that_cannot_be_is_refused_with_the_place_and_the_reason(text: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        read_plan(text, "plan.yaml", known_reports=_REPORTS)
    assert refused.value.message.startswith("plan.yaml")
    assert said in refused.value.message


@pytest.mark.parametrize("period", PERIODS.values(), ids=lambda period: period.name)
@given(day=st.dates(date(2020, 1, 1), date(2032, 12, 31)))
def test_the_last_whole_period_is_the_one_that_a_calendar_shows(period: Period, day: date) -> None:
    def is_first(each: date) -> bool:
        months = {"month": range(1, 13), "quarter": (1, 4, 7, 10)}.get(period.name, ())
        begins = {"day": True, "week": each.isoweekday() == 1}
        return begins.get(period.name, each.day == 1 and each.month in months)

    end = next(each for back in range(100) if is_first(each := day - timedelta(days=back)))
    start = next(each for back in range(1, 100) if is_first(each := end - timedelta(days=back)))
    assert period.last_whole(day) == (start, end)
    assert period.start(day) == end
    assert period.start(start) == start
    assert period.next_start(start) == end


_FIELDS = [*"05*78x", "1-5", "5-1", "*/15", "*/0", "59", "60", "24", "31", "32", "12", "13", "1,2", "1-"]


@given(st.lists(st.sampled_from(_FIELDS), min_size=4, max_size=6))
def test_no_cron_is_let_through_that_dagster_would_not_take(fields: list[str]) -> None:
    text = " ".join(fields)
    if cron_problem(text) is None:
        assert is_valid_cron_string(text), text


@pytest.mark.parametrize("text", ["0 6 * * 1", "*/15 * * * *", "30 6 1 1,4,7,10 *", "0 0-5/2 1-15 * 7"])
def test_usual_crons_are_taken(text: str) -> None:
    assert cron_problem(text) is None
    assert is_valid_cron_string(text)
