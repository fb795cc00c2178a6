"""What a platform engineer sees in Dagster: every table, in the order of the flow, documented."""

import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from assets.definitions import build_defs
from assets.report_periods import PERIOD_PARTITIONS
from assets.resources import Hub
from lah_platform.settings import PROJECT_ROOT
from lah_platform.stores.backfills import BACKFILL_TABLES

_GRAPH = Path(__file__).parent / "graph.snapshot"


def _graph(definitions: dg.Definitions) -> str:
    graph = definitions.resolve_asset_graph()
    lines = []
    for key in sorted(graph.get_all_asset_keys(), key=lambda key: key.to_user_string()):
        node = graph.get(key)
        parents = ", ".join(sorted(parent.to_user_string() for parent in node.parent_keys))
        kind = next((name for name, each in PERIOD_PARTITIONS.items() if each == node.partitions_def), "daily")
        partitions = kind if node.partitions_def else "whole"
        lines.append(f"{node.group_name:<10} {key.to_user_string():<18} {partitions:<7} <- {parents}")
    return "\n".join(sorted(lines)) + "\n"


def test_the_lineage_reads_like_the_flow_picture(hub: Hub) -> None:
    assert _graph(build_defs(resource_overrides={"hub": hub})) == _GRAPH.read_text(encoding="utf-8")


def test_every_asset_says_what_it_is_who_owns_it_and_which_columns_it_has(hub: Hub) -> None:
    graph = build_defs(resource_overrides={"hub": hub}).resolve_asset_graph()
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        assert node.description, key
        assert node.owners, key
        if node.group_name != "sources":
            assert "dagster/column_schema" in node.metadata, key


def test_everything_that_can_be_requested_has_a_job(hub: Hub) -> None:
    definitions = build_defs(resource_overrides={"hub": hub})
    jobs = {job.name for job in definitions.jobs or []}
    assert set(BACKFILL_TABLES.values()) - {"marts"} <= jobs


@pytest.mark.parametrize("heavy", ["statsmodels", "great_expectations", "scipy", "pandas", "dbt"])
def test_a_run_process_does_not_pay_for_what_its_steps_do_not_use(heavy: str) -> None:
    code = f"import sys, assets.definitions; sys.exit({heavy!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=PROJECT_ROOT, check=False).returncode == 0
