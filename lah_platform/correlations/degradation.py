"""performance_degradation: answers get slower while throughput changes or failures rise."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from lah_platform.correlations.config import CorrelationConfig
from lah_platform.correlations.evidence import AnomalyRow, first_movers
from lah_platform.correlations.meetings import Rule, is_slow, meetings, named
from lah_platform.correlations.model import Evidence, Found


def performance_degradations(anomalies: pl.DataFrame, covered: float, config: CorrelationConfig) -> Found:
    """Latency (or time to first token) up together with a change of throughput or more failures of the same model.

    A single first mover is a contributor, what began later an effect, what began together is related.
    Strength and confidence as in `meetings`, over the model's throughput and failure episodes.
    """
    rule = Rule("performance_degradation", is_slow, _is_load_or_failure, first_movers, _tell_degradation, _first_mover)
    return meetings(anomalies, covered, config, rule)


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
        "first_mover": named(ordered[0]) if lead else "several at once",
        "lead_seconds": lead.total_seconds(),
        "metrics": ", ".join(sorted({named(row) for row in group})),
    }


def _tell_degradation(group: Sequence[AnomalyRow], _: Evidence) -> str:
    first = group[0]
    others = sorted({named(row) for row in group if not is_slow(row)})
    return f"{first.metric} of {first.model} rose together with a change of {', '.join(others)}."
