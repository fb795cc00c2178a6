"""Few events are little evidence: chance at low rates and single requests open no episode, real changes still do."""

import math
import statistics

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lah_platform.anomalies import DEFAULT, detect
from lah_platform.anomalies.evidence import dispersion, evidence_weight, poisson_z, trailing_mean

from .points import HOUR, points

_FOUR_WEEKS = 28 * 24


@settings(deadline=None)  # the first call imports scipy
@given(count=st.integers(0, 40), mean=st.floats(0.1, 30))
def test_a_count_is_as_improbable_as_the_sum_of_the_probabilities_says(count: int, mean: float) -> None:
    exact = [math.exp(-mean + k * math.log(mean) - math.lgamma(k + 1)) for k in range(400)]
    tail = sum(exact[count:]) if count > mean else sum(exact[: count + 1])
    (z,) = poisson_z(np.array([float(count)]), np.array([mean]))
    assert 0.5 * math.erfc(abs(z) / math.sqrt(2)) == pytest.approx(min(tail, 0.5), rel=1e-6, abs=1e-14)
    assert (z > 0) == (count > mean and tail < 0.5)


def test_the_mean_before_the_first_bucket_is_unknown_and_reaches_no_further_back_than_asked() -> None:
    assert trailing_mean(np.array([4.0, 2.0, 6.0, 1.0]), 2).tolist()[1:] == [4.0, 3.0, 4.0]
    assert math.isnan(trailing_mean(np.array([4.0]), 2)[0])
    assert trailing_mean(np.array([]), 2).tolist() == []


def test_a_total_that_lost_its_events_is_believed_to_be_low_and_a_mean_of_one_event_is_not() -> None:
    counts = np.array([40.0] * 20 + [1.0])
    bucket = np.arange(len(counts))
    spread = dispersion(counts, bucket, 168)[-1]
    assert evidence_weight(counts, bucket, 2.0, 168, is_total=True)[-1] == pytest.approx(40 / (40 + 2 * spread))
    assert evidence_weight(counts, bucket, 2.0, 168, is_total=False)[-1] == pytest.approx(1 / (1 + 2 * spread))


@given(st.lists(st.integers(0, 50), min_size=1, max_size=60), st.integers(1, 30))
def test_the_dispersion_is_that_of_the_counts_before_and_says_poisson_until_they_say_otherwise(
    counts: list[int], history: int
) -> None:
    bucket = np.flatnonzero(counts)
    found = dispersion(np.array(counts, float)[bucket], bucket, history)
    for place, (at, value) in enumerate(zip(bucket.tolist(), found, strict=True)):
        before = counts[bucket[max(0, place - history)] : at]
        if not sum(before):
            assert value == 1
        else:
            n, ratio = len(before), statistics.pvariance(before) / statistics.mean(before)
            assert value == pytest.approx(min(1.0, (n * ratio + 2) / (n + 2)), abs=1e-9)


def test_a_bill_that_comes_once_an_hour_is_told_when_it_is_ten_times_the_usual() -> None:
    rng = np.random.default_rng(5)
    bills = (3.0 * rng.lognormal(0, 0.05, 600)).tolist()
    bills[500:503] = [30.0, 31.0, 29.0]
    told = detect(points(bills, counts=[1] * 600, metric="cost_usd"), window="1h", step=HOUR, config=DEFAULT)
    assert told.filter(pl.col("anomaly_type") == "spike")["observed"].to_list() == [31.0]


@pytest.mark.parametrize("rate", [0.3, 1.0, 4.0])
def test_chance_at_low_rates_is_no_anomaly(rate: float) -> None:
    told = 0
    for seed in range(8):
        counts = np.random.default_rng(seed).poisson(rate, _FOUR_WEEKS).tolist()
        found = detect(
            points([c or None for c in counts], counts=counts, metric="events"), window="1h", step=HOUR, config=DEFAULT
        )
        told += found.height
    assert told <= 1, "eight series in four weeks"


@pytest.mark.parametrize("rate", [1.0, 4.0])
def test_a_burst_of_a_sparse_series_is_still_told(rate: float) -> None:
    counts = np.random.default_rng(7).poisson(rate, _FOUR_WEEKS)
    counts[500] = 15 + 8 * int(rate)
    frame = points([c or None for c in counts.tolist()], counts=counts.tolist(), metric="events")
    found = detect(frame, window="1h", step=HOUR, config=DEFAULT)
    assert set(found["anomaly_type"]) >= {"frequency_anomaly"}
    assert found["peak_at"].n_unique() == 1


def test_one_slow_request_opens_nothing_where_thirty_do() -> None:
    rng = np.random.default_rng(3)
    values = rng.lognormal(6, 0.3, 600).tolist()
    values[500] = 20_000.0
    counts = rng.poisson(1, 600).tolist()
    counts[500] = 1
    values = [value if n else None for value, n in zip(values, counts, strict=True)]
    assert detect(points(values, counts=counts), window="1h", step=HOUR, config=DEFAULT).is_empty()
    counts[500] = 30
    told = detect(points(values, counts=counts), window="1h", step=HOUR, config=DEFAULT)
    assert ("spike", 20_000.0) in told.select("anomaly_type", "observed").rows()
