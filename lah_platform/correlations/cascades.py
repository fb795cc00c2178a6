"""compliance_cascade: a violation, what followed from it, and what it reached through lineage."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import polars as pl

from lah_platform.correlations.config import CorrelationConfig
from lah_platform.correlations.evidence import EventRow, events_by_tenant
from lah_platform.correlations.incidents import Group, chance_of_group, judged_groups
from lah_platform.correlations.lineage import Lineage
from lah_platform.correlations.model import Correlation, Found, correlation_id, strongest

_MOST_GENERATIONS = 5  # of descendants of a violation's neighbours that are looked at
_VIOLATIONS = frozenset({"policy_violation", "compliance_violation"})


def compliance_cascades(events: pl.DataFrame, covered: float, config: CorrelationConfig) -> Found:
    """A policy or compliance violation, and what it touched: governance or security events within `cascade_window` of
    it that descend from it, or share a correlation id or a resource with it or with one another, or are about an asset
    that the resource flows into; and the lineage events that say so, whenever they came.

    The violation is the root_cause, what follows are effects, lineage from before it is related.
    Strength: k / (k + 1) for k of them. Confidence: 1 where a parent, a correlation id or lineage ties them; else 1
    minus the chance that as many events on these resources fall into the window at their rate over the period, times
    the number of violations; reported from `min_confidence`.
    """
    correlations: list[Correlation] = []
    left_out = 0
    for tenant, everything in events_by_tenant(_near_violations(events)):
        rows = everything[-config.max_events :]
        violations = [row for row in rows if row.subtype in _VIOLATIONS]
        lineage = Lineage(rows)

        def judge(
            group: Group,
            tenant: str = tenant,
            rows: Sequence[EventRow] = rows,
            lineage: Lineage = lineage,
            tried: int = len(violations),
        ) -> Correlation | None:
            told = {row.event_id for row in group.rows}
            carried = [row for row in lineage.carriers(group.rows[0].resource) if row.event_id not in told]
            chance = 0.0 if carried else chance_of_group(group, rows, _resource, config.cascade_window, covered)
            confidence = 1.0 - min(chance * tried, 1.0)
            if confidence < config.min_confidence:  # a lone event has chance 1
                return None
            return _cascade(tenant, group.rows, carried, lineage, confidence, config.max_members)

        found = judged_groups(violations, rows, config.cascade_window, _resource, judge, lineage.touched)
        kept, cut = strongest(found, config.max_found)
        correlations.extend(kept)
        left_out += cut + len(everything) - len(rows)
    return Found(correlations, left_out=left_out)


def _near_violations(events: pl.DataFrame) -> pl.DataFrame:
    """Violations, and the governance and security events that share something with one of their tenant's, or are about
    what its resource flows into."""
    relevant = events.filter(pl.col("event_type").is_in(["governance", "security"]))
    violations = relevant.filter(pl.col("subtype").is_in(sorted(_VIOLATIONS)))
    near = [violations]
    for shared in ("correlation_id", "resource"):
        if shared in relevant.columns:
            keys = violations.select("tenant", shared).drop_nulls().unique()
            near.append(relevant.join(keys, on=["tenant", shared], how="semi"))
    if {"resource", "lineage"} <= set(relevant.columns):
        near += _downstream(relevant, violations)
    for _ in range(_MOST_GENERATIONS):
        parents = pl.concat(near).select("tenant", parent_event_id="event_id").unique()
        near.append(relevant.join(parents, on=["tenant", "parent_event_id"], how="semi"))
    return pl.concat(near).unique(["tenant", "event_id", "ts"], maintain_order=True)


def _downstream(relevant: pl.DataFrame, violations: pl.DataFrame) -> Iterator[pl.DataFrame]:
    for (tenant,), own in relevant.group_by("tenant", maintain_order=True):
        telling = own.filter(pl.col("lineage").list.len() > 1)
        lineage = Lineage(row for _, rows in events_by_tenant(telling) for row in rows)
        resources = violations.filter(pl.col("tenant") == tenant)["resource"].drop_nulls().unique()
        assets = {asset for resource in resources for asset in lineage.downstream(resource)}
        carriers = {row.event_id for resource in resources for row in lineage.carriers(resource)}
        yield own.filter(pl.col("resource").is_in(sorted(assets)) | pl.col("event_id").is_in(sorted(carriers)))


def _resource(row: EventRow) -> object:
    return row.resource


def _cascade(
    tenant: str,
    rows: Sequence[EventRow],
    carried: Sequence[EventRow],
    lineage: Lineage,
    confidence: float,
    max_members: int,
) -> Correlation:
    violation, following = rows[0], [*rows[1:], *(row for row in carried if row.ts >= rows[0].ts)]
    before = [row for row in carried if row.ts < violation.ts]
    members = (
        violation.member("root_cause"),
        *(row.member("effect") for row in following),
        *(row.member("related") for row in before),
    )
    touched = lineage.downstream(violation.resource)
    kinds = sorted({row.subtype for row in following})
    followed = [f"was followed by {len(following)} related events: {', '.join(kinds)}"] * bool(following)
    reached = [f"reaches {', '.join(touched[:5])}{', ...' * (len(touched) > 5)} through lineage"] * bool(touched)
    size = len(members) - 1
    return Correlation(
        correlation_id=correlation_id("compliance_cascade", tenant, members[:1]),
        tenant=tenant,
        correlation_type="compliance_cascade",
        started_at=violation.ts,
        ended_at=max(row.ts for row in (violation, *following)),
        strength=size / (size + 1),
        confidence=confidence,
        explanation=f"a {violation.subtype} {' and '.join([*followed, *reached])}.",
        members=members[:max_members],
        evidence={
            "followers": len(following),
            "kinds": ", ".join(kinds),
            "resources": ", ".join(sorted({row.resource for row in rows if row.resource})),
            "reached_through_lineage": ", ".join(touched),
        },
    )
