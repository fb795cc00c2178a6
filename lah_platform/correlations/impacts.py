"""cost_impact and performance_degradation: anomalies of one model that belong together by what they measure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import polars as pl

from lah_platform.correlations.coincidence import chance_of_meeting, distinct_episodes, do_meet, overlap_share
from lah_platform.correlations.config import CorrelationConfig
from lah_platform.correlations.evidence import AnomalyRow, anomalies_by_tenant, first_movers
from lah_platform.correlations.excess_cost import CostBook
from lah_platform.correlations.model import (
    Correlation,
    CorrelationType,
    Evidence,
    Found,
    Role,
    correlation_id,
    strongest,
)

_LATENCY = frozenset({"latency_ms", "ttft_ms"})
_TRAFFIC = frozenset(
    {"events", "requests_per_second", "total_requests", "input_tokens", "output_tokens", "total_tokens"}
)


def cost_impacts(anomalies: pl.DataFrame, points: pl.DataFrame, covered: float, config: CorrelationConfig) -> Found:
    """A cost anomaly (cost_usd) with overlapping anomalies of the same model that can have caused it: tokens or traffic
    in the same direction; where the cost rose also slower answers and failures (waiting and trying again).

    The cost is the effect; what began no later contributed to it, what began later is related.
    Evidence: what the episode cost beyond the usual in USD, of that for more tokens and for dearer ones (a lost cache,
    another model), and its drivers (`excess_cost`).
    Strength: mean share of the shorter episode covered by the overlap. Confidence: 1 minus the chance that as many
    of the model's token and traffic episodes would meet the cost anomaly if they were thrown at random over the
    period; reported from `min_confidence`.
    """
    rule = _Rule("cost_impact", _is_cost, _drives_cost, _cost_roles, _tell_cost, _cost_evidence(CostBook(points)))
    return _meetings(anomalies, covered, config, rule)


def performance_degradations(anomalies: pl.DataFrame, covered: float, config: CorrelationConfig) -> Found:
    """Latency (or time to first token) up together with a change of throughput or more failures of the same model.

    A single first mover is a contributor, what began later an effect, what began together is related.
    Strength and confidence as for cost_impact, over the model's throughput and failure episodes.
    """
    rule = _Rule(
        "performance_degradation", _is_slow, _is_load_or_failure, first_movers, _tell_degradation, _first_mover
    )
    return _meetings(anomalies, covered, config, rule)


@dataclass(frozen=True, slots=True)
class _Rule:
    correlation_type: CorrelationType
    is_subject: Callable[[AnomalyRow], bool]
    is_companion: Callable[[AnomalyRow, AnomalyRow], bool]
    roles: Callable[[Sequence[AnomalyRow]], list[Role]]
    tell: Callable[[Sequence[AnomalyRow], Evidence], str]
    evidence: Callable[[str, Sequence[AnomalyRow]], Evidence]


def _meetings(anomalies: pl.DataFrame, covered: float, config: CorrelationConfig, rule: _Rule) -> Found:
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
    tenant: str, rows: list[AnomalyRow], covered: float, config: CorrelationConfig, rule: _Rule
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


def _is_cost(row: AnomalyRow) -> bool:
    return row.metric == "cost_usd" and row.anomaly_type in ("spike", "drop", "pattern_deviation")


def _drives_cost(cost: AnomalyRow, row: AnomalyRow) -> bool:
    if row.metric in _TRAFFIC or row.anomaly_type == "frequency_anomaly":
        return row.deviation * cost.deviation > 0
    return cost.deviation > 0 and (_is_slow(row) or row.metric == "failed_requests") and row.deviation > 0


def _cost_roles(group: Sequence[AnomalyRow]) -> list[Role]:
    cost = group[0]
    return [
        "effect" if _is_cost(row) else "contributor" if row.started_at <= cost.started_at else "related"
        for row in group
    ]


def _cost_evidence(book: CostBook) -> Callable[[str, Sequence[AnomalyRow]], Evidence]:
    def evidence(tenant: str, group: Sequence[AnomalyRow]) -> Evidence:
        costs = [row for row in group if _is_cost(row)]
        start, end = min(row.started_at for row in costs), max(row.ended_at for row in costs)
        excess = book.excess(tenant, group[0].model, start, end)
        drivers = ", ".join(sorted({_named(row) for row in group if not _is_cost(row)}))
        if excess is None:
            return {"drivers": drivers}
        return {
            "drivers": drivers,
            "cost_usd": excess.usd,
            "volume_usd": excess.volume_usd,
            "rate_usd": excess.rate_usd,
        }

    return evidence


def _tell_cost(group: Sequence[AnomalyRow], evidence: Evidence) -> str:
    cost = group[0]
    verb = "rose" if cost.deviation > 0 else "fell"
    usd = evidence.get("cost_usd")
    amount = f", {abs(float(usd)):.2f} USD {'over' if float(usd) > 0 else 'under'} the usual" if usd is not None else ""
    return f"cost_usd of {cost.model} {verb} together with {evidence['drivers']}{amount}."


def _is_slow(row: AnomalyRow) -> bool:
    return row.metric in _LATENCY and row.deviation > 0 and row.anomaly_type != "frequency_anomaly"


def _is_load_or_failure(_: AnomalyRow, row: AnomalyRow) -> bool:
    if row.metric == "failed_requests" and row.anomaly_type != "frequency_anomaly":
        return row.deviation > 0
    if row.metric == "tokens_per_second":
        return row.deviation < 0
    return row.metric in ("requests_per_second", "total_requests") or row.anomaly_type == "frequency_anomaly"


def _first_mover(_: str, group: Sequence[AnomalyRow]) -> Evidence:
    ordered = sorted(group, key=lambda row: (row.started_at, row.anomaly_id))
    lead = (next((r.started_at for r in ordered if r.started_at > ordered[0].started_at), ordered[0].started_at)) - (
        ordered[0].started_at
    )
    return {
        "first_mover": _named(ordered[0]) if lead else "several at once",
        "lead_seconds": lead.total_seconds(),
        "metrics": ", ".join(sorted({_named(row) for row in group})),
    }


def _tell_degradation(group: Sequence[AnomalyRow], _: Evidence) -> str:
    first = group[0]
    others = sorted({_named(row) for row in group if not _is_slow(row)})
    return f"{first.metric} of {first.model} rose together with a change of {', '.join(others)}."


def _named(row: AnomalyRow) -> str:
    return "the number of events" if row.anomaly_type == "frequency_anomaly" else row.metric
