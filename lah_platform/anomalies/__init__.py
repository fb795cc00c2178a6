"""Anomalies in rollup series: five types, each told as an episode, each verdict resting on earlier buckets only.

Pure: frames in, frames out. Reading rollups and writing the table `anomalies` belong to the assets and stores;
what anomalies have to do with each other belongs to correlations.
"""

from lah_platform.anomalies.config import DEFAULT, DetectorConfig
from lah_platform.anomalies.detect import ANOMALY_SCHEMA, detect
from lah_platform.anomalies.identity import anomaly_id
from lah_platform.anomalies.impact import impact_level, score01

__all__ = ["ANOMALY_SCHEMA", "DEFAULT", "DetectorConfig", "anomaly_id", "detect", "impact_level", "score01"]
