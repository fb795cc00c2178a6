"""anomaly, cost_impact, performance_degradation: anomalies that meet in time."""

from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lah_platform.correlations import Correlation, correlate
from lah_platform.correlations.excess_cost import CostBook

from .inputs import HOUR, MONDAY, anomaly, inputs, series


def of_type(kind: str, anomalies: Iterable[tuple[object, ...]]) -> list[Correlation]:
    return [c for c in correlate(inputs(anomalies=anomalies)) if c.correlation_type == kind]


def roles(correlation: Correlation) -> dict[str, str]:
    return {m.metric: m.role for m in correlation.members}


def test_anomalies_of_different_series_that_meet_are_one_cluster() -> None:
    rows = [
        anomaly("latency_ms", 30, 4, series_id=1),
        anomaly("failed_requests", 31, 2, series_id=2),
        anomaly("score", 33, 4, series_id=3),
        anomaly("ttft_ms", 90, 1, series_id=4),
    ]
    (cluster,) = of_type("anomaly", rows)
    assert roles(cluster) == {"latency_ms": "contributor", "failed_requests": "effect", "score": "effect"}
    assert cluster.strength == pytest.approx((1.0 + 0.25) / 2)
    assert cluster.confidence > 0.9
    assert (cluster.started_at, cluster.ended_at) == (MONDAY + 30 * HOUR, MONDAY + 37 * HOUR)


def test_two_metrics_of_one_series_or_anomalies_apart_are_no_cluster() -> None:
    assert of_type("anomaly", [anomaly("input_tokens", 30), anomaly("output_tokens", 30)]) == []
    assert of_type("anomaly", [anomaly("latency_ms", 30), anomaly("latency_ms", 32, series_id=2)]) == []


def test_a_long_anomaly_does_not_chain_a_whole_week_together() -> None:
    rows = [anomaly("latency_ms", 10, 160, series_id=1)]
    rows += [anomaly("latency_ms", h, series_id=i) for i, h in enumerate((11, 11, 12, 40, 100, 150), start=2)]
    (cluster,) = of_type("anomaly", rows)
    assert {m.at for m in cluster.members} == {MONDAY + h * HOUR for h in (10, 11, 12)}


def test_anomalies_scattered_at_random_are_hardly_ever_a_cluster() -> None:
    reported = 0
    for seed in range(60):
        hours = np.random.default_rng(seed).integers(0, 335, 25)
        reported += bool(of_type("anomaly", [anomaly("latency_ms", int(h), series_id=i) for i, h in enumerate(hours)]))
    assert reported <= 12  # one in ten at most, and the luck of 60 draws


def test_a_cost_spike_is_explained_by_tokens_of_its_model_that_rose_no_later() -> None:
    rows = [
        anomaly("cost_usd", 50, 3, series_id=1),
        anomaly("input_tokens", 50, 3, series_id=2),
        anomaly("total_requests", 51, 2, series_id=3),
        anomaly("output_tokens", 50, 3, series_id=4, model="other"),
        anomaly("total_tokens", 50, 3, series_id=5, deviation=-8.0, anomaly_type="drop"),
        anomaly("score", 50, 3, series_id=6),
    ]
    (impact,) = of_type("cost_impact", rows)
    assert roles(impact) == {"cost_usd": "effect", "input_tokens": "contributor", "total_requests": "related"}
    assert impact.strength == 1.0
    assert impact.explanation == "cost_usd of gpt-4 rose together with input_tokens, total_requests."


@pytest.mark.parametrize(
    "other",
    [
        anomaly("input_tokens", 70, series_id=2),
        anomaly("input_tokens", 50, series_id=2, model="other"),
        anomaly("input_tokens", 50, series_id=2, tenant="rival"),
        anomaly("score", 50, series_id=2),
        anomaly("latency_ms", 50, series_id=2, deviation=-8.0, anomaly_type="drop"),
    ],
)
def test_what_is_of_another_time_model_tenant_or_kind_does_not_explain_cost(other: tuple[object, ...]) -> None:
    assert of_type("cost_impact", [anomaly("cost_usd", 50), other]) == []


def test_what_an_episode_cost_is_told_in_dollars_and_parted_into_more_and_dearer_tokens() -> None:
    hours = np.arange(24 * 14)
    tokens = np.where(hours % 24 < 12, 2000.0, 1000.0)
    cost = tokens * 0.001
    tokens[230:233] *= 1.5  # half as many again ...
    cost[230:233] *= 1.5 * 2.0  # ... each at twice the price
    points = series(cost, 1, "cost_usd", model="gpt-4") + series(tokens, 2, "total_tokens", model="gpt-4")
    report = correlate(
        inputs(
            anomalies=[anomaly("cost_usd", 230, 3, series_id=1), anomaly("failed_requests", 230, 3, series_id=3)],
            points=points,
        )
    )
    (impact,) = (c for c in report if c.correlation_type == "cost_impact")
    usual = 1.0 + 1.0 + 1.0  # three hours after noon
    assert impact.evidence["cost_usd"] == pytest.approx(2.0 * usual)
    assert impact.evidence["volume_usd"] == pytest.approx(0.5 * usual)
    assert impact.evidence["rate_usd"] == pytest.approx(1.5 * usual)
    assert impact.evidence["drivers"] == "failed_requests"
    assert "6.00 USD over the usual" in impact.explanation


def test_the_cost_of_an_episode_is_unknown_where_no_cost_was_seen() -> None:
    book = CostBook(inputs(points=series(np.ones(5), 1, "cost_usd", model="gpt-4")).points)
    assert book.excess("acme", "other", MONDAY, MONDAY + HOUR) is None
    assert book.excess("acme", "gpt-4", MONDAY, MONDAY + 5 * HOUR) is None  # nothing to compare with
    assert book.excess("acme", "gpt-4", MONDAY + 9 * HOUR, MONDAY + 10 * HOUR) is None
    excess = book.excess("acme", "gpt-4", MONDAY, MONDAY + HOUR)
    assert excess is not None
    assert (excess.usd, excess.volume_usd, excess.rate_usd) == (0.0, 0.0, 0.0)


def test_without_a_model_nothing_says_that_two_series_are_about_the_same_thing() -> None:
    rows = [anomaly("cost_usd", 50, model=""), anomaly("input_tokens", 50, series_id=2, model="")]
    assert of_type("cost_impact", rows) == []


def test_tokens_that_are_anomalous_all_week_explain_no_single_cost_spike() -> None:
    tokens = [anomaly("input_tokens", h, 0.5, series_id=2) for h in range(0, 330, 3)]
    assert of_type("cost_impact", [anomaly("cost_usd", 51), *tokens]) == []


def test_latency_up_with_failures_and_less_throughput_is_a_degradation_told_once() -> None:
    rows = [
        anomaly("requests_per_second", 40, 3, series_id=3),
        anomaly("latency_ms", 41, 3, series_id=1),
        anomaly("ttft_ms", 41, 3, series_id=1),
        anomaly("failed_requests", 42, 2, series_id=2),
        anomaly("tokens_per_second", 42, 2, series_id=1, deviation=-6.0, anomaly_type="drop"),
    ]
    (degradation,) = of_type("performance_degradation", rows)
    assert roles(degradation) == {
        "latency_ms": "effect",
        "ttft_ms": "effect",
        "requests_per_second": "contributor",
        "failed_requests": "effect",
        "tokens_per_second": "effect",
    }


@pytest.mark.parametrize(
    ("latency", "other"),
    [
        (anomaly("latency_ms", 40, deviation=-8.0), anomaly("failed_requests", 40, series_id=2)),
        (anomaly("latency_ms", 40), anomaly("failed_requests", 40, series_id=2, deviation=-8.0)),
        (anomaly("latency_ms", 40), anomaly("tokens_per_second", 40, series_id=2, deviation=8.0)),
        (anomaly("latency_ms", 40), anomaly("failed_requests", 45, series_id=2)),
        (anomaly("latency_ms", 40), anomaly("failed_requests", 40, series_id=2, model="other")),
        (anomaly("latency_ms", 40), anomaly("score", 40, series_id=2)),
    ],
)
def test_faster_answers_fewer_failures_and_strangers_are_no_degradation(
    latency: tuple[object, ...], other: tuple[object, ...]
) -> None:
    assert of_type("performance_degradation", [latency, other]) == []


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), size=st.integers(2, 25))
def test_no_cause_begins_after_its_effect(seed: int, size: int) -> None:
    rng = np.random.default_rng(seed)
    metrics = ["cost_usd", "input_tokens", "latency_ms", "failed_requests", "requests_per_second"]
    rows = {
        (
            row := anomaly(
                str(rng.choice(metrics)),
                float(rng.choice([50, 51, 52, 200])),
                float(rng.integers(1, 4)),
                series_id=int(rng.integers(6)),
            )
        )[0]: row
        for _ in range(size)
    }
    found = correlate(inputs(anomalies=rows.values())).correlations
    for correlation in found:
        causes = [m.at for m in correlation.members if m.role in ("root_cause", "contributor")]
        effects = [m.at for m in correlation.members if m.role == "effect"]
        assert not causes or not effects or max(causes) <= max(effects)
        assert not causes or correlation.correlation_type == "cost_impact" or max(causes) <= min(effects)
        starts = [m.at for m in correlation.members]
        assert correlation.started_at == min(starts)
        assert correlation.ended_at > correlation.started_at
