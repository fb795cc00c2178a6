"""docs/quality.md says of every check what the code says."""

import re
from pathlib import Path

import pytest

from lah_platform.quality.conditions import is_shared
from lah_platform.quality.registry import ASSETS
from lah_platform.quality.rules import Rule
from lah_platform.rollups.windows import WINDOWS

_PAGE = (Path(__file__).parents[2] / "docs" / "quality.md").read_text(encoding="utf-8")
_SIZES = [window.table for window in WINDOWS]


def row(rule: Rule) -> str:
    """The check's row in the page; of the eight windows, whose rules are alike, the first stands for all."""
    blocks = "blocks" if rule.is_blocking else ""
    cost = "shared pass" if is_shared(rule) else "own query"
    return f"| `{rule.name}` | {rule.severity} | {blocks} | {cost} | {rule.advice.replace('|', '/')} |"


@pytest.mark.parametrize("asset", ASSETS)
def test_every_check_stands_in_the_page_with_severity_blocking_and_what_to_do(asset: str) -> None:
    missing = []
    for rule in ASSETS[asset].rules:
        said = row(rule)
        if asset in _SIZES:
            said = re.sub(r"\brollup_(1m|5m|15m|1h|6h|1d|1w|1mo)\b", "rollup_*", said)
        if said not in _PAGE:
            missing.append(said)
    assert missing == []


def test_no_check_stands_in_the_page_that_is_not_there() -> None:
    named = set(re.findall(r"^\| `([a-z0-9_]+)` \|", _PAGE, re.MULTILINE))
    assert named == {rule.name for asset in ASSETS.values() for rule in asset.rules}
