"""Where it started is found wherever that is, and what is merely odd, noisy or slow by nature is not blamed."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lah_platform.root_cause import Ranking, Target, rank_root_causes

from .shop import CALLS, fault, frame, quiet

NORMAL = frame(quiet(400))
FAULTY = [3, 4]


def ranked(shop: dict[str, dict[str, np.ndarray]], symptom: str = "latency", calls: bool = True) -> Ranking:
    return rank_root_causes(frame(shop), NORMAL, Target("web", symptom), CALLS if calls else None)  # type: ignore[arg-type]


@pytest.mark.parametrize(("node", "path"), [
    ("search", ("web", "search")),
    ("db", ("web", "search", "db")),
    ("pay", ("web", "pay")),
    ("bank", ("web", "pay", "bank")),
    ("web", ("web",)),
])  # fmt: skip
@pytest.mark.parametrize(
    ("symptom", "column", "amount"), [("latency", "latency", 40.0), ("failures", "failed_share", 30.0)]
)
def test_the_deepest_component_that_takes_part_comes_first_with_the_way_to_it(
    node: str, path: tuple[str, ...], symptom: str, column: str, amount: float
) -> None:
    shop = quiet(6, seed=2)
    fault(shop, node, column, amount, FAULTY)
    first = ranked(shop, symptom).candidates[0]
    assert (first.node, first.path) == (node, path)
    assert first.confidence > 0.5
    assert first.onset_step == 3
    assert first.excess_per_step == pytest.approx(amount, rel=0.35)


def test_without_the_call_graph_it_is_among_the_first_three() -> None:
    for node in ("search", "db", "pay", "bank"):
        shop = quiet(6, seed=3)
        fault(shop, node, "latency", 40.0, FAULTY)
        assert node in [each.node for each in ranked(shop, calls=False).candidates[:3]]


def test_what_was_as_odd_before_the_target_suffered_is_not_blamed() -> None:
    shop = quiet(6, seed=4)
    shop["bank"]["latency"] *= 10.0  # slow for weeks: no news, however far from the recorded normal
    fault(shop, "search", "latency", 40.0, FAULTY)
    assert ranked(shop).candidates[0].node == "search"


def test_a_component_that_fails_while_its_caller_waits_is_among_the_first_three() -> None:
    shop = quiet(6, seed=5)
    fault(shop, "search", "latency", 40.0, FAULTY)
    shop["db"]["failed_share"][FAULTY] += 0.1  # refused, and tried again after a while
    assert "db" in [each.node for each in ranked(shop).candidates[:3]]


def test_a_fault_that_began_before_the_window_is_seen_against_normal_operation() -> None:
    shop = quiet(6, seed=6)
    fault(shop, "search", "latency", 40.0, list(range(6)))
    ranking = ranked(shop)
    assert ranking.is_significant
    assert ranking.candidates[0].node == "search"


def test_confidences_are_a_distribution_over_what_was_seen() -> None:
    shop = quiet(6, seed=7)
    fault(shop, "pay", "latency", 20.0, FAULTY)
    for calls in (True, False):
        confidences = [each.confidence for each in ranked(shop, calls=calls).candidates]
        assert sum(confidences) == pytest.approx(1.0)
        assert confidences == sorted(confidences, reverse=True)


def test_quiet_times_are_called_insignificant() -> None:
    calm = [not ranked(quiet(6, seed=seed)).is_significant for seed in range(10, 40)]
    assert sum(calm) >= 27


def test_the_confidence_holds_what_it_says() -> None:
    rng = np.random.default_rng(8)
    said, right = [], []
    for seed in range(150):
        shop, node = quiet(6, seed=1000 + seed), str(rng.choice(["search", "db", "pay", "bank", "web"]))
        fault(shop, node, "latency", float(rng.uniform(8.0, 60.0)), FAULTY)
        first = ranked(shop).candidates[0]
        said.append(first.confidence)
        right.append(first.node == node)
    assert np.mean(right) == pytest.approx(np.mean(said), abs=0.1)


@pytest.mark.parametrize("spoil", ["constant", "one step", "no normal", "all missing", "gaps", "cycle", "no requests"])
def test_poor_data_gives_an_answer_without_numbers_that_are_none(spoil: str) -> None:
    shop, normal, calls = quiet(6, seed=9), NORMAL, list(CALLS)
    fault(shop, "db", "latency", 40.0, FAULTY)
    if spoil == "constant":
        for each in shop.values():
            each["latency"][:] = 1.0
    if spoil == "one step":
        shop = {node: {name: v[:1] for name, v in each.items()} for node, each in shop.items()}
    if spoil == "no normal":
        normal = NORMAL.clear()
    if spoil == "all missing":
        for each in shop.values():
            each["latency"][:] = np.nan
    if spoil == "gaps":
        shop["search"]["latency"][[0, 3]] = np.nan
        shop["pay"]["latency"][:] = np.nan
    if spoil == "cycle":
        calls += [("db", "web"), ("db", "db"), ("bank", "pay")]
    if spoil == "no requests":
        for each in shop.values():
            each["requests"][:] = 0.0
    ranking = rank_root_causes(frame(shop), normal, Target("web", "latency"), calls)
    assert {each.node for each in ranking.candidates} == set(shop)
    for each in ranking.candidates:
        assert np.isfinite([each.confidence, each.excess_per_step, each.explained_share, each.deviations]).all()
    if spoil in ("gaps", "cycle"):
        assert ranking.candidates[0].node == "db"


def test_steps_may_come_in_any_order_and_be_missing_for_some() -> None:
    shop = quiet(6, seed=10)
    fault(shop, "db", "latency", 40.0, FAULTY)
    rows = frame(shop)
    shuffled = rows.filter((pl.col("node") != "bank") | (pl.col("at") != 2)).sample(fraction=1.0, shuffle=True, seed=1)
    one, other = (rank_root_causes(r, NORMAL, Target("web", "latency"), CALLS) for r in (rows, shuffled))
    assert [each.node for each in one.candidates[:3]] == [each.node for each in other.candidates[:3]]


def test_wrong_inputs_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match="'shop' is not among the nodes"):
        rank_root_causes(NORMAL, NORMAL, Target("shop", "latency"))
    with pytest.raises(ValueError, match="lacks the columns latency"):
        rank_root_causes(NORMAL.drop("latency"), NORMAL, Target("web", "latency"))
    with pytest.raises(ValueError, match="two rows for one node and time"):
        rank_root_causes(pl.concat([NORMAL, NORMAL]), NORMAL, Target("web", "latency"))


@settings(max_examples=25, deadline=None)
@given(scale=st.floats(0.01, 100.0), seed=st.integers(0, 50))
def test_the_unit_of_time_does_not_matter(scale: float, seed: int) -> None:
    shop = quiet(6, seed=seed)
    fault(shop, "db", "latency", 40.0, FAULTY)
    other = {node: {**each, "latency": each["latency"] * scale} for node, each in shop.items()}
    normal = NORMAL.with_columns(pl.col("latency") * scale)
    one = ranked(shop)
    two = rank_root_causes(frame(other), normal, Target("web", "latency"), CALLS)
    assert [each.confidence for each in two.candidates] == pytest.approx(
        [each.confidence for each in one.candidates], abs=1e-6
    )
