"""Correlations between events, anomalies and series of one tenant: the eight types, with strength and confidence.

Pure: frames in, records out. Reading and writing tables belong to the assets and stores; detecting the anomalies
that are correlated here belongs to anomalies.
"""

from lah_platform.correlations.config import DEFAULT, CorrelationConfig
from lah_platform.correlations.correlate import correlate
from lah_platform.correlations.model import (
    Correlation,
    CorrelationInputs,
    CorrelationReport,
    Member,
    correlation_id,
)

__all__ = [
    "DEFAULT",
    "Correlation",
    "CorrelationConfig",
    "CorrelationInputs",
    "CorrelationReport",
    "Member",
    "correlate",
    "correlation_id",
]
