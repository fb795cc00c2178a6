"""All eight types over one period of inputs. What each means is in its own module."""

from __future__ import annotations

from lah_platform.correlations.cascades import compliance_cascades
from lah_platform.correlations.chains import causal_chains
from lah_platform.correlations.clusters import anomaly_clusters
from lah_platform.correlations.config import DEFAULT, CorrelationConfig
from lah_platform.correlations.cost_impact import cost_impacts
from lah_platform.correlations.degradation import performance_degradations
from lah_platform.correlations.evidence import check_inputs, covered_seconds
from lah_platform.correlations.incidents import security_incidents
from lah_platform.correlations.model import CorrelationInputs, CorrelationReport
from lah_platform.correlations.sequences import pattern_matches
from lah_platform.correlations.temporal import temporal_correlations


def correlate(inputs: CorrelationInputs, config: CorrelationConfig = DEFAULT) -> CorrelationReport:
    """Every correlation of the eight types in the inputs, never across tenants, sorted by start, type and id.

    Deterministic: the order of the frames' rows does not matter. What the limits of `config` leave out is counted
    in the report. Raises ValueError when a column is missing, a time has no zone, or points are not hourly.
    """
    check_inputs(inputs)
    covered = covered_seconds(inputs)
    found = {
        "causal_chain": causal_chains(inputs.events, config),
        "temporal": temporal_correlations(inputs.points, config, inputs.minutes),
        "pattern_match": pattern_matches(inputs.events, covered, config),
        "anomaly": anomaly_clusters(inputs.anomalies, covered, config),
        "cost_impact": cost_impacts(inputs.anomalies, inputs.points, covered, config, inputs.usage),
        "security_incident": security_incidents(inputs.events, inputs.anomalies, covered, config),
        "performance_degradation": performance_degradations(inputs.anomalies, covered, config),
        "compliance_cascade": compliance_cascades(inputs.events, covered, config),
    }
    correlations = [c for each in found.values() for c in each.correlations]
    return CorrelationReport(
        correlations=tuple(
            sorted(correlations, key=lambda c: (c.started_at, c.correlation_type, c.tenant, str(c.correlation_id)))
        ),
        skipped_pairs=found["temporal"].skipped_pairs,
        left_out={name: each.left_out for name, each in found.items() if each.left_out},
    )
