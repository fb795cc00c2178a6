"""Every asset that has a suite, in the order of the flow."""

from collections.abc import Mapping
from types import MappingProxyType

from lah_platform.quality.events import EVENTS
from lah_platform.quality.incidents import INCIDENTS
from lah_platform.quality.landing import LEDGER
from lah_platform.quality.rollups import ROLLUPS
from lah_platform.quality.rules import Asset, Rule
from lah_platform.quality.served import ANOMALIES, CORRELATIONS, COST_DAILY, FORECASTS, REPORTS

__all__ = ["ASSETS", "rule_of"]

ASSETS: Mapping[str, Asset] = MappingProxyType(
    {
        asset.name: asset
        for asset in (
            *(EVENTS, LEDGER, *ROLLUPS, COST_DAILY),
            *(ANOMALIES, FORECASTS, CORRELATIONS, INCIDENTS, REPORTS),
        )
    }
)
"""By name: every table whose rows are judged."""


def rule_of(asset: str, rule: str) -> tuple[Asset, Rule]:
    """The rule of that name with its asset. Raises LookupError that says which there are."""
    if asset not in ASSETS:
        raise LookupError(f"no suite checks {asset!r}: use one of {', '.join(ASSETS)}")
    for each in ASSETS[asset].rules:
        if each.name == rule:
            return ASSETS[asset], each
    names = ", ".join(each.name for each in ASSETS[asset].rules)
    raise LookupError(f"no rule of {asset} is called {rule!r}: use one of {names}")
