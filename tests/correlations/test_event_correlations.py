"""causal_chain, security_incident, compliance_cascade: what events say about one another."""

from collections.abc import Iterable
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lah_platform.correlations import Correlation, CorrelationConfig, correlate

from .inputs import MONDAY, anomaly, event, inputs


def of_type(
    kind: str, events: Iterable[tuple[object, ...]], anomalies: Iterable[tuple[object, ...]] = ()
) -> list[Correlation]:
    return [c for c in correlate(inputs(events=events, anomalies=anomalies)) if c.correlation_type == kind]


def roles(correlation: Correlation) -> dict[str, str]:
    return {m.member_id: m.role for m in correlation.members}


def test_a_tree_of_parents_is_one_chain_from_root_to_leaves() -> None:
    events = [
        event("root", 0, severity="warning"),
        event("step", 1, parent="root"),
        event("leaf", 2, parent="step", severity="error"),
        event("other leaf", 3, parent="root"),
        event("bystander", 1, operation="op"),
    ]
    (chain,) = of_type("causal_chain", events)
    assert roles(chain) == {"root": "root_cause", "step": "contributor", "leaf": "effect", "other leaf": "effect"}
    assert (chain.started_at, chain.ended_at) == (MONDAY, MONDAY + timedelta(minutes=3))
    assert (chain.strength, chain.confidence) == (1.0, 1.0)
    assert "3 further events in 3 steps, up to error" in chain.explanation


def test_a_lone_event_and_an_event_whose_parent_is_unknown_are_no_chain() -> None:
    assert of_type("causal_chain", [event("alone"), event("orphan", 1, parent="gone")]) == []


def test_a_missing_parent_and_a_clock_that_runs_backwards_cost_confidence_and_strength() -> None:
    events = [event("a", 5, parent="gone"), event("b", 3, parent="a"), event("c", 6, parent="a")]
    (chain,) = of_type("causal_chain", events)
    assert roles(chain)["a"] == "root_cause"
    assert chain.strength == pytest.approx(1 / 2)
    assert chain.confidence == pytest.approx(2 / 3)


def test_a_cycle_is_cut_before_its_earliest_event_and_an_event_is_not_its_own_parent() -> None:
    cycle = [event("a", 2, parent="c"), event("b", 1, parent="a"), event("c", 3, parent="b"), event("d", 4, parent="c")]
    (chain,) = of_type("causal_chain", cycle)
    assert roles(chain) == {"b": "root_cause", "c": "contributor", "a": "effect", "d": "effect"}
    assert chain.confidence < 1.0
    assert of_type("causal_chain", [event("self", 1, parent="self")]) == []


def test_parents_are_not_looked_for_in_other_tenants() -> None:
    events = [event("root", 0), event("child", 1, parent="root", tenant="rival")]
    assert of_type("causal_chain", events) == []


@settings(deadline=None)
@given(parents=st.lists(st.integers(-1, 14), min_size=1, max_size=15))
def test_every_event_is_in_at_most_one_chain_and_every_chain_in_one_piece(parents: list[int]) -> None:
    named = {str(i): str(p) for i, p in enumerate(parents) if p >= 0}
    chains = of_type("causal_chain", [event(str(i), i, parent=named.get(str(i))) for i in range(len(parents))])
    seen = [m.member_id for chain in chains for m in chain.members]
    assert len(seen) == len(set(seen))
    for chain in chains:
        ids = set(roles(chain))
        _, *others = [m.member_id for m in chain.members]
        assert all(named[o] in ids for o in others)
        assert [m.role for m in chain.members].count("root_cause") == 1
    linked = {i for i, p in named.items() if p in {str(k) for k in range(len(parents))} and p != i}
    assert linked <= set(seen)


def test_of_too_many_chains_the_severest_are_kept_and_the_rest_is_counted() -> None:
    config = CorrelationConfig(max_found=2)
    events = []
    for i, severity in enumerate(["info", "critical", "info", "error"]):
        events += [event(f"r{i}", i), event(f"c{i}", i + 1, parent=f"r{i}", severity=severity)]
    report = correlate(inputs(events=events), config)
    assert {c.members[0].member_id for c in report} == {"r1", "r3"}
    assert report.left_out == {"causal_chain": 2}


THREAT = "security/threat"


def test_security_events_of_one_operation_are_an_incident() -> None:
    events = [
        event("probe", 0, kind="security/auth", severity="warning", operation="op", series_id=1),
        event("breach", 20, kind=THREAT, severity="critical", operation="op", series_id=2),
        event("calm", 25, kind=THREAT, severity="info", operation="op", series_id=2),
        event("elsewhere", 26, kind=THREAT, severity="warning", operation="other", series_id=3),
        event("much later", 90, kind=THREAT, severity="error", operation="op", series_id=2),
    ]
    (incident,) = of_type("security_incident", events)
    assert roles(incident) == {"probe": "root_cause", "breach": "contributor"}
    assert (incident.strength, incident.confidence) == (1.0, 1.0)


def test_an_anomaly_that_may_well_follow_by_chance_is_not_blamed_on_an_incident() -> None:
    events = [event(f"e{i}", 600 + i, kind=THREAT, severity="error", operation="op") for i in range(4)]
    usual = [anomaly("latency_ms", h + 0.5, 0.5, series_id=7) for h in range(10, 330, 16)]
    (incident,) = of_type("security_incident", events, usual)
    assert {m.member_type for m in incident.members} == {"event"}


def test_a_burst_in_one_series_is_an_incident_and_the_usual_trickle_is_not() -> None:
    trickle = [event(f"t{i}", 60.5 * i, kind=THREAT, severity="warning") for i in range(300)]
    assert of_type("security_incident", trickle) == []
    burst = [event(f"b{i}", 9000 + i, kind=THREAT, severity="error", series_id=2) for i in range(5)]
    (incident,) = of_type("security_incident", [*trickle, *burst])
    assert {m.member_id for m in incident.members} == {f"b{i}" for i in range(5)}
    assert incident.strength == pytest.approx(2 / 3)
    assert 0.9 <= incident.confidence < 1.0


def test_one_security_event_with_anomalies_right_after_it_is_an_incident() -> None:
    attack = [event("attack", 600, kind=THREAT, severity="error")]
    assert of_type("security_incident", attack) == []
    after = [anomaly("latency_ms", 10.2, series_id=7), anomaly("failed_requests", 10.5, series_id=8)]
    (incident,) = of_type("security_incident", attack, after)
    assert [m.role for m in incident.members] == ["root_cause", "effect", "effect"]
    assert incident.ended_at == MONDAY + timedelta(hours=11.5)
    before = [anomaly("latency_ms", 9.5, series_id=7), anomaly("failed_requests", 9.9, series_id=8)]
    assert of_type("security_incident", attack, before) == []
    always = [anomaly("latency_ms", h, 0.5, series_id=s) for h in range(300) for s in (7, 8)]
    assert of_type("security_incident", attack, always) == []


def test_what_follows_a_violation_and_shares_its_operation_or_resource_is_its_cascade() -> None:
    events = [
        event("earlier", -5, kind="governance/audit_trail", operation="op"),
        event("violation", 0, kind="governance/policy_violation", operation="op", resource="db"),
        event("check", 30, kind="governance/compliance_check", operation="op"),
        event("leak", 300, kind="security/privacy", severity="error", resource="db"),
        event("telemetry", 31, kind="telemetry/latency", operation="op"),
        event("unrelated", 40, kind="governance/audit_trail", operation="another", resource="else"),
        event("too late", 24 * 60 + 1, kind="governance/audit_trail", operation="op"),
    ]
    (cascade,) = of_type("compliance_cascade", events)
    assert roles(cascade) == {"violation": "root_cause", "check": "effect", "leak": "effect"}
    assert cascade.strength == pytest.approx(2 / 3)
    assert cascade.confidence == 1.0
    assert "compliance_check, privacy" in cascade.explanation


def test_a_violation_without_followers_and_a_busy_resource_are_no_cascade() -> None:
    assert of_type("compliance_cascade", [event("v", 0, kind="security/compliance_violation", resource="db")]) == []
    busy = [event(f"a{i}", 30.0 * i, kind="governance/audit_trail", resource="db") for i in range(600)]
    violation = event("v", 4000.5, kind="governance/policy_violation", resource="db")
    assert of_type("compliance_cascade", [violation, *busy]) == []


def test_events_without_a_resource_column_cascade_by_operation() -> None:
    events = [
        event("v", 0, kind="governance/policy_violation", operation="op"),
        event("a", 1, kind="governance/audit_trail", operation="op"),
    ]
    given_inputs = inputs(events=events)
    bare = type(given_inputs)(given_inputs.events.drop("resource"), given_inputs.anomalies, given_inputs.points)
    assert [c.correlation_type for c in correlate(bare)] == ["compliance_cascade"]


def test_an_operation_that_failed_is_one_chain_though_its_events_name_no_parent() -> None:
    rows = [
        event("first", 0, operation="op", kind="lifecycle/started"),
        event("second", 1, operation="op", kind="alert/failed", severity="error"),
        event("third", 2, parent="second", operation="op"),
        event("calm", 3, operation="routine"),
        event("also calm", 4, operation="routine"),
    ]
    (chain,) = (c for c in correlate(inputs(events=rows)) if c.correlation_type == "causal_chain")
    assert [m.member_id for m in chain.members] == ["first", "second", "third"]
    assert chain.confidence == 0.75  # one of two links is known by the operation alone
    assert chain.evidence["links_by_correlation_id"] == 1


def test_a_cascade_follows_descent_through_events_that_share_nothing_else() -> None:
    rows = [
        event("violation", 0, kind="governance/policy_violation"),
        event("copy", 5, kind="governance/lineage", parent="violation", resource="table"),
        event("export", 9, kind="security/export", parent="copy"),
        event("other", 10, kind="governance/lineage"),
    ]
    (cascade,) = (c for c in correlate(inputs(events=rows)) if c.correlation_type == "compliance_cascade")
    assert [m.member_id for m in cascade.members] == ["violation", "copy", "export"]
    assert cascade.evidence["resources"] == "table"
