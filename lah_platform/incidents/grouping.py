"""Which anomalies and correlations are one incident."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import polars as pl

from lah_platform.correlations.model import Correlation
from lah_platform.incidents.model import IMPACTS, Group

# temporal and pattern_match say what usually happens, not that something did
_TELLING = frozenset(
    {"anomaly", "performance_degradation", "cost_impact", "security_incident", "compliance_cascade", "causal_chain"}
)
_GRAVE = frozenset({"error", "critical"})
_ALONE = IMPACTS.index("high")


def groups(anomalies: pl.DataFrame, correlations: Iterable[Correlation]) -> list[Group]:
    """Correlations of one tenant that share an anomaly or an event, with their anomalies; and each anomaly of at least
    high impact that is in none. Chains of events count when they come to an error.

    Sorted by start, tenant and first member.
    """
    rows = {row["anomaly_id"]: row for row in anomalies.iter_rows(named=True)}
    telling = [c for c in correlations if _tells(c)]
    parent = list(range(len(telling)))

    def root(place: int) -> int:
        while parent[place] != place:
            parent[place] = parent[parent[place]]
            place = parent[place]
        return place

    seen: dict[tuple[str, str, str], int] = {}
    for place, correlation in enumerate(telling):
        for member in correlation.members:
            key = (correlation.tenant, member.member_type, member.member_id)
            parent[root(place)] = root(seen.setdefault(key, place))
    together: dict[int, list[Correlation]] = defaultdict(list)
    for place, correlation in enumerate(telling):
        together[root(place)].append(correlation)
    found = [_group(each, rows) for each in together.values()]
    taken = {row["anomaly_id"] for group in found for row in group.anomalies}
    found += [
        Group(row["tenant"], [row])
        for row in rows.values()
        if row["anomaly_id"] not in taken and IMPACTS.index(row["impact"]) >= _ALONE
    ]
    return sorted(found, key=lambda g: (g.started_at, g.tenant, first_member(g)))


def first_member(group: Group) -> str:
    """What the group's identity is made from: its earliest anomaly, else its earliest correlation's first member."""
    if group.anomalies:
        return str(min(group.anomalies, key=lambda row: (row["started_at"], row["anomaly_id"]))["anomaly_id"])
    earliest = min(group.correlations, key=lambda c: (c.started_at, str(c.correlation_id)))
    return earliest.members[0].member_id


def _tells(correlation: Correlation) -> bool:
    if correlation.correlation_type == "causal_chain":
        return correlation.evidence.get("worst_severity") in _GRAVE
    return correlation.correlation_type in _TELLING


def _group(correlations: list[Correlation], rows: dict[str, dict[str, Any]]) -> Group:
    ids = {m.member_id: None for c in correlations for m in c.members if m.member_type == "anomaly"}
    members = sorted((rows[i] for i in ids if i in rows), key=lambda row: (row["started_at"], row["anomaly_id"]))
    ordered = sorted(correlations, key=lambda c: (c.started_at, str(c.correlation_id)))
    return Group(correlations[0].tenant, members, ordered)
