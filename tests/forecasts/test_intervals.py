"""Bounds are the quantile of the scaled errors, widened for how few origins there are."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from lah_platform.forecasts.intervals import bounds_of, naive_bounds
from tests.forecasts import naive

errors = st.lists(st.lists(st.floats(-50, 50), min_size=4, max_size=4), min_size=2, max_size=7)


@settings(deadline=None)
@given(errors, st.lists(st.booleans(), min_size=28, max_size=28))
def test_bounds_are_those_computed_one_by_one(rows: list[list[float]], judged: list[bool]) -> None:
    actual = 100 + np.array(rows)
    told = np.full_like(actual, 100.0)
    is_judged = np.array(judged).reshape(7, 4)[: len(rows)]
    is_judged[0, 0] = True
    value = np.full(6, 120.0)
    found = bounds_of(value, told, actual, is_judged, (0.8, 0.95), non_negative=False)
    reach = naive.reaches(rows, is_judged.tolist(), 6)
    for level in (0.8, 0.95):
        assert found[level][1] - value == pytest.approx(np.array(reach[level]), rel=1e-6, abs=1e-9)
        assert value - found[level][0] == pytest.approx(np.array(reach[level]), rel=1e-6, abs=1e-9)


def test_on_amounts_errors_are_taken_on_the_square_root_scale() -> None:
    told, actual = np.full((7, 3), 100.0), np.full((7, 3), 144.0)
    (lower, upper) = bounds_of(np.full(3, 25.0), told, actual, np.full((7, 3), True), (0.95,), non_negative=True)[0.95]
    widened = 2 * stats.t.ppf(0.975, 7) / stats.norm.ppf(0.975)  # sqrt(144) - sqrt(100) is 2
    assert lower == pytest.approx(np.full(3, (5 - widened) ** 2))
    assert upper == pytest.approx(np.full(3, (5 + widened) ** 2))


def test_naive_bounds_are_the_textbooks() -> None:
    values = np.array([10.0, 20.0, 13.0, 22.0, 11.0, 25.0])
    (lower, upper) = naive_bounds(np.full(3, 30.0), values, 2, (0.95,), non_negative=False)[0.95]
    spread = np.sqrt(np.mean(np.array([3.0, 2.0, -2.0, 3.0]) ** 2))
    half = stats.t.ppf(0.975, 4) * spread * np.sqrt([1, 1, 2])
    assert upper - 30 == pytest.approx(half)
    assert 30 - lower == pytest.approx(half)
