"""Where it started is found whatever things are called, wherever it hurts, and however little was recorded."""

from collections.abc import Mapping

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lah_platform.root_cause import Ranking, Target, rank_root_causes

from .shop import CALLS, REQUESTS, fault, frame, quiet

Shop = dict[str, dict[str, np.ndarray]]
NORMAL = frame(quiet(200))
FAULTY = [3, 4]
FAULTS = {"latency": 40.0, "failed_share": 30.0}


def shop_with(node: str, column: str, seed: int) -> Shop:
    shop = quiet(6, seed=seed)
    fault(shop, node, column, FAULTS[column], FAULTY)
    return shop


def ranked(
    shop: Shop,
    *,
    normal: pl.DataFrame = NORMAL,
    column: str = "latency",
    hurt: str = "web",
    calls: list[tuple[str, str]] | None = CALLS,
) -> Ranking:
    return rank_root_causes(frame(shop), normal, Target(hurt, "latency" if column == "latency" else "failures"), calls)


def renamed(names: Mapping[str, str], rows: pl.DataFrame, seed: int) -> pl.DataFrame:
    return rows.with_columns(pl.col("node").replace(names)).sample(fraction=1.0, shuffle=True, seed=seed)


@settings(max_examples=30, deadline=None)
@given(
    st.permutations(sorted(REQUESTS)),
    st.sampled_from(["search", "db", "pay", "bank", "web"]),
    st.sampled_from(sorted(FAULTS)),
    st.booleans(),
    st.integers(0, 99),
)
def test_names_and_the_order_of_rows_and_calls_do_not_matter(
    order: list[str], node: str, column: str, has_graph: bool, seed: int
) -> None:
    shop = shop_with(node, column, seed)
    names = dict(zip(sorted(REQUESTS), order, strict=True))  # every service under another's name
    calls = [(names[a], names[b]) for a, b in reversed(CALLS)]
    symptom = "latency" if column == "latency" else "failures"
    one = ranked(shop, column=column, calls=CALLS if has_graph else None)
    other = rank_root_causes(
        renamed(names, frame(shop), seed),
        renamed(names, NORMAL, seed),
        Target(names["web"], symptom),  # type: ignore[arg-type]
        calls if has_graph else None,
    )
    said = {each.node: each.confidence for each in other.candidates}
    for each in one.candidates:
        assert said[names[each.node]] == pytest.approx(each.confidence, abs=1e-9)
    assert names[one.candidates[0].node] == other.candidates[0].node


@pytest.mark.parametrize("column", sorted(FAULTS))
@pytest.mark.parametrize(
    ("hurt", "node"), [("search", "db"), ("pay", "bank"), ("pay", "pay"), ("db", "db"), ("web", "db"), ("web", "web")]
)
def test_what_hurts_may_lie_at_any_depth(hurt: str, node: str, column: str) -> None:
    first = [ranked(shop_with(node, column, seed), hurt=hurt, column=column).candidates[0].node for seed in range(8)]
    assert first.count(node) >= 7


@pytest.mark.parametrize("column", sorted(FAULTS))
@pytest.mark.parametrize("factor", [0.3, 3.0])
def test_traffic_that_comes_with_the_fault_is_not_the_fault(column: str, factor: float) -> None:
    right = 0
    for seed in range(8):
        shop = quiet(6, seed=seed)
        for each in shop.values():
            each["requests"][FAULTY] *= factor
        fault(shop, "db", column, FAULTS[column] * factor, FAULTY)
        right += ranked(shop, column=column).candidates[0].node == "db"
    assert right >= 7


def test_a_component_that_slows_under_load_is_where_it_starts_and_not_who_sends_more() -> None:
    right = 0
    for seed in range(8):
        shop = quiet(6, seed=seed)
        for each in shop.values():
            each["requests"][FAULTY] *= 2.0
        fault(shop, "bank", "latency", 60.0, FAULTY)  # all of it is at the bank: its queue
        right += ranked(shop).candidates[0].node == "bank"
    assert right >= 7


@pytest.mark.parametrize("steps", [12, 30, 100])
def test_a_short_time_of_normal_operation_is_enough(steps: int) -> None:
    normal = frame(quiet(steps))
    right = [ranked(shop_with("db", "latency", seed), normal=normal).candidates[0].node == "db" for seed in range(8)]
    assert sum(right) >= 7


@pytest.mark.parametrize("missing", ["requests now", "requests ever", "failures ever", "another component", "gaps"])
def test_what_was_not_measured_hides_little_of_what_was(missing: str) -> None:
    right, node = 0, "db" if missing == "requests now" else "search"  # many short calls: seconds show who is slow
    for seed in range(8):
        shop, normal = shop_with(node, "latency", seed), quiet(200)
        if missing.startswith("requests"):
            for each in (*shop.values(), *(normal.values() if missing.endswith("ever") else ())):
                each["requests"] = np.full(len(each["requests"]), np.nan)
        if missing == "failures ever":
            for each in (*shop.values(), *normal.values()):
                each["failed_share"] = np.full(len(each["failed_share"]), np.nan)
        if missing == "another component":
            del shop["pay"], normal["bank"]
        if missing == "gaps":
            for row, each in enumerate(shop.values()):
                each["latency"][[row % 3]] = np.nan
        places = [each.node for each in ranked(shop, normal=frame(normal)).candidates]
        right += places.index(node) < (3 if missing == "requests ever" else 1)
    assert right >= 7
