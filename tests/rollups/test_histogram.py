"""Histograms: every value finds its bucket, merging loses nothing, percentiles keep their bound."""

import math
import sys
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from lah_platform.rollups import histogram

FINITE = st.floats(allow_nan=False, allow_infinity=False)
SMALLEST, SMALLEST_NORMAL, LARGEST = 5e-324, sys.float_info.min, sys.float_info.max
EDGES = [
    *(0.0, -0.0, 1.0, -1.0, SMALLEST, -SMALLEST, SMALLEST_NORMAL, math.nextafter(SMALLEST_NORMAL, 0.0)),
    *(LARGEST, -LARGEST, math.nextafter(1.0, 0.0), math.nextafter(1.0, 2.0)),
]
NORMAL_ONLY = FINITE.filter(lambda value: value == 0 or abs(value) >= SMALLEST_NORMAL)
Q = st.one_of(st.sampled_from([0.0, 0.5, 0.95, 0.99, 1.0]), st.integers(0, 1000).map(lambda n: n / 1000))
HISTOGRAMS = st.dictionaries(
    st.integers(-(2**20) - 32767, 2**20 + 32767).filter(lambda key: key == 0 or abs(key) >= 2**20 - 34369),
    st.integers(1, 10**9),
    max_size=12,
).map(lambda counts: (sorted(counts), [counts[key] for key in sorted(counts)]))


def histogram_of(values: list[float]) -> tuple[list[int], list[int]]:
    counts = Counter(histogram.key(value) for value in values)
    return sorted(counts), [counts[key] for key in sorted(counts)]


def test_the_bound_is_about_one_percent() -> None:
    assert 0.0108 < histogram.relative_error() < 0.0109
    assert histogram.relative_error(4) > 0.02 > histogram.relative_error() > histogram.relative_error(6)


@given(FINITE)
@example(SMALLEST)
@example(SMALLEST_NORMAL)
@example(LARGEST)
@example(-LARGEST)
def test_a_value_lies_in_its_bucket_exactly(value: float) -> None:
    assume(value != 0)
    key = histogram.key(value)
    index = abs(key) - 2**20
    # 2^(i/32) < |v| <= 2^((i+1)/32), raised to the 32nd power: no logarithm, no rounding
    power = Fraction(abs(value)) ** 32
    assert Fraction(2) ** index < power <= Fraction(2) ** (index + 1)
    assert (key > 0) == (value > 0)


def test_a_power_of_two_is_the_upper_bound_of_its_bucket() -> None:
    for exponent in range(-1074, 1024):
        value = math.ldexp(1.0, exponent)
        assert histogram.key(value) == 32 * exponent - 1 + 2**20
        assert histogram.key(-value) == -(32 * exponent - 1 + 2**20)


def test_zeros_have_their_own_bucket_whatever_their_sign() -> None:
    assert histogram.key(0.0) == histogram.key(-0.0) == 0
    assert histogram.representative(0) == 0.0


@given(FINITE, FINITE)
def test_keys_sort_like_values(a: float, b: float) -> None:
    low, high = sorted((a, b))
    assert histogram.key(low) <= histogram.key(high)


@given(st.lists(FINITE))
@example(EDGES)
@example([math.ldexp(1.0, exponent) for exponent in range(-1074, 1024)])
@example([math.nextafter(math.ldexp(1.0, exponent), 0.0) for exponent in range(-1074, 1024)])
@example([math.nextafter(math.ldexp(1.0, exponent), math.inf) for exponent in range(-1074, 1023)])
@example([2.0 ** (step / 32) for step in range(-32 * 1022, 32 * 1023, 7)])
def test_a_column_gets_the_keys_of_its_values(values: list[float]) -> None:
    keys = histogram.keys(np.array(values, np.float64))
    assert keys.tolist() == [histogram.key(value) for value in values]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_values_without_a_bucket_are_refused(value: float) -> None:
    with pytest.raises(ValueError, match="refused before they land"):
        histogram.key(value)
    with pytest.raises(ValueError, match="refused before they land"):
        histogram.keys(np.array([1.0, value]))


@given(FINITE)
@example(SMALLEST)
@example(LARGEST)
@example(-LARGEST)
def test_the_representative_is_within_the_bound_of_the_value(value: float) -> None:
    represented = histogram.representative(histogram.key(value))
    # among subnormals the nearest double can be further away than any relative bound
    assert abs(represented - value) <= histogram.relative_error() * (1 + 1e-12) * abs(value) + SMALLEST


@given(st.lists(NORMAL_ONLY, min_size=1, max_size=50), Q)
@example([0.0] * 40 + [-3.0, 7.5], 0.95)
@example([5.0], 0.5)
@example(EDGES[:6] + EDGES[8:], 0.99)
def test_a_quantile_is_within_the_bound_of_the_nearest_rank_value(values: list[float], q: float) -> None:
    rank = max(1, math.ceil(Fraction(str(q)) * len(values)))
    exact = sorted(values)[rank - 1]
    keys, counts = histogram_of(values)
    found = histogram.quantile(keys, counts, q, min(values), max(values))
    assert found is not None
    assert min(values) <= found <= max(values)
    assert abs(found - exact) <= 0.0109 * abs(exact) + SMALLEST


def test_a_quantile_means_what_is_written_not_the_double_beside_it() -> None:
    # 0.07 * 100 is 7.000000000000001 in doubles
    assert histogram.rank(0.07, 100) == 7
    assert histogram.rank(0.95, 20) == 19
    assert histogram.rank(0.0, 20) == 1
    assert histogram.rank(1.0, 20) == 20


def test_an_empty_histogram_has_no_quantile() -> None:
    assert histogram.quantile([], [], 0.5, 0.0, 0.0) is None


@pytest.mark.parametrize("q", [-0.01, 1.01, 95.0, math.nan])
def test_a_quantile_outside_zero_to_one_is_refused(q: float) -> None:
    with pytest.raises(ValueError, match=r"for the 95th percentile use 0\.95"):
        histogram.quantile([0], [1], q, 0.0, 0.0)


@given(st.lists(FINITE, max_size=30), st.lists(FINITE, max_size=30), st.lists(FINITE, max_size=30))
def test_merging_in_any_order_is_the_histogram_of_all_values(a: list[float], b: list[float], c: list[float]) -> None:
    parts = [histogram_of(values) for values in (a, b, c)]
    whole = histogram_of(a + b + c)
    assert histogram.merge(histogram.merge(parts[0], parts[1]), parts[2]) == whole
    assert histogram.merge(parts[2], histogram.merge(parts[1], parts[0])) == whole


def test_keys_without_counts_are_refused() -> None:
    with pytest.raises(ValueError, match="2 keys but 1 counts"):
        histogram.merge(([1, 2], [1]), ([], []))
    with pytest.raises(ValueError, match="2 keys but 1 counts"):
        histogram.quantile([1, 2], [1], 1.0, 0.0, 9.0)


@given(st.lists(st.tuples(HISTOGRAMS, FINITE, FINITE), max_size=8), Q)
def test_many_histograms_get_the_quantile_of_each(
    rows: list[tuple[tuple[list[int], list[int]], float, float]], q: float
) -> None:
    found = histogram.quantiles(
        np.array([key for (keys, _), _, _ in rows for key in keys], np.int64),
        np.array([count for (_, counts), _, _ in rows for count in counts], np.int64),
        np.cumsum([0, *(len(keys) for (keys, _), _, _ in rows)]),
        np.array([min(a, b) for _, a, b in rows], np.float64),
        np.array([max(a, b) for _, a, b in rows], np.float64),
        q,
    )
    for value, ((keys, counts), a, b) in zip(found.tolist(), rows, strict=True):
        wanted = histogram.quantile(keys, counts, q, min(a, b), max(a, b))
        assert value == pytest.approx(math.nan if wanted is None else wanted, rel=1e-14, abs=1e-320, nan_ok=True)
