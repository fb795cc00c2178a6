"""Surprise, value by value: each answer equals a slow, obvious version of itself."""

import math
import statistics
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lah_platform.anomalies.hours import HourBands
from lah_platform.anomalies.surprise import MOST, Memory, news, surprises, unrest
from lah_platform.anomalies.tail import Tail
from lah_platform.anomalies.window import SortedWindow

FINITE = st.floats(-1e6, 1e6).map(lambda v: round(v, 3))


@settings(deadline=None)
@given(values=st.lists(FINITE, min_size=1, max_size=60), size=st.integers(1, 20), asked=FINITE)
def test_a_sorted_window_is_the_last_values_in_order(values: list[float], size: int, asked: float) -> None:
    window = SortedWindow(size)
    for value in values:
        window.add(value)
    kept = sorted(values[-size:])
    assert window.ordered == kept
    assert window.median() == pytest.approx(statistics.median(kept))
    assert window.distance(asked) == min(abs(asked - each) for each in kept)
    assert window.quantile(0.98) == kept[int(0.98 * (len(kept) - 1))]
    inner = kept[2:-2] if len(kept) >= 10 else kept
    assert window.spread() == inner[-1] - inner[0]
    assert window.mean_but(4) == pytest.approx(statistics.fmean(kept[:-4]) if len(kept) > 4 else 0.0)


def naive_decades(deviations: Sequence[float], at: int, history: int, warm_up: int, floor: float) -> float:
    """Peaks over threshold, everything computed anew: the exceedance of each past deviation over the quantile then."""

    def quantile(i: int) -> float:
        past = sorted(deviations[max(0, i - history) : i])
        return past[int(0.98 * (len(past) - 1))]

    past = deviations[max(0, at - history) : at]
    if len(past) < warm_up:
        return 0.0
    first = max(at - history, warm_up)
    excess = [deviations[i] - quantile(i) for i in range(first, at) if deviations[i] > quantile(i)]
    scale = (quantile(at) - statistics.median(past)) / math.log(25)
    if len(excess) >= 5:
        scale = max(statistics.fmean(excess), scale / 2)
    probability = 0.02 * math.exp(-(deviations[at] - quantile(at)) / max(scale, floor))
    return max(-math.log10(probability), 0.0) if probability > 0 else math.inf


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), history=st.integers(20, 200), constant=st.booleans())
def test_a_tail_probability_is_that_of_an_exponential_law_beyond_the_quantile(
    seed: int, history: int, constant: bool
) -> None:
    deviations = [3.0] * 150 if constant else np.random.default_rng(seed).gamma(0.7, 2.0, 300).tolist()
    tail = Tail(history, 20)
    for at, deviation in enumerate(deviations):
        told, expected = tail.decades(deviation, 0.01), naive_decades(deviations, at, history, 20, 0.01)
        assert told == pytest.approx(expected, rel=1e-6, abs=1e-6)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), days=st.integers(1, 40), kept=st.integers(2, 10), share=st.floats(0.2, 1.0))
def test_a_band_is_the_extremes_of_the_hour_before_to_the_hour_after(
    seed: int, days: int, kept: int, share: float
) -> None:
    rng = np.random.default_rng(seed)
    hours = np.sort(rng.choice(days * 24, max(1, int(days * 24 * share)), replace=True)) + 1000
    values = rng.normal(0, 5, len(hours)).round(2)
    bands = HourBands(kept, 2, 1)

    def naive(at: int, period: int, enough: int) -> float | None:
        outside = []
        for earlier in range(hours[at] - period, hours[at] - 24 * kept - 1, -period):
            if earlier in hours:
                near = values[(np.abs(hours - earlier) <= 1)]
                outside.append(max(near.min() - values[at], values[at] - near.max(), 0.0))
        return min(outside) if len(outside) >= enough else None

    for at, (hour, value) in enumerate(zip(hours.tolist(), values.tolist(), strict=True)):
        by_day, by_week = bands.distances(hour, value)
        assert by_day == (pytest.approx(naive(at, 24, 2)) if naive(at, 24, 2) is not None else None)
        assert by_week == (pytest.approx(naive(at, 168, 1)) if naive(at, 168, 1) is not None else None)


def naive_surprise(values: Sequence[float], hours: Sequence[int] | None, at: int, memory: Memory) -> float:
    """The four questions asked of the whole past again."""
    if at == 0:
        return 0.0

    def decades(share: float) -> float:
        return 4 + math.log10(min(share, 3.0)) if share > 1e-4 else 0.0

    def spread(numbers: Sequence[float]) -> float:
        ordered = sorted(numbers)
        inner = ordered[2:-2] if len(ordered) >= 10 else ordered
        return inner[-1] - inner[0]

    def residual(i: int) -> float:
        return values[i] - statistics.median(values[max(0, i - memory.recent) : i])

    past, smallest = values[max(0, at - memory.values) : at], max(1.0, 0.02 * abs(values[at] - residual(at)))
    scale = max(spread(past), 10 * smallest)
    nearest = min(abs(values[at] - each) for each in past)
    total = 2 * decades(nearest / scale)
    residuals = [residual(i) for i in range(max(1, at - memory.values), at)]
    if residuals:
        off = min(abs(residual(at) - each) for each in residuals)
        total += decades(off / max(spread(residuals), 10 * smallest))
    tail = Tail(memory.values, memory.tail_warm_up)
    probability = 0.0
    for i in range(1, at + 1):
        level = statistics.median(values[max(0, i - memory.level) : i])
        floor = max(1.0, 0.02 * abs(values[i] - residual(i)))
        probability = tail.decades(abs(values[i] - level), floor)
    total += min(0.7 * probability, 4.0)
    if hours is not None:
        bands = HourBands(memory.days, memory.min_days, memory.min_weeks)
        by_day = None
        for i in range(at + 1):
            by_day, _ = bands.distances(hours[i], values[i])
        total += decades(by_day / scale) if by_day is not None else 0.0
    steps = sorted(abs(values[i] - values[i - 1]) for i in range(max(1, at - memory.recent), at))
    if steps:
        usual = max(statistics.median(steps), 0.5 * statistics.fmean(steps[:-4]) if len(steps) > 4 else 0.0)
        total = 0.0 if nearest < usual else total
    count = min(at + 1, memory.values)
    return total / 5 * count / (count + 20)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), with_hours=st.booleans())
def test_surprise_is_the_four_questions_asked_of_the_past(seed: int, with_hours: bool) -> None:
    rng = np.random.default_rng(seed)
    values = rng.lognormal(3, 0.4, 110).round(1)
    values[rng.integers(0, 110, 6)] *= rng.choice([0.1, 3.0, 20.0])
    hours = (np.arange(110) * 3 // 2).tolist() if with_hours else None
    memory = Memory(values=60, level=40, recent=25, tail_warm_up=15, days=4, min_days=2)
    fast, _ = surprises(values.tolist(), hours, 1.0, 0.02, memory)
    for at in range(0, 110, 3):
        assert fast[at] == pytest.approx(naive_surprise(values.tolist(), hours, at, memory), rel=1e-6, abs=1e-9)
    assert (fast <= MOST).all()


@settings(deadline=None)
@given(values=st.lists(st.one_of(FINITE, st.just(7.0)), max_size=80), more=st.lists(FINITE, min_size=1, max_size=20))
def test_what_comes_later_changes_no_surprise(values: list[float], more: list[float]) -> None:
    memory = Memory(values=30, level=20, recent=10, tail_warm_up=5)
    before, _ = surprises(values, None, 1.0, 0.02, memory)
    after, _ = surprises(values + more, None, 1.0, 0.02, memory)
    assert before.tolist() == after[: len(values)].tolist()


def test_what_has_been_seen_is_no_surprise() -> None:
    flat, _ = surprises([7.0] * 500, None, 1.0, 0.02, Memory())
    two_levels, _ = surprises([20.0, 80.0] * 300, None, 1.0, 0.02, Memory())
    counts = np.random.default_rng(0).poisson(0.02, 3000).astype(float).tolist()
    rare, _ = surprises(counts, None, 1.0, 0.02, Memory())
    assert flat.max() < 0.3
    assert two_levels[40:].max() < 0.3
    assert rare[100:].max() < 1.9


@settings(deadline=None)
@given(sizes=st.lists(st.floats(0, 4), max_size=40), gaps=st.lists(st.integers(1, 5), min_size=40, max_size=40))
def test_news_is_greater_than_what_is_remembered_of_all_before(sizes: list[float], gaps: list[int]) -> None:
    bucket = np.cumsum(gaps)[: len(sizes)].tolist()
    told = news(np.array(sizes), bucket, 0.1)
    for at, size in enumerate(sizes):
        heard = [told[i] - 0.1 * (bucket[at] - bucket[i]) for i in range(at) if told[i] > 0]
        if all(abs(size - each) > 1e-9 for each in [*heard, 0.0]):
            assert told[at] == (size if size > max(heard, default=0.0) and size > 0 else 0.0)


def test_unrest_halves_in_its_half_life_and_a_lasting_surprise_is_all_of_it() -> None:
    shock = np.concatenate([np.full(500, 2.0), np.zeros(50)])
    state = unrest(shock, 50)
    assert state[499] == pytest.approx(2.0, rel=1e-3)
    assert state[549] ** 4 == pytest.approx(state[499] ** 4 / 2)
