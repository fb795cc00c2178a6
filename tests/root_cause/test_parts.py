"""Excess and paths equal their slow, obvious versions."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lah_platform.root_cause.excess import excesses, significance_threshold
from lah_platform.root_cause.model import Target, Telemetry
from lah_platform.root_cause.paths import callees_of, heaviest_paths

_VALUES = st.one_of(st.just(float("nan")), st.floats(0.0, 10.0))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(_VALUES, min_size=5, max_size=5), min_size=2, max_size=4), st.integers(0, 99))
def test_excess_is_the_mean_while_the_target_suffers_less_the_mean_while_it_does_not(
    rows: list[list[float]], seed: int
) -> None:
    values = np.array(rows)
    values[0] = [1.0, 1.0, 5.0, 3.0, 1.0]  # the target
    usual = np.random.default_rng(seed).lognormal(size=(len(rows), 60))
    requests = np.full(values.shape, 10.0)
    names = tuple(f"n{i}" for i in range(len(rows)))
    now = Telemetry(names, requests, values, np.zeros_like(values))
    normal = Telemetry(names, np.full(usual.shape, 10.0), usual, np.zeros_like(usual))
    found = excesses(now, normal, Target("n0", "latency"))
    if found.per_request[0] != pytest.approx(naive_contrast(values[0], values[0])):
        return  # the target does not stand out here: it is compared with normal operation instead
    for row, each in enumerate(values):
        assert found.per_request[row] == pytest.approx(naive_contrast(each, values[0]), nan_ok=True)
        noise = [abs(naive_contrast(usual[row, k : k + 5], values[0])) for k in range(56)]
        floor = 0.01 * np.median(usual[row]) * np.sqrt(sum(weight**2 for weight in naive_weights(values[0])))
        assert found.scale[row] == pytest.approx(max(np.quantile(noise, 0.9) / 1.6448536, floor))


def naive_weights(course: np.ndarray) -> list[float]:
    centred = [value - sum(course) / len(course) for value in course]
    up, down = sum(c for c in centred if c > 0), -sum(c for c in centred if c < 0)
    return [c / up if c > 0 else c / down for c in centred]


def naive_contrast(values: np.ndarray, course: np.ndarray) -> float:
    sides = []
    for sign in (1, -1):
        pairs = [(w * sign, v) for w, v in zip(naive_weights(course), values, strict=True) if w * sign > 0 and v == v]
        if not pairs:
            return float("nan")
        sides.append(sum(w * v for w, v in pairs) / sum(w for w, _ in pairs))
    return sides[0] - sides[1]


@settings(max_examples=80, deadline=None)
@given(
    st.sets(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=15),
    st.lists(st.floats(-5.0, 5.0), min_size=7, max_size=7),
)
def test_the_heaviest_path_without_cycles_is_the_best_of_all_paths(
    edges: set[tuple[int, int]], weights: list[float]
) -> None:
    calls = [(str(a), str(b)) for a, b in edges if a < b]
    callees = callees_of(calls, map(str, range(7)))
    weight = {str(i): w for i, w in enumerate(weights)}
    found = heaviest_paths(callees, weight, "0")
    every: dict[str, float] = {}
    todo = [("0",)]
    while todo:
        path = todo.pop()
        total = sum(weight[node] for node in path[1:])
        every[path[-1]] = max(every.get(path[-1], -np.inf), total)
        todo += [(*path, callee) for callee in callees[path[-1]]]
    assert found.keys() == every.keys()
    for node, (total, path) in found.items():
        assert total == pytest.approx(every[node])
        assert (path[0], path[-1]) == ("0", node)
        assert all(step in calls for step in pairwise(path))


def test_paths_end_in_a_cycle_and_repeat_nothing() -> None:
    callees = callees_of([("a", "b"), ("b", "c"), ("c", "a"), ("c", "b"), ("c", "d")], "abcd")
    found = heaviest_paths(callees, dict.fromkeys("abcd", 1.0), "a")
    assert found["d"] == (3.0, ("a", "b", "c", "d"))
    assert found["a"] == (0.0, ("a",))


def test_the_largest_of_many_noises_seldom_passes_the_threshold() -> None:
    rng = np.random.default_rng(1)
    for nodes in (10, 100, 1000):
        largest = rng.normal(size=(200, nodes)).max(axis=1)
        assert (largest > significance_threshold(nodes)).mean() < 0.25
