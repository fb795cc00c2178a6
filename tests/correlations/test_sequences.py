"""pattern_match: what keeps following something else is found, what merely shares its times is not."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from lah_platform.correlations import Correlation, CorrelationConfig, correlate
from lah_platform.correlations.sequences import _at_least, _pair

from .inputs import event, inputs

MINUTES = 14 * 24 * 60


def found(rows: Sequence[tuple[object, ...]]) -> list[Correlation]:
    return [c for c in correlate(inputs(events=rows)) if c.correlation_type == "pattern_match"]


def at_random(rng: np.random.Generator, kind: str, count: int) -> list[tuple[object, ...]]:
    return [event(f"{kind}{i}", minute, kind=kind) for i, minute in enumerate(sorted(rng.uniform(0, MINUTES, count)))]


def after(
    rows: Sequence[tuple[object, ...]], kind: str, rng: np.random.Generator, share: float = 0.8
) -> list[tuple[object, ...]]:
    start = inputs(events=rows).events["ts"]
    base = [(ts - start.dt.truncate("1w").min()).total_seconds() / 60 for ts in start]  # type: ignore[operator]
    return [event(f"{kind}{i}", m + rng.uniform(1, 5), kind=kind) for i, m in enumerate(base) if rng.random() < share]


def test_what_follows_in_another_module_is_found_with_its_lift() -> None:
    rng = np.random.default_rng(1)
    deploys = at_random(rng, "lifecycle/deployed", 40)
    (match,) = found(deploys + after(deploys, "alert/latency_high", rng) + at_random(rng, "audit/login", 200))
    assert match.evidence["sequence"] == "lifecycle/deployed > alert/latency_high"
    assert match.strength == pytest.approx(0.8, abs=0.15)
    assert float(match.evidence["lift"]) > 5  # type: ignore[arg-type]
    assert match.confidence >= 0.95
    assert [m.role for m in match.members[:2]] == ["contributor", "effect"]


def test_three_in_a_row_are_one_sequence_and_not_three_pairs() -> None:
    rng = np.random.default_rng(2)
    first = at_random(rng, "lifecycle/deployed", 60)
    second = after(first, "alert/latency_high", rng, 0.9)
    third = after(second, "governance/policy_violation", rng, 0.9)
    (match,) = found(first + second + third)
    assert match.evidence["sequence"] == "lifecycle/deployed > alert/latency_high > governance/policy_violation"


def test_the_same_module_is_no_news() -> None:
    rng = np.random.default_rng(3)
    first = at_random(rng, "audit/login", 40)
    assert found(first + after(first, "audit/logout", rng)) == []


@pytest.mark.parametrize("law", ["even", "office hours", "bursts"])
def test_unrelated_kinds_are_reported_no_more_often_than_stated(law: str) -> None:
    runs, false = 40, 0
    for seed in range(runs):
        rng = np.random.default_rng([seed, len(law)])
        rows: list[tuple[object, ...]] = []
        for number in range(6):
            minutes = rng.uniform(0, MINUTES, 300)
            if law == "office hours":
                minutes = minutes[(minutes % 1440 > 480) & (minutes % 1440 < 1080)]
            if law == "bursts":
                minutes = (rng.uniform(0, MINUTES, 30)[:, None] + rng.uniform(0, 8, (30, 10))).ravel()
            rows += [event(f"{number}.{i}", m, kind=f"{'abcdef'[number]}/x") for i, m in enumerate(minutes)]
        false += bool(found(rows))
    assert false <= stats.binom.isf(1e-3, runs, CorrelationConfig().false_positive_rate)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 300), min_size=1, max_size=25, unique=True),
    st.lists(st.integers(0, 300), min_size=1, max_size=25, unique=True),
)
def test_following_is_counted_as_one_would_by_hand(one: list[int], other: list[int]) -> None:
    window = 10.0
    pair = _pair(("a", "x"), ("b", "y"), np.array(sorted(one), float), np.array(sorted(other), float), window)
    kept: list[int] = []
    for time in sorted(one):
        if not kept or time - kept[-1] > window:
            kept.append(time)
    follows = [any(0 < b - a <= window for b in other) for a in kept]
    precedes = [any(0 < a - b <= window for b in other) for a in kept]
    assert [sorted(one)[i] for i in pair.starts] == [a for a, f in zip(kept, follows, strict=True) if f]
    forth = sum(f and not p for f, p in zip(follows, precedes, strict=True))
    back = sum(p and not f for f, p in zip(follows, precedes, strict=True))
    assert pair.p_value == pytest.approx(stats.binom.sf(forth - 1, forth + back, 0.5) if forth else 1.0)


def test_the_chance_of_a_fair_coin() -> None:
    assert _at_least(20, 20) == pytest.approx(0.5**20)
    assert _at_least(0, 0) == 1.0
    assert _at_least(900, 1000) == pytest.approx(stats.binom.sf(899, 1000, 0.5))


def test_few_or_simultaneous_events_say_nothing() -> None:
    assert found([]) == []
    assert found([event("a", 1, kind="audit/x"), event("b", 2, kind="alert/y")]) == []
    same = [event(f"{kind}{i}", 60.0 * i, kind=kind) for i in range(50) for kind in ("audit/x", "alert/y")]
    assert found(same) == []
