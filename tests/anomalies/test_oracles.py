"""Every number equals a slow, obvious version of itself."""

import statistics
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from lah_platform.anomalies import DEFAULT, DetectorConfig, anomaly_id, impact_level, score01
from lah_platform.anomalies.distribution import distribution_deviation, octaves
from lah_platform.anomalies.episodes import active
from lah_platform.anomalies.explanation import explain, number
from lah_platform.anomalies.frequency import filled_grid, frequency_deviation, negative_binomial_z
from lah_platform.anomalies.level import recent_deviation, same_phase_deviation
from lah_platform.anomalies.phase import phase_reference, slot_medians
from lah_platform.anomalies.rolling import small_sample_factor, trailing_baseline

from . import naive
from .points import HOUR, MONDAY, histogram

FINITE = st.floats(-1e6, 1e6).map(lambda v: round(v, 3))


@settings(deadline=None)
@given(values=st.lists(FINITE, min_size=2, max_size=60), history=st.integers(2, 20))
def test_a_trailing_baseline_is_the_statistics_of_the_values_before(values: list[float], history: int) -> None:
    fast = trailing_baseline(np.array(values), history)
    for at in range(1, len(values)):
        for name, expected in naive.baseline(values, at, history).items():
            assert getattr(fast, name)[at] == pytest.approx(expected, rel=1e-9, abs=1e-6), name


def test_a_trailing_baseline_does_not_depend_on_where_its_blocks_end() -> None:
    values = np.random.default_rng(0).normal(size=9000)
    whole, tail = trailing_baseline(values, 24), trailing_baseline(values[4000:], 24)
    for name in ("mean", "std", "median", "mad", "mean_ad", "q1", "q3"):
        np.testing.assert_array_equal(getattr(whole, name)[4024:], getattr(tail, name)[24:])


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10**6), minutes=st.sampled_from([20, 60, 360]), size=st.integers(10, 700))
def test_a_phase_level_is_the_median_of_the_same_hours_before(seed: int, minutes: int, size: int) -> None:
    rng = np.random.default_rng(seed)
    slot = timedelta(minutes=max(minutes, 60))
    bucket = np.flatnonzero(rng.random(size) < 0.8)
    bucket = bucket if len(bucket) else np.array([0])
    values = rng.normal(100, 10, len(bucket)).round(2)
    first = (MONDAY - datetime(1970, 1, 1, tzinfo=UTC)) // slot
    slots = first + bucket * minutes // (slot // timedelta(minutes=1))
    per_day = timedelta(days=1) // slot
    fast = phase_reference(values, slots, slot_medians(slots, values), per_day, DEFAULT)
    by_hour: dict[datetime, list[float]] = defaultdict(list)
    for b, value in zip(slots - first, values, strict=True):
        by_hour[MONDAY + int(b) * slot].append(value)
    for i, (b, value) in enumerate(zip(slots - first, values, strict=True)):
        level, is_weekly = naive.phase_level(by_hour, MONDAY + int(b) * slot, value)
        assert fast.level[i] == pytest.approx(np.nan if level is None else level, nan_ok=True)
        assert fast.is_weekly[i] == is_weekly


@settings(deadline=None)
@given(count=st.integers(0, 5000), mean=st.floats(0.01, 5000), dispersion=st.floats(4e-4, 5))
def test_a_count_has_the_tail_probability_of_the_negative_binomial_law(
    count: int, mean: float, dispersion: float
) -> None:
    law = stats.nbinom(1 / dispersion, 1 / (1 + mean * dispersion))
    tail = law.sf(count - 1) if count > mean else law.cdf(count)
    (z,) = negative_binomial_z(np.array([float(count)]), np.array([mean]), np.array([dispersion]))
    expected = max(stats.norm.isf(max(tail, 1e-300)), 0.0) * (1 if count > mean else -1)
    assert z == pytest.approx(expected, rel=1e-5, abs=1e-6)


@settings(deadline=None)
@given(gaps=st.lists(st.integers(1, 9), min_size=1, max_size=20), trailing=st.integers(1, 9), longest=st.integers(1, 6))
def test_the_grid_fills_gaps_up_to_where_a_series_counts_as_retired(
    gaps: list[int], trailing: int, longest: int
) -> None:
    bucket = np.cumsum(gaps)
    until = int(bucket[-1]) + trailing
    grid, before = filled_grid(bucket, until, longest)
    rows = set(bucket.tolist())
    expected = [b for b in range(int(bucket[0]), until) if b - max(r for r in rows if r <= b) <= longest]
    assert grid.tolist() == expected
    assert before.tolist() == [sum(r < b for r in rows) for b in expected]


@settings(deadline=None)
@given(data=st.data(), max_gap=st.integers(0, 3))
def test_an_episode_opens_holds_and_closes_bucket_by_bucket(data: st.DataObject, max_gap: int) -> None:
    buckets = sorted(data.draw(st.sets(st.integers(0, 40), min_size=1)))
    size = len(buckets)
    enter = data.draw(st.lists(st.booleans(), min_size=size, max_size=size))
    hold = data.draw(st.lists(st.booleans(), min_size=size, max_size=size))
    fast = active(np.array(buckets), np.array(enter), np.array(hold), max_gap)
    assert fast.tolist() == naive.active(buckets, enter, hold, max_gap)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), flat=st.booleans())
def test_a_recent_deviation_is_the_milder_vote_of_values_and_logarithms(seed: int, flat: bool) -> None:
    rng = np.random.default_rng(seed)
    values = np.where(rng.random(60) < 0.7, 50.0, 80.0) if flat else rng.lognormal(3, rng.uniform(0.01, 1), 60) - 5
    config = DetectorConfig(history=30, min_history=10)
    fast = recent_deviation(values, 1.0, config).deviation
    logs = [naive.log(v, 1.0) for v in values]
    for at in range(60):
        plain = naive.three_z(values.tolist(), at, 30, 0.02, 1.0) if at >= 10 else [0.0] * 3
        logarithmic = naive.three_z(logs, at, 30, 0.0, 0.02) if at >= 10 else [0.0] * 3
        expected = naive.milder(statistics.median(plain), statistics.median(logarithmic))
        assert fast[at] == pytest.approx(expected, rel=1e-5, abs=1e-9)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_a_residual_is_measured_by_the_residuals_before_it(seed: int) -> None:
    rng = np.random.default_rng(seed)
    config = DetectorConfig(history=30, min_history=10)
    size = 24 * 9
    values = 1000 + 300 * np.sin(np.arange(size) / 24 * 2 * np.pi) + rng.normal(0, 40, size)
    first = (MONDAY - datetime(1970, 1, 1, tzinfo=UTC)) // HOUR
    verdict = same_phase_deviation(values, first + np.arange(size), 24, 1.0, config)

    def naive_z(x: list[float], at: int, relative_floor: float, unit: float) -> float:
        def same_hour(i: int) -> list[float]:
            return [x[i - 24 * k] for k in range(1, 8) if i >= 24 * k]

        residuals = [x[i] - statistics.median(same_hour(i)) for i in range(72, at)][-30:]
        drift = statistics.median(residuals)
        mad = statistics.median([abs(r - drift) for r in residuals])
        usual = statistics.median(same_hour(at))
        within = statistics.median([abs(v - usual) for v in same_hour(at)])
        scale = max(1.4826022 * mad, 1.4826022 * within, relative_floor * abs(usual + drift), unit)
        return (x[at] - usual - drift) / scale * len(residuals) / (len(residuals) + 10)

    logs = [naive.log(v, 1.0) for v in values]
    assert np.isnan(verdict.deviation[: 72 + 10]).all()
    for at in range(72 + 10, size, 7):
        expected = naive.milder(naive_z(values.tolist(), at, 0.02, 1.0), naive_z(logs, at, 0.0, 0.02))
        assert verdict.deviation[at] == pytest.approx(expected, rel=1e-5, abs=1e-9)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), rate=st.floats(0.2, 3000))
def test_a_rate_is_fitted_to_the_usual_counts_before(seed: int, rate: float) -> None:
    rng = np.random.default_rng(seed)
    counts = rng.poisson(rate * rng.gamma(20, 1 / 20, 70))
    outage = int(rng.integers(20, 60))
    counts[outage : outage + 6] = rng.choice([0, int(rate * 8)])
    config = DetectorConfig(history=25, min_history=10)
    verdict = frequency_deviation(np.arange(70), counts.astype(float), 70, None, config)
    everything = [True] * 70
    first = [naive.rate_z(counts.tolist(), at, 25, 0.02, everything) for at in range(1, 70)]
    first.insert(0, 0.0)
    usual = [at < 10 or abs(first[at]) < config.enter for at in range(70)]
    assert (verdict.deviation[:10] == 0).all()
    for at in range(10, 70):
        if sum(usual[max(0, at - 25) : at]) >= 10 and all(abs(abs(z) - config.enter) > 1e-3 for z in first[:at]):
            expected = naive.rate_z(counts.tolist(), at, 25, 0.02, usual)
            assert verdict.deviation[at] == pytest.approx(expected, rel=1e-3, abs=1e-3)


def test_small_samples_shrink_deviations_like_students_t() -> None:
    for n in (24, 36, 60, 100, 168):
        equivalent = stats.norm.isf(stats.t.sf(4.5, 0.37 * n)) / 4.5
        assert small_sample_factor(np.array([n]))[0] == pytest.approx(equivalent, abs=0.06)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_the_distance_of_histograms_is_the_distance_of_their_samples(seed: int) -> None:
    rng = np.random.default_rng(seed)
    config = DetectorConfig(history=10, min_history=4, min_bucket_count=1)
    samples = [rng.lognormal(rng.normal(5, 0.5), 0.5, rng.integers(5, 40)) for _ in range(15)]
    samples = [np.where(rng.random(len(s)) < 0.1, 0.0, s) for s in samples]
    tables = [histogram(s) for s in samples]
    row = np.concatenate([np.full(len(k), i) for i, (k, _) in enumerate(tables)])
    keys, counts = (np.concatenate([np.array(t[j]) for t in tables]) for j in (0, 1))
    verdict = distribution_deviation(row, keys, counts, 15, 1.0, config)
    for i in range(4, 15):
        now, before = np.log2(1 + samples[i]), np.log2(1 + np.concatenate(samples[max(0, i - 10) : i]))
        assert verdict.distance[i] == pytest.approx(naive.distance(now, before), abs=2 / 32 + 1e-3)


def test_an_octave_is_a_doubling_and_signs_mirror() -> None:
    keys = np.array([histogram(np.array([v]))[0][0] for v in (1024.0, 2048.0, -2048.0, 0.0, 1e-9)])
    low, high, negative, zero, tiny = octaves(keys, 1.0)
    assert high - low == pytest.approx(1.0, abs=1e-2)
    assert (negative, zero) == (-high, 0.0)
    assert tiny == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize(
    ("score", "level"),
    [
        (0, "negligible"),
        (0.2, "low"),
        (0.399, "low"),
        (0.4, "medium"),
        (0.6, "high"),
        (0.8, "critical"),
        (1, "critical"),
    ],
)
def test_impact_levels_are_cut_where_the_catalog_says(score: float, level: str) -> None:
    assert impact_level(score) == level


def test_a_score_outside_zero_to_one_is_a_bug() -> None:
    for score in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match=r"0\.\.1"):
            impact_level(score)


@settings(deadline=None)
@given(deviation=st.floats(-1e6, 1e6), threshold=st.floats(0.1, 10))
def test_a_score_is_nothing_at_the_threshold_and_grows_towards_one(deviation: float, threshold: float) -> None:
    score = score01(deviation, threshold)
    assert 0 <= score < 1
    assert (score == 0) == (abs(deviation) <= threshold) or abs(deviation) == pytest.approx(threshold)
    assert score01(2 * threshold, threshold) == pytest.approx(0.5)


def test_an_anomaly_keeps_its_id_in_every_time_zone_and_release() -> None:
    here = anomaly_id(1, "latency_ms", "1h", "spike", MONDAY)
    assert here == anomaly_id(1, "latency_ms", "1h", "spike", datetime.fromisoformat("2025-01-06T01:00:00+01:00"))
    assert here == UUID("fd84ffeb-39a4-5459-93e5-d12c2ad78f20")
    assert (
        len({anomaly_id(1, "latency_ms", "1h", t, MONDAY + i * HOUR) for t in ("spike", "drop") for i in (0, 1)}) == 4
    )
    with pytest.raises(ValueError, match="time zone"):
        anomaly_id(1, "latency_ms", "1h", "spike", datetime(2025, 1, 6))  # noqa: DTZ001


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (812.44, "812.4"),
        (1234567, "1,235,000"),
        (0.00041, "0.00041"),
        (-2.5, "-2.5"),
        (1e-9, "1e-09"),
        (99.99999, "100"),
    ],
)
def test_numbers_read_to_four_digits(value: float, text: str) -> None:
    assert number(value) == text


def test_an_unknown_type_has_no_explanation() -> None:
    with pytest.raises(ValueError, match="unknown"):
        explain("surprise", "latency_ms", "mad", 1, 2, 3, 1)


@pytest.mark.parametrize(
    "wrong",
    [
        {"min_history": 1},
        {"min_history": 500},
        {"exit": 5.0},
        {"max_gap": -1},
        {"relative_floor": 0.0},
        {"min_day_cycles": 9},
    ],
)
def test_a_configuration_that_makes_no_sense_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must"):
        DetectorConfig(**wrong)  # type: ignore[arg-type]
