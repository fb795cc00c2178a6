"""What holds for all eight types: tenants apart, the same answer every time, honest bounds."""

from datetime import timedelta
from uuid import UUID

import numpy as np
import polars as pl
import pytest
from scipy import stats

from lah_platform.correlations import (
    Correlation,
    CorrelationConfig,
    CorrelationInputs,
    Member,
    correlate,
    correlation_id,
)
from lah_platform.correlations.coincidence import chance_of_meeting, distinct_episodes, poisson_tail
from lah_platform.correlations.evidence import AnomalyRow

from .inputs import HOUR, MONDAY, anomaly, event, inputs, series

ALL_TYPES = {
    "causal_chain",
    "temporal",
    "pattern_match",
    "anomaly",
    "cost_impact",
    "security_incident",
    "performance_degradation",
    "compliance_cascade",
}


def everything(tenant: str = "acme") -> CorrelationInputs:
    """One true correlation of each type."""
    rng = np.random.default_rng(0)
    hour = np.arange(24 * 14)
    rhythm = 100 + 50 * np.sin(hour / 24 * 2 * np.pi)
    bump = np.where(hour >= 24 * 9, 80 * np.sin(hour / 5) + 20 * (hour % 5), 0.0)
    shift = 24 * 3  # ends on a Thursday: Tuesday to Friday are one kind of day
    one, other = ((rhythm + bump + rng.normal(0, 3, len(hour)))[:-shift] for _ in range(2))
    return inputs(
        events=[
            event("root", 0, tenant=tenant),
            event("child", 1, parent="root", tenant=tenant),
            event("threat", 5, kind="security/threat", severity="error", operation="op", tenant=tenant),
            event("auth", 6, kind="security/auth", severity="warning", operation="op", tenant=tenant),
            event("violation", 9, kind="governance/policy_violation", operation="audit", tenant=tenant),
            event("check", 10, kind="governance/compliance_check", operation="audit", tenant=tenant),
            *(
                event(f"{kind}{i}", minute + 300 * i, kind=kind, tenant=tenant)
                for i in range(20)
                for kind, minute in (("lifecycle/deployed", 100), ("alert/latency_high", 103))
            ),
        ],
        anomalies=[
            anomaly("cost_usd", 50, 2, series_id=1, tenant=tenant),
            anomaly("input_tokens", 50, 2, series_id=2, tenant=tenant),
            anomaly("latency_ms", 200, 2, series_id=3, tenant=tenant),
            anomaly("failed_requests", 200, 2, series_id=4, tenant=tenant),
        ],
        points=series(one, 11, tenant=tenant) + series(other, 12, tenant=tenant),
    )


def stacked(one: CorrelationInputs, other: CorrelationInputs) -> CorrelationInputs:
    frames = (pl.concat([getattr(one, n), getattr(other, n)]) for n in ("events", "anomalies", "points"))
    return CorrelationInputs(*frames, one.covered_from, one.covered_to)


def test_all_eight_types_are_found_where_they_are() -> None:
    report = correlate(everything())
    assert {c.correlation_type for c in report} == ALL_TYPES
    assert report.skipped_pairs == 0
    assert report.left_out == {}
    assert len(report) == len(report.correlations)
    for correlation in report:
        assert 0 <= correlation.strength <= 1
        assert 0.9 <= correlation.confidence <= 1 or correlation.evidence["links_by_correlation_id"]
        assert correlation.explanation.endswith(".")
        assert [c.started_at for c in report] == sorted(c.started_at for c in report)


def test_the_order_of_rows_does_not_matter_and_a_repetition_gives_the_same_ids() -> None:
    given_inputs = everything()
    shuffled = CorrelationInputs(
        *(
            getattr(given_inputs, n).sample(fraction=1.0, shuffle=True, seed=3)
            for n in ("events", "anomalies", "points")
        ),
        given_inputs.covered_from,
        given_inputs.covered_to,
    )
    assert correlate(given_inputs).correlations == correlate(shuffled).correlations
    assert len({c.correlation_id for c in correlate(given_inputs)}) == len(correlate(given_inputs))


def test_tenants_never_meet() -> None:
    alone, both = correlate(everything("acme")), correlate(stacked(everything("acme"), everything("rival")))
    assert [c for c in both if c.tenant == "acme"] == list(alone)
    assert len(both) == 2 * len(alone)
    assert not {c.correlation_id for c in both if c.tenant == "rival"} & {c.correlation_id for c in alone}
    halves = everything("acme")
    for_rival = everything("rival")
    events = pl.concat([halves.events[::2], for_rival.events[1::2]])
    anomalies = pl.concat([halves.anomalies[::2], for_rival.anomalies[1::2]])
    points = pl.concat(
        [halves.points.filter(pl.col("series_id") == 11), for_rival.points.filter(pl.col("series_id") == 12)]
    )
    assert len(correlate(CorrelationInputs(events, anomalies, points, halves.covered_from, halves.covered_to))) == 0


def test_a_cluster_keeps_its_id_while_it_grows() -> None:
    rows = [anomaly("latency_ms", 30, 4, series_id=1), anomaly("score", 31, 2, series_id=2)]
    (before,) = correlate(inputs(anomalies=rows))
    (after,) = correlate(inputs(anomalies=[*rows, anomaly("ttft_ms", 32, 1, series_id=3)]))
    assert before.correlation_id == after.correlation_id
    assert len(after.members) == len(before.members) + 1


def test_an_id_depends_on_type_tenant_and_members_but_not_on_their_order() -> None:
    one, two = (Member("related", "series", n, "latency_ms", MONDAY) for n in "12")
    assert correlation_id("temporal", "acme", [one, two]) == correlation_id("temporal", "acme", [two, one])
    assert correlation_id("temporal", "acme", [one, two]) == UUID("4d9b9952-7968-5d4d-a865-0a0d140c41af")
    later = Member("related", "series", "1", "latency_ms", MONDAY + HOUR)
    assert correlation_id("temporal", "acme", [later, two]) != correlation_id("temporal", "acme", [one, two])
    early, late = (Member("effect", "event", "1", "", MONDAY + i * HOUR) for i in (0, 1))
    assert correlation_id("anomaly", "acme", [early]) == correlation_id("anomaly", "acme", [late])
    others = [("pattern_match", "acme", [one, two]), ("temporal", "rival", [one, two]), ("temporal", "acme", [one])]
    assert len({correlation_id(*o) for o in others} | {correlation_id("temporal", "acme", [one, two])}) == 4  # type: ignore[arg-type]


def test_nothing_in_nothing_out() -> None:
    assert len(correlate(inputs(period=None))) == 0


def test_frames_that_are_not_what_they_say_are_refused() -> None:
    good = everything()
    with pytest.raises(ValueError, match="model"):
        correlate(CorrelationInputs(good.events, good.anomalies.drop("model"), good.points))
    naive_times = good.events.with_columns(pl.col("ts").dt.replace_time_zone(None))
    with pytest.raises(ValueError, match=r"events\.ts"):
        correlate(CorrelationInputs(naive_times, good.anomalies, good.points))


def test_a_correlation_that_makes_no_sense_cannot_be_made() -> None:
    member = Member("related", "event", "1", "", MONDAY)
    some_id = correlation_id("temporal", "acme", [member])
    with pytest.raises(ValueError, match="strength"):
        Correlation(some_id, "acme", "temporal", MONDAY, MONDAY, 1.2, 1.0, "", (member, member))
    with pytest.raises(ValueError, match="two members"):
        Correlation(some_id, "acme", "temporal", MONDAY, MONDAY, 1.0, 1.0, "", (member,))
    with pytest.raises(ValueError, match="limits"):
        CorrelationConfig(max_series=0)


@pytest.mark.parametrize("mean", [1e-6, 0.01, 0.7, 5.0, 60.0])
@pytest.mark.parametrize("at_least", [0, 1, 2, 5, 40, 100])
def test_the_chance_of_meeting_is_a_poisson_tail(mean: float, at_least: int) -> None:
    assert poisson_tail(at_least, mean) == pytest.approx(stats.poisson.sf(at_least - 1, mean), rel=1e-9, abs=1e-300)
    assert poisson_tail(10**4, 2000.0) == 1.0


def test_ten_episodes_in_ten_days_meet_one_hour_by_chance_as_often_as_stated() -> None:
    day = timedelta(days=1).total_seconds()
    assert chance_of_meeting(1, 10, 3600.0, 10 * day) == pytest.approx(1 - np.exp(-1 / 24))


def test_a_fault_that_shows_in_five_metrics_of_a_series_is_one_episode() -> None:
    def row(series_id: int, hour: float, hours: float) -> AnomalyRow:
        start = MONDAY + hour * HOUR
        name = f"{series_id}-{hour}-{hours}"
        return AnomalyRow(name, "acme", series_id, "m", "spike", start, start + hours * HOUR, 5.0, "")

    same = [row(1, 10, 3), row(1, 10, 1), row(1, 11, 4), row(1, 14, 1)]
    assert distinct_episodes(same) == 1
    assert distinct_episodes([*same, row(1, 20, 1), row(2, 10, 1)]) == 3
    assert distinct_episodes([]) == 0
