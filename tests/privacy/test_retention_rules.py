"""Which rule counts, against a slow obvious reading of the rules; and rules that cannot be."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lah_platform.privacy.retention import CLASSES, EVERYONE, TABLES, Due, Rule, due, rule_problem

_TODAY = date(2026, 3, 4)
_TENANTS = ["acme", "globex"]
_TYPES = ["cost", "telemetry"]
_SERIES = [(tenant, kind) for tenant in _TENANTS for kind in _TYPES]


@st.composite
def _rules(draw: st.DrawFn) -> list[Rule]:
    found = {}
    for _ in range(draw(st.integers(0, 8))):
        class_ = draw(st.sampled_from(CLASSES))
        tenant = EVERYONE if class_ == "checks" else draw(st.sampled_from([EVERYONE, *_TENANTS]))
        narrow = draw(st.sampled_from(["", "table", "type"]))
        table = draw(st.sampled_from([each.name for each in TABLES[class_]])) if narrow == "table" else ""
        kind = draw(st.sampled_from(_TYPES)) if narrow == "type" and class_ in ("events", "personal") else ""
        rule = Rule(tenant, class_, draw(st.integers(1, 400)), table, kind)
        found[rule.tenant, rule.class_, rule.table_name, rule.event_type] = rule
    return list(found.values())


def _kept_days(rules: list[Rule], class_: str, tenant: str, table: str, kind: str) -> int | None:
    """The first of the most specific to the least: the days that its rule keeps."""
    for owner in (tenant, EVERYONE):
        narrow = [r for r in rules if r.class_ == class_ and r.tenant == owner]
        named = [r for r in narrow if (r.table_name == table and r.table_name) or (r.event_type == kind and kind)]
        for each in named or [r for r in narrow if not r.table_name and not r.event_type]:
            return each.keep_days
    return None


@given(_rules())
@settings(max_examples=200, deadline=None)
def test_the_most_specific_rule_counts_and_rows_without_a_rule_stay(rules: list[Rule]) -> None:
    # a rule for a table and one for a type of the same tenant say the same of what: which counts is not promised
    rules = [r for r in rules if not (r.table_name and r.class_ in ("events", "personal"))]
    expected = []
    for class_ in CLASSES:
        for table in TABLES[class_]:
            for tenant in [EVERYONE] if class_ == "checks" else _TENANTS:
                for kind in _TYPES if class_ in ("events", "personal") else [""]:
                    days = _kept_days(rules, class_, tenant, table.name, kind)
                    if days is not None:
                        before = datetime(2026, 3, 4, tzinfo=UTC) - timedelta(days=days)
                        expected.append(Due(class_, table.name, tenant, kind, before))
    assert due(rules, _TODAY, series=_SERIES, tenants=_TENANTS) == sorted(expected)


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        (Rule("acme", "audit", 10), "append-only"),  # type: ignore[arg-type]
        (Rule("acme", "costs", 10, event_type="cost"), "no event type"),
        (Rule("acme", "rollups", 10, "rollup_1d"), "has the tables"),
        (Rule("acme", "events", 10, "events", "cost"), "not both"),
        (Rule("acme", "checks", 10), "no tenant"),
        (Rule("acme", "events", 0), "one day"),
        (Rule("acme", "events", 401), "LAH_RETENTION_DAYS"),
    ],
)
def test_a_rule_that_cannot_be_says_why(rule: Rule, why: str) -> None:
    assert why in (rule_problem(rule, most_days=400) or "")
    assert rule_problem(Rule("acme", "costs", 4000), most_days=400) is None
