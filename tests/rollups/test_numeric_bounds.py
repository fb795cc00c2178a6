"""How far sums, deviations and percentiles may be from the truth, in numbers: after any batching, through all levels.

A deviation is within 1e-9 of itself while it is at least 1e-6 of the values. Below that, the doubles of the means
are the limit: it is within 2^-50 of the largest magnitude (measured: up to 1.3 * 2^-53, after 400 ticks of 1e15 + 1).
Either bound holds everywhere: |stddev - exact| <= max(1e-9 * exact, 2^-50 * max |value|).
"""

import math
import random
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from fractions import Fraction
from itertools import pairwise

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lah_platform.rollups.aggregate import aggregate_minutes, merge, with_measures
from lah_platform.rollups.histogram import key, relative_error
from lah_platform.rollups.windows import WINDOWS
from lah_platform.stores.postgres import Connection
from tests.rollups import naive
from tests.rollups.test_aggregate import all_levels, as_rows, of_one_metric

_STDDEV_PART = 1e-9
_STDDEV_FLOOR = 2.0**-50
_SUM_PART = Fraction(1, 10**12)
_FAR_APART = timedelta(hours=5)


def _after_ticks(values: list[float], every: timedelta, cuts: list[int]) -> dict[str, pl.DataFrame]:
    """Each batch merged into what is stored, window by window, as a tick does."""
    rows = of_one_metric("score", values, every)
    stored: dict[str, pl.DataFrame] = {}
    for start, end in pairwise([0, *sorted({cut for cut in cuts if 0 < cut < len(rows)}), len(rows)]):
        deltas = all_levels(aggregate_minutes(as_rows(rows[start:end])))
        parts = {name: pl.concat([stored[name], delta]) if stored else delta for name, delta in deltas.items()}
        stored = {size.name: merge(parts[size.name], size) for size in WINDOWS}
    return stored


def _assert_within_bounds(stored: dict[str, pl.DataFrame], values: list[float], every: timedelta) -> None:
    rows = of_one_metric("score", values, every)
    for name, aggregates in stored.items():
        expected = naive.recompute(rows, name)
        for row in with_measures(aggregates.filter(pl.col("metric") == "score")).iter_rows(named=True):
            exact = expected[row["series_id"], "score", row["bucket_start"]]
            largest = max(abs(exact.min), abs(exact.max))
            assert abs(Fraction(row["sum"]) - exact.sum) <= _SUM_PART * exact.magnitudes, name
            if exact.stddev is None:
                assert row["stddev"] is None
                continue
            allowed = max(_STDDEV_PART * exact.stddev, _STDDEV_FLOOR * largest)
            assert abs(row["stddev"] - exact.stddev) <= allowed, f"{name}: {row['stddev']} for {exact.stddev}"
            if exact.stddev >= 1e-6 * abs(float(exact.avg)):
                assert row["stddev"] == pytest.approx(exact.stddev, rel=1e-9, abs=0.0), name


@settings(max_examples=20, deadline=None)
@given(
    centre=st.sampled_from([1.0, 1e3, 1e9, -1e9, 1e12, 1e15, 1 / 3]),
    spread=st.integers(-16, 0).map(lambda exponent: 10.0**exponent),
    noise=st.lists(st.floats(-1, 1), min_size=2, max_size=40),
    cuts=st.lists(st.integers(1, 39), max_size=12),
    every=st.sampled_from([timedelta(0), timedelta(seconds=25), timedelta(minutes=19), _FAR_APART]),
)
@example(centre=1e15, spread=1e-15, noise=[0.0, 1.0], cuts=[1], every=timedelta(0))
@example(centre=1e15, spread=1e-15, noise=[0.0, 1.0] * 20, cuts=list(range(1, 39)), every=_FAR_APART)
def test_noise_on_a_large_value_keeps_its_deviation_however_it_is_batched(
    centre: float, spread: float, noise: list[float], cuts: list[int], every: timedelta
) -> None:
    values = [centre + centre * spread * each for each in noise]
    _assert_within_bounds(_after_ticks(values, every, cuts), values, every)


@pytest.mark.parametrize(("centre", "spread"), [(1e9, 1e3), (1e9, 1.0), (1e9, 1e-3), (1e15, 1.0), (-1e12, 1e-3)])
def test_forty_ticks_do_not_wear_a_deviation_down(centre: float, spread: float) -> None:
    seed = random.Random(f"{centre} {spread}")
    values = [centre + seed.gauss(0, spread) for _ in range(200)]
    cuts = list(range(0, 200, 5))
    _assert_within_bounds(_after_ticks(values, timedelta(seconds=7), cuts), values, timedelta(seconds=7))


def _pareto(seed: random.Random) -> float:
    return seed.paretovariate(0.5)


def _lognormal(seed: random.Random) -> float:
    return seed.lognormvariate(0, 4)


def _negative(seed: random.Random) -> float:
    return -seed.lognormvariate(0, 4)


def _mostly_zero(seed: random.Random) -> float:
    return seed.choice([0.0] * 95 + [seed.paretovariate(0.5), -seed.random()] + [0.0] * 3)


def _both_signs(seed: random.Random) -> float:
    return seed.choice([-1, 1]) * seed.lognormvariate(0, 4)


def _constant(_: random.Random) -> float:
    return 0.1


shapes = pytest.mark.parametrize("shape", [_pareto, _lognormal, _negative, _mostly_zero, _both_signs, _constant])
_COUNTS = [1, 2, 3, 20, 100, 1001]


def _order_statistic(values: list[float], percent: int) -> float:
    return sorted(values)[math.ceil(Fraction(percent, 100) * len(values)) - 1]


def _assert_is_percentile(found: float | None, values: list[float], percent: int) -> None:
    exact = _order_statistic(values, percent)
    assert found is not None
    assert min(values) <= found <= max(values)
    assert abs(found - exact) <= (relative_error() + 1e-9) * abs(exact), f"p{percent} is {found}, not {exact}"


@shapes
@pytest.mark.parametrize("count", _COUNTS)
def test_percentiles_of_hard_series_are_right_at_the_first_level_and_at_the_last(
    shape: Callable[[random.Random], float], count: int
) -> None:
    seed = random.Random(count)
    values = [shape(seed) for _ in range(count)]
    levels = all_levels(aggregate_minutes(as_rows(of_one_metric("latency_ms", values, timedelta(seconds=1)))))
    at_once = aggregate_minutes(as_rows(of_one_metric("latency_ms", values)))
    for aggregates in (levels["1M"], at_once):
        row = with_measures(aggregates.filter(pl.col("metric") == "latency_ms")).row(0, named=True)
        for percent in (50, 95, 99):
            _assert_is_percentile(row[f"p{percent}"], values, percent)


@shapes
def test_percentiles_of_hard_series_are_right_in_sql_too(
    shape: Callable[[random.Random], float], connection: Connection
) -> None:
    for count in _COUNTS:
        seed = random.Random(count)
        _assert_sql_is_right([shape(seed) for _ in range(count)], connection)


def _assert_sql_is_right(values: list[float], connection: Connection) -> None:
    found = Counter(key(value) for value in values)
    half = {some: times // 2 for some, times in found.items() if times > 1}
    rest = {some: times - half.get(some, 0) for some, times in found.items()}
    for percent in (50, 95, 99):
        row = connection.execute(
            "select lah_hist_quantile((m).keys, (m).counts, %s::float8, %s::float8, %s::float8)"
            " from lah_hist_merge(%s::int[], %s::bigint[], %s::int[], %s::bigint[]) m",
            [percent / 100, min(values), max(values)]
            + [part for each in (half, rest) for part in (sorted(each), [each[some] for some in sorted(each)])],
        ).fetchone()
        assert row is not None
        _assert_is_percentile(row[0], values, percent)


def test_a_percentile_of_nothing_is_null_in_sql(connection: Connection) -> None:
    row = connection.execute(
        "select lah_hist_quantile('{}', '{}', 0.5, 0, 0), lah_hist_quantile(null, null, 0.5, null, null),"
        " (select lah_hist_quantile((m).keys, (m).counts, 0.5, 0, 0)"
        " from (select lah_hist_merge_agg(hist_keys, hist_counts) as m from rollup_1m) merged)"
    ).fetchone()
    assert row == (None, None, None)
