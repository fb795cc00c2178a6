"""security_incident and compliance_cascade: events that belong together by what they share and when they came."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import polars as pl

from lah_platform.correlations.coincidence import chance_of_meeting, distinct_episodes
from lah_platform.correlations.config import CorrelationConfig
from lah_platform.correlations.evidence import (
    SEVERITIES,
    AnomalyRow,
    EventRow,
    anomalies_by_tenant,
    events_by_tenant,
)
from lah_platform.correlations.model import Correlation, Found, Member, correlation_id, strongest

_WARNING = SEVERITIES.index("warning")
_MOST_GENERATIONS = 5  # of descendants of a violation's neighbours that are looked at
_VIOLATIONS = frozenset({"policy_violation", "compliance_violation"})


def security_incidents(
    events: pl.DataFrame, anomalies: pl.DataFrame, covered: float, config: CorrelationConfig
) -> Found:
    """Security events of at least warning within `incident_window` of the first that share a correlation id or a
    series with it or with each other, and the tenant's anomalies that begin within the window after them.

    The first event is the root_cause, further events contribute, anomalies are effects. One event is an incident
    only when anomalies follow it.
    Strength: the worst severity (warning 1/3, error 2/3, critical 1). Confidence: 1 where a parent or a correlation id
    ties two events; else 1 minus the chance that as many events of these series, or as many anomalies, fall into the
    window at their rate over the period, times the number of events tried as a first one; reported from
    `min_confidence`.
    """
    severe = events.filter(
        pl.col("event_type") == "security", ~pl.col("severity").cast(pl.Utf8).is_in(["debug", "info"])
    )
    anomalies_of = {t: rows for t, rows, _ in anomalies_by_tenant(anomalies, config.max_anomalies)}
    correlations: list[Correlation] = []
    left_out = 0
    for tenant, everything in events_by_tenant(severe):
        rows = everything[-config.max_events :]
        episodes = anomalies_of.get(tenant, [])

        def judge(
            group: _Group,
            tenant: str = tenant,
            rows: Sequence[EventRow] = rows,
            episodes: Sequence[AnomalyRow] = episodes,
        ) -> Correlation | None:
            chance = _chance_of_group(group, rows, _series, config.incident_window, covered)
            last = group.rows[-1].ts + config.incident_window
            after = [a for a in episodes if group.rows[0].ts <= a.started_at < last]
            exposure = (last - group.rows[0].ts).total_seconds()
            chance_after = chance_of_meeting(distinct_episodes(after), distinct_episodes(episodes), exposure, covered)
            if not after or 1.0 - chance_after * len(rows) < config.min_confidence:
                after, chance_after = [], 1.0
            confidence = 1.0 - min(min(chance, chance_after) * len(rows), 1.0)
            if confidence < config.min_confidence:  # a lone event has chance 1
                return None
            return _incident(tenant, group.rows, after, confidence, config.max_members)

        kept, cut = strongest(_judged_groups(rows, rows, config.incident_window, _series, judge), config.max_found)
        correlations.extend(kept)
        left_out += cut + len(everything) - len(rows)
    return Found(correlations, left_out=left_out)


def compliance_cascades(events: pl.DataFrame, covered: float, config: CorrelationConfig) -> Found:
    """A policy or compliance violation followed within `cascade_window` by governance or security events that descend
    from it, or share a correlation id or a resource with it or with one another.

    The violation is the root_cause, what follows are effects.
    Strength: k / (k + 1) for k followers. Confidence: 1 where a parent or a correlation id ties them; else 1 minus the
    chance
    that as many events on these resources fall into the window at their rate over the period, times the number of
    violations; reported from `min_confidence`.
    """
    correlations: list[Correlation] = []
    left_out = 0
    for tenant, everything in events_by_tenant(_near_violations(events)):
        rows = everything[-config.max_events :]
        violations = [row for row in rows if row.subtype in _VIOLATIONS]

        def judge(
            group: _Group,
            tenant: str = tenant,
            rows: Sequence[EventRow] = rows,
            tried: int = len(violations),
        ) -> Correlation | None:
            chance = _chance_of_group(group, rows, _resource, config.cascade_window, covered)
            confidence = 1.0 - min(chance * tried, 1.0)
            if confidence < config.min_confidence:  # a lone event has chance 1
                return None
            return _cascade(tenant, group.rows, confidence, config.max_members)

        found = _judged_groups(violations, rows, config.cascade_window, _resource, judge)
        kept, cut = strongest(found, config.max_found)
        correlations.extend(kept)
        left_out += cut + len(everything) - len(rows)
    return Found(correlations, left_out=left_out)


def _near_violations(events: pl.DataFrame) -> pl.DataFrame:
    """Violations, and the governance and security events that share something with one of their tenant's."""
    relevant = events.filter(pl.col("event_type").is_in(["governance", "security"]))
    violations = relevant.filter(pl.col("subtype").is_in(sorted(_VIOLATIONS)))
    near = [violations]
    for shared in ("correlation_id", "resource"):
        if shared in relevant.columns:
            keys = violations.select("tenant", shared).drop_nulls().unique()
            near.append(relevant.join(keys, on=["tenant", shared], how="semi"))
    for _ in range(_MOST_GENERATIONS):
        parents = pl.concat(near).select("tenant", parent_event_id="event_id").unique()
        near.append(relevant.join(parents, on=["tenant", "parent_event_id"], how="semi"))
    return pl.concat(near).unique(maintain_order=True)


def _series(row: EventRow) -> object:
    return row.series_id


def _resource(row: EventRow) -> object:
    return row.resource


_Key = Callable[[EventRow], object]


@dataclass(slots=True)
class _Group:
    """Events tied to a first one, in order of time."""

    rows: list[EventRow]
    has_declared_link: bool = False
    keys: set[object] = field(default_factory=set)


def _judged_groups(
    starters: Sequence[EventRow],
    rows: Sequence[EventRow],
    window: timedelta,
    key: _Key,
    judge: Callable[[_Group], Correlation | None],
) -> list[Correlation]:
    """What `judge` makes of each group, greedy in order of time: an event told in one group is not in another."""
    position = {row.event_id: i for i, row in enumerate(rows)}
    taken: set[str] = set()
    found = []
    for starter in starters:
        if starter.event_id in taken:
            continue
        following = (row for row in rows[position[starter.event_id] + 1 :] if row.event_id not in taken)
        group = _group(starter, following, starter.ts + window, key)
        correlation = judge(group)
        if correlation is not None:
            found.append(correlation)
            taken.update(row.event_id for row in group.rows)
    return found


def _group(starter: EventRow, following: Iterable[EventRow], until: datetime, key: _Key) -> _Group:
    group = _Group([starter], keys={key(starter)} - {None})
    correlation_ids = {starter.correlation_id} - {None}
    event_ids: set[str | None] = {starter.event_id}
    for row in following:
        if row.ts > until:
            break
        is_declared = row.correlation_id in correlation_ids or row.parent_event_id in event_ids
        if is_declared or key(row) in group.keys:
            group.rows.append(row)
            event_ids.add(row.event_id)
            group.has_declared_link |= is_declared
            correlation_ids |= {row.correlation_id} - {None}
            group.keys |= {key(row)} - {None}
    return group


def _chance_of_group(group: _Group, rows: Sequence[EventRow], key: _Key, window: timedelta, covered: float) -> float:
    if group.has_declared_link:
        return 0.0
    candidates = sum(key(row) in group.keys for row in rows)
    return chance_of_meeting(len(group.rows) - 1, candidates - 1, window.total_seconds(), covered)


def _incident(
    tenant: str, rows: Sequence[EventRow], after: Sequence[AnomalyRow], confidence: float, max_members: int
) -> Correlation:
    worst = max(row.severity for row in rows)
    members: list[Member] = [rows[0].member("root_cause"), *(row.member("contributor") for row in rows[1:])]
    members += [row.member("effect") for row in after]
    followed = f", followed by {len(after)} anomalies" if len(after) > 1 else ", followed by an anomaly" * len(after)
    ends: list[datetime] = [rows[-1].ts, *(row.ended_at for row in after)]
    count = f"{len(rows)} security events" if len(rows) > 1 else "a security event"
    return Correlation(
        correlation_id=correlation_id("security_incident", tenant, members[:1]),
        tenant=tenant,
        correlation_type="security_incident",
        started_at=rows[0].ts,
        ended_at=max(ends),
        strength=(worst - _WARNING + 1) / 3,
        confidence=confidence,
        explanation=f"{count} up to {SEVERITIES[worst]}, beginning with {rows[0].subtype}{followed}.",
        members=tuple(members[:max_members]),
        evidence={"events": len(rows), "anomalies_after": len(after), "worst_severity": SEVERITIES[worst]},
    )


def _cascade(tenant: str, rows: Sequence[EventRow], confidence: float, max_members: int) -> Correlation:
    followers = len(rows) - 1
    members = (rows[0].member("root_cause"), *(row.member("effect") for row in rows[1:]))
    kinds = sorted({row.subtype for row in rows[1:]})
    return Correlation(
        correlation_id=correlation_id("compliance_cascade", tenant, members[:1]),
        tenant=tenant,
        correlation_type="compliance_cascade",
        started_at=rows[0].ts,
        ended_at=rows[-1].ts,
        strength=followers / (followers + 1),
        confidence=confidence,
        explanation=f"a {rows[0].subtype} was followed by {followers} related events: {', '.join(kinds)}.",
        members=members[:max_members],
        evidence={
            "followers": followers,
            "kinds": ", ".join(kinds),
            "resources": ", ".join(sorted({row.resource for row in rows if row.resource})),
        },
    )
