"""The seeded events: honest about being seeded, and each scenario is really in them."""

from collections import Counter, defaultdict
from datetime import timedelta
from decimal import Decimal
from statistics import mean, median
from typing import Any

import pytest

from lah_platform.events.envelope import Event
from lah_platform.replay.synthetic import SCENARIOS
from tests.replay.conftest import END
from tests.replay.reading import data_of


@pytest.fixture
def stored(workload_events: list[Event]) -> list[Event]:
    return workload_events


def test_what_nobody_measured_says_so(stored: list[Event]) -> None:
    for event in stored:
        is_measured_kind = event.subtype in ("throughput", "token_usage", "token_cost", "error_rate", "latency")
        if event.tags["trace"] == "synthetic" or not is_measured_kind:
            assert event.tags["synthetic"] == "true"
        elif event.tags.get("synthetic") != "true":
            assert event.tags["synthetic_fields"]


def test_every_scenario_is_in_the_events(stored: list[Event]) -> None:
    assert {event.tags["scenario"] for event in stored if "scenario" in event.tags} == set(SCENARIOS)


def test_every_cause_is_a_stored_earlier_event_of_the_same_tenant(stored: list[Event]) -> None:
    by_id = {event.event_id: event for event in stored}
    children = [event for event in stored if event.parent_event_id]
    assert children
    for event in children:
        assert event.parent_event_id is not None
        cause = by_id[event.parent_event_id]
        assert cause.timestamp <= event.timestamp
        assert cause.tenant == event.tenant


@pytest.mark.parametrize(
    ("scenario", "chain", "count"),
    [
        ("prompt-injection-campaign", ("threat", "policy_violation", "audit_trail"), 24),
        (
            "data-exfiltration",
            ("threat", "compliance_violation", "policy_violation", "compliance_check", "audit_trail"),
            1,
        ),
    ],
)
def test_a_threat_is_followed_by_what_it_caused(
    stored: list[Event], scenario: str, chain: tuple[str, ...], count: int
) -> None:
    chains: dict[Any, list[Event]] = defaultdict(list)
    for event in sorted(stored, key=lambda event: event.timestamp):
        if event.tags.get("scenario") == scenario:
            chains[event.correlation_id].append(event)
    assert len(chains) == count
    for events in chains.values():
        assert tuple(event.subtype for event in events) == chain
        assert [event.parent_event_id for event in events] == [None, *(event.event_id for event in events[:-1])]


def test_a_deployment_makes_one_service_slow_and_failing_until_it_is_rolled_back(stored: list[Event]) -> None:
    deployment, rollback = sorted(
        (event for event in stored if event.subtype == "deployment"), key=lambda event: event.timestamp
    )
    latency: dict[bool, list[float]] = defaultdict(list)
    failed: Counter[bool] = Counter()
    total: Counter[bool] = Counter()
    for event in stored:
        if event.tags.get("service") != "chat-api" or event.payload_type != "telemetry":
            continue
        is_after = deployment.timestamp < event.timestamp <= rollback.timestamp
        assert (event.tags.get("scenario") == "latency-degradation") == is_after
        if event.subtype == "latency":
            latency[is_after].append(data_of(event)["total_latency_ms"])
        else:
            failed[is_after] += data_of(event)["failed_requests"]
            total[is_after] += data_of(event)["total_requests"]
    assert len(latency[True]) == 18
    assert mean(latency[True]) > 3 * mean(latency[False])
    assert failed[True] / total[True] > 10 * failed[False] / total[False]


def test_the_looping_agent_shows_in_hourly_cost_and_its_budget_alerts_add_up(stored: list[Event]) -> None:
    costs = sorted(
        (event for event in stored if event.subtype == "token_cost" and event.tags["service"] == "research-agent"),
        key=lambda event: event.timestamp,
    )
    hourly: Counter[int] = Counter()
    for event in costs:
        hourly[(END - event.timestamp) // timedelta(hours=1)] += round(data_of(event)["total_cost_usd"] * 1e6)
    spike = {6, 7}
    assert min(hourly[hour] for hour in spike) > 5 * median(hourly[hour] for hour in range(240) if hour not in spike)

    alerts = sorted((event for event in stored if event.subtype == "budget_alert"), key=lambda e: e.timestamp)
    assert [data_of(alert)["alert_type"] for alert in alerts[-3:]] == ["warning", "critical", "exceeded"]
    start = END - timedelta(days=1)
    for alert in alerts[-3:]:
        fields = data_of(alert)
        spent = sum(
            (
                Decimal(str(data_of(cost)["total_cost_usd"]))
                for cost in costs
                if start < cost.timestamp <= alert.timestamp
            ),
            Decimal(0),
        )
        assert round(spent, 6) == Decimal(str(fields["current_spend_usd"]))
        assert fields["current_spend_usd"] / fields["budget_limit_usd"] * 100 >= fields["threshold_percent"]
