"""Anomalies of one model that meet in time and belong together by what they measure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import polars as pl

from lah_platform.correlations.coincidence import chance_of_meeting, distinct_episodes, do_meet, overlap_share
from lah_platform.correlations.config import CorrelationConfig
from lah_platform.correlations.evidence import AnomalyRow, anomalies_by_tenant
from lah_platform.correlations.model import (
    Correlation,
    CorrelationType,
    Evidence,
    Found,
    Role,
    correlation_id,
    strongest,
)

LATENCY = frozenset({"latency_ms", "ttft_ms"})


@dataclass(frozen=True, slots=True)
class Rule:
    """Which anomalies of one model are the subject of a type of correlation, and which can be its companions."""

    correlation_type: CorrelationType
    is_subject: Callable[[AnomalyRow], bool]
    is_companion: Callable[[AnomalyRow, AnomalyRow], bool]
    roles: Callable[[Sequence[AnomalyRow]], list[Role]]
    tell: Callable[[Sequence[AnomalyRow], Evidence], str]
    evidence: Callable[[str, Sequence[AnomalyRow]], Evidence]


def meetings(anomalies: pl.DataFrame, covered: float, config: CorrelationConfig, rule: Rule) -> Found:
    """Subjects with the companions they meet in time, by model, each subject once; left_out as the limits make it.

    Strength: mean share of the shorter episode covered by the overlap. Confidence: 1 minus the chance that as many of
    the model's companions would meet the subject if they were thrown at random over the period; from `min_confidence`.
    """
    correlations: list[Correlation] = []
    left_out = 0
    for tenant, rows, dropped in anomalies_by_tenant(anomalies, config.max_anomalies):
        by_model: dict[str, list[AnomalyRow]] = defaultdict(list)
        for row in rows:
            if row.model:  # without a model there is no saying that two series are about the same thing
                by_model[row.model].append(row)
        found = [c for group in by_model.values() for c in _of_model(tenant, group, covered, config, rule)]
        kept, cut = strongest(found, config.max_found)
        correlations.extend(kept)
        left_out += dropped + cut
    return Found(correlations, left_out=left_out)


def _of_model(
    tenant: str, rows: list[AnomalyRow], covered: float, config: CorrelationConfig, rule: Rule
) -> list[Correlation]:
    slack = config.overlap_slack
    told: set[str] = set()
    found = []
    for subject in filter(rule.is_subject, rows):
        if subject.anomaly_id in told:
            continue
        candidates = [row for row in rows if rule.is_companion(subject, row)]
        met = [row for row in candidates if do_meet(subject, row, slack)]
        if not met:
            continue
        lengths = [(row.ended_at - row.started_at).total_seconds() for row in candidates]
        exposure = (subject.ended_at - subject.started_at + 2 * slack).total_seconds() + sum(lengths) / len(lengths)
        chance = chance_of_meeting(distinct_episodes(met), distinct_episodes(candidates), exposure, covered)
        if 1.0 - chance < config.min_confidence:
            continue
        again = [
            row
            for row in rows
            if rule.is_subject(row)
            and row.anomaly_id != subject.anomaly_id
            and row.deviation * subject.deviation > 0
            and do_meet(subject, row, slack)
        ]
        told.update(row.anomaly_id for row in again)
        group = [subject, *again, *met]
        roles, evidence = rule.roles(group), rule.evidence(tenant, group)
        members = tuple(row.member(role) for row, role in zip(group, roles, strict=True))
        found.append(
            Correlation(
                correlation_id=correlation_id(rule.correlation_type, tenant, members[:1]),
                tenant=tenant,
                correlation_type=rule.correlation_type,
                started_at=min(row.started_at for row in group),
                ended_at=max(row.ended_at for row in group),
                strength=sum(overlap_share(subject, row) for row in met) / len(met),
                confidence=1.0 - chance,
                explanation=rule.tell(group, evidence),
                members=members[: config.max_members],
                evidence=evidence,
            )
        )
    return found


def is_slow(row: AnomalyRow) -> bool:
    """Whether answers took longer."""
    return row.metric in LATENCY and row.deviation > 0 and row.anomaly_type != "frequency_anomaly"


def named(row: AnomalyRow) -> str:
    """What an anomaly is about, in words."""
    return "the number of events" if row.anomaly_type == "frequency_anomaly" else row.metric
