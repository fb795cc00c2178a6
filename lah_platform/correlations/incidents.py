"""security_incident, and how events become a group by what they share and when they came."""

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
        distinct = distinct_episodes(episodes)

        def judge(
            group: Group,
            tenant: str = tenant,
            rows: Sequence[EventRow] = rows,
            episodes: Sequence[AnomalyRow] = episodes,
            distinct: int = distinct,
        ) -> Correlation | None:
            chance = chance_of_group(group, rows, _series, config.incident_window, covered)
            last = group.rows[-1].ts + config.incident_window
            after = [a for a in episodes if group.rows[0].ts <= a.started_at < last]
            exposure = (last - group.rows[0].ts).total_seconds()
            chance_after = chance_of_meeting(distinct_episodes(after), distinct, exposure, covered)
            if not after or 1.0 - chance_after * len(rows) < config.min_confidence:
                after, chance_after = [], 1.0
            confidence = 1.0 - min(min(chance, chance_after) * len(rows), 1.0)
            if confidence < config.min_confidence:  # a lone event has chance 1
                return None
            return _incident(tenant, group.rows, after, confidence, config.max_members)

        kept, cut = strongest(judged_groups(rows, rows, config.incident_window, _series, judge), config.max_found)
        correlations.extend(kept)
        left_out += cut + len(everything) - len(rows)
    return Found(correlations, left_out=left_out)


def _series(row: EventRow) -> object:
    return row.series_id


Key = Callable[[EventRow], object]
Touched = Callable[[EventRow, set[object]], tuple[set[object], bool]]


def _touches_nothing(_: EventRow, __: set[object]) -> tuple[set[object], bool]:
    return set(), False


@dataclass(slots=True)
class Group:
    """Events tied to a first one, in order of time."""

    rows: list[EventRow]
    has_declared_link: bool = False
    keys: set[object] = field(default_factory=set)


def judged_groups(
    starters: Sequence[EventRow],
    rows: Sequence[EventRow],
    window: timedelta,
    key: Key,
    judge: Callable[[Group], Correlation | None],
    touched: Touched | None = None,
) -> list[Correlation]:
    """What `judge` makes of each group, greedy in order of time: an event told in one group is not in another.

    touched: which further keys an event brings into the group, and whether it says itself that it belongs to it.
    """
    position = {row.event_id: i for i, row in enumerate(rows)}
    taken: set[str] = set()
    found = []
    for starter in starters:
        if starter.event_id in taken:
            continue
        following = (row for row in rows[position[starter.event_id] + 1 :] if row.event_id not in taken)
        group = _group(starter, following, starter.ts + window, key, touched or _touches_nothing)
        correlation = judge(group)
        if correlation is not None:
            found.append(correlation)
            taken.update(row.event_id for row in group.rows)
    return found


def _group(starter: EventRow, following: Iterable[EventRow], until: datetime, key: Key, touched: Touched) -> Group:
    group = Group([starter], keys=({key(starter)} - {None}) | touched(starter, set())[0])
    correlation_ids = {starter.correlation_id} - {None}
    event_ids: set[str | None] = {starter.event_id}
    for row in following:
        if row.ts > until:
            break
        brought, is_told = touched(row, group.keys)
        is_declared = is_told or row.correlation_id in correlation_ids or row.parent_event_id in event_ids
        if is_declared or key(row) in group.keys:
            group.rows.append(row)
            event_ids.add(row.event_id)
            group.has_declared_link |= is_declared
            correlation_ids |= {row.correlation_id} - {None}
            group.keys |= ({key(row)} - {None}) | brought
    return group


def chance_of_group(group: Group, rows: Sequence[EventRow], key: Key, window: timedelta, covered: float) -> float:
    if group.has_declared_link:
        return 0.0
    if len(group.rows) == 1:
        return 1.0
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
