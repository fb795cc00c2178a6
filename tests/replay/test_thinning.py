"""Fewer events, the same picture."""

from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from lah_platform.replay.thinning import Unit, evenly, shares, thin
from lah_platform.replay.wire import Draft

SIZES = st.dictionaries(st.sampled_from("abcde"), st.integers(0, 5000), min_size=1)
WEIGHTS = {"a": 1.0, "b": 2.0, "c": 0.5, "d": 10.0, "e": 1.0}


@given(size=st.integers(0, 3000), count=st.integers(0, 3000))
def test_positions_are_distinct_in_order_and_reach_the_last(size: int, count: int) -> None:
    positions = evenly(size, count).tolist()
    assert len(positions) == min(size, count)
    assert positions == sorted(set(positions))
    if positions:
        assert positions[-1] == size - 1
    if len(positions) > 1:
        assert positions[0] == 0
        gaps = [later - earlier for earlier, later in pairwise(positions)]
        assert max(gaps) - min(gaps) <= 1


@given(sizes=SIZES, budget=st.integers(0, 20_000))
def test_a_budget_is_kept_and_used(sizes: dict[str, int], budget: int) -> None:
    kept = shares(sizes, WEIGHTS, budget)
    assert set(kept) == set(sizes)
    assert all(0 <= kept[name] <= size for name, size in sizes.items())
    assert all(kept[name] > 0 for name, size in sizes.items() if size)
    assert sum(kept.values()) <= budget + len(sizes)  # one each, even beyond the budget
    assert sum(kept.values()) >= min(budget, sum(sizes.values())) - len(sizes)


@given(sizes=SIZES)
def test_without_a_budget_everything_is_kept(sizes: dict[str, int]) -> None:
    assert shares(sizes, WEIGHTS, None) == sizes


def _unit(stratum: str, at_us: int, events: int, is_kept: bool) -> Unit:
    return Unit(stratum, [Draft(at_us, "k", "", {}, "", {"unit": (stratum, at_us)})] * events, is_kept)


@given(
    units=st.lists(
        st.builds(_unit, st.sampled_from("xyz"), st.integers(0, 10**9), st.integers(1, 4), st.booleans()),
        unique_by=lambda unit: (unit.stratum, unit.events[0].at_us),
    ),
    budget=st.integers(0, 200),
)
def test_scenarios_and_every_kind_survive_and_units_stay_whole(units: list[Unit], budget: int) -> None:
    kept: list[Any] = [event.data["unit"] for event in thin(units, budget)]
    for unit in units:
        count = kept.count((unit.stratum, unit.events[0].at_us))
        assert count in ((len(unit.events),) if unit.is_kept else (0, len(unit.events)))
    assert {unit.stratum for unit in units} == {stratum for stratum, _ in kept}
    needed = sum(len(unit.events) for unit in units if unit.is_kept)
    assert len(kept) <= max(budget, needed) + sum(max(len(u.events) for u in units) for _ in "xyz" if units)
