"""compliance_cascade follows data: what a violated resource flowed into is touched, wherever lineage leads."""

from datetime import timedelta
from itertools import pairwise

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from lah_platform.correlations import Correlation, CorrelationInputs, correlate
from lah_platform.correlations.evidence import events_by_tenant
from lah_platform.correlations.lineage import Lineage

from .inputs import MONDAY, event, inputs

Row = tuple[object, ...]
_DAY = 24 * 60.0


def flow(
    name: str, minute: float, *path: str, tenant: str = "acme", operation: str | None = None
) -> tuple[Row, list[str]]:
    row = event(name, minute, kind="governance/data_lineage", resource=path[-1], tenant=tenant, operation=operation)
    return row, list(path)


def plain(*args: object, **options: object) -> tuple[Row, list[str] | None]:
    return event(*args, **options), None  # type: ignore[arg-type]


def frames(rows: list[tuple[Row, list[str] | None]]) -> CorrelationInputs:
    given_inputs = inputs(events=[row for row, _ in rows])
    lineage = pl.Series("lineage", [path for _, path in rows], dtype=pl.List(pl.Utf8))
    return CorrelationInputs(
        given_inputs.events.with_columns(lineage), given_inputs.anomalies, given_inputs.points, *inputs_period()
    )


def inputs_period() -> tuple[object, object]:
    return MONDAY, MONDAY + timedelta(days=14)


def cascades(*rows: tuple[Row, list[str] | None]) -> list[Correlation]:
    return [c for c in correlate(frames(list(rows))) if c.correlation_type == "compliance_cascade"]


def roles(correlation: Correlation) -> dict[str, str]:
    return {m.member_id: m.role for m in correlation.members}


VIOLATION = plain("violation", 3 * _DAY, kind="governance/policy_violation", resource="prompts")


def test_what_the_violated_resource_had_flowed_into_is_touched_step_by_step() -> None:
    (found,) = cascades(
        flow("clean", 0, "prompts", "clean"),
        flow("train", 60, "clean", "features", "model"),
        flow("aside", 60, "other", "elsewhere"),
        VIOLATION,
    )
    assert roles(found) == {"violation": "root_cause", "clean": "related", "train": "related"}
    assert found.evidence["reached_through_lineage"] == "clean, features, model"
    assert found.confidence == 1.0
    assert "reaches clean, features, model through lineage" in found.explanation
    assert found.started_at == found.ended_at == MONDAY + timedelta(days=3)


def test_data_that_is_carried_on_after_the_violation_is_its_effect_and_so_is_what_happens_there() -> None:
    (found,) = cascades(
        VIOLATION,
        flow("export", 3 * _DAY + 10, "prompts", "warehouse"),
        plain("leak", 3 * _DAY + 20, kind="security/privacy", resource="warehouse"),
        plain("elsewhere", 3 * _DAY + 20, kind="security/privacy", resource="another"),
    )
    assert roles(found) == {"violation": "root_cause", "export": "effect", "leak": "effect"}
    assert found.strength == 2 / 3


def test_data_does_not_flow_upstream_nor_to_another_tenant() -> None:
    assert cascades(flow("upstream", 0, "source", "prompts"), VIOLATION) == []
    assert cascades(flow("theirs", 0, "prompts", "clean", tenant="rival"), VIOLATION) == []


def test_the_latest_event_of_a_way_stands_for_all_that_went_it() -> None:
    (found,) = cascades(*(flow(f"run {hour}", hour * 60, "prompts", "clean") for hour in range(48)), VIOLATION)
    assert roles(found) == {"violation": "root_cause", "run 47": "related"}


_ASSETS = st.sampled_from("abcdef")


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(_ASSETS, min_size=1, max_size=4), max_size=8), _ASSETS)
def test_downstream_is_everything_a_walk_can_reach_with_or_without_cycles(paths: list[list[str]], start: str) -> None:
    rows = [flow(f"e{place}", place, *path) for place, path in enumerate(paths)]
    (records,) = [r for _, r in events_by_tenant(frames(rows).events)] or [[]]  # type: ignore[arg-type]
    edges = {(a, b) for path in paths for a, b in pairwise(path)}
    reached = {start}
    while more := {b for a, b in edges if a in reached} - reached:
        reached |= more
    downstream = Lineage(records).downstream(start)
    assert set(downstream) == reached - {start}
    assert len(downstream) == len(set(downstream))
