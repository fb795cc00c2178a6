"""anomaly: anomalies of different series of one tenant that happen together."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from lah_platform.correlations.coincidence import (
    chance_of_meeting,
    distinct_episodes,
    do_meet,
    overlap_share,
)
from lah_platform.correlations.config import CorrelationConfig
from lah_platform.correlations.evidence import AnomalyRow, anomalies_by_tenant, first_movers
from lah_platform.correlations.model import Correlation, Found, correlation_id, strongest


def anomaly_clusters(anomalies: pl.DataFrame, covered: float, config: CorrelationConfig) -> Found:
    """Clusters of anomalies of at least two series that meet the earliest of them in time.

    Greedy in order of time: a cluster is everything that overlaps its first anomaly (give or take `overlap_slack`)
    and starts within `cluster_span` of it; each anomaly is in one cluster.
    Strength: mean share of the shorter episode covered by the overlap with the first. Confidence: 1 minus the chance
    that as many of the tenant's episodes would start in that time by chance (Poisson), times the number of
    anomalies tried as a first one; reported from `min_confidence`.
    """
    correlations: list[Correlation] = []
    left_out = 0
    for tenant, rows, dropped in anomalies_by_tenant(anomalies, config.max_anomalies):
        found = _clusters(tenant, rows, covered, config)
        kept, cut = strongest(found, config.max_found)
        correlations.extend(kept)
        left_out += dropped + cut
    return Found(correlations, left_out=left_out)


def _clusters(tenant: str, rows: list[AnomalyRow], covered: float, config: CorrelationConfig) -> list[Correlation]:
    episodes = distinct_episodes(rows)
    taken: set[str] = set()
    found = []
    for position, first in enumerate(rows):
        if first.anomaly_id in taken:
            continue
        cluster = [first]
        reach = min(first.ended_at + config.overlap_slack, first.started_at + config.cluster_span)
        for row in rows[position + 1 :]:
            if row.started_at >= reach:
                break
            if row.anomaly_id not in taken and do_meet(first, row, config.overlap_slack):
                cluster.append(row)
        others = len({row.series_id for row in cluster}) - 1  # none: the chance is 1
        exposure = (reach - first.started_at).total_seconds()
        chance = chance_of_meeting(others, episodes - 1, exposure, covered) * episodes
        if 1.0 - chance < config.min_confidence:
            continue
        taken.update(row.anomaly_id for row in cluster)
        found.append(_correlation(tenant, cluster, 1.0 - chance, config.max_members))
    return found


def _correlation(tenant: str, cluster: Sequence[AnomalyRow], confidence: float, max_members: int) -> Correlation:
    first = cluster[0]
    roles = first_movers(cluster)
    members = tuple(row.member(role) for row, role in zip(cluster, roles, strict=True))
    metrics = sorted({row.metric for row in cluster})
    series = len({row.series_id for row in cluster})
    return Correlation(
        correlation_id=correlation_id("anomaly", tenant, members[:1]),
        tenant=tenant,
        correlation_type="anomaly",
        started_at=first.started_at,
        ended_at=max(row.ended_at for row in cluster),
        strength=sum(overlap_share(first, row) for row in cluster[1:]) / (len(cluster) - 1),
        confidence=confidence,
        explanation=(
            f"{len(cluster)} anomalies of {series} series ({', '.join(metrics[:4])}{', ...' * (len(metrics) > 4)}) "
            f"began together; {first.metric} of series {first.series_id} comes first in the list."
        ),
        members=members[:max_members],
        evidence={"anomalies": len(cluster), "series": series, "metrics": ", ".join(metrics)},
    )
