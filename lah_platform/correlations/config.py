"""The numbers the correlation methods are bounded and tuned by, each with its reason. No computation here."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class CorrelationConfig:
    """Limits keep the work of one call linear in the number of tenants; what they leave out is counted."""

    false_positive_rate: float = 0.05
    """Expected share of false ones among the temporal links (or pattern_match sequences) of a tenant and call; where
    nothing is related, the chance of reporting anything."""
    min_confidence: float = 0.9
    """Least confidence of what rests on coincidence in time."""
    max_lag_hours: int = 12
    max_lag_minutes: int = 60
    """Lags below an hour are looked for on minutes, as far as the hours cannot tell."""
    minute_span: timedelta = timedelta(days=1)
    """The recent minutes that are: at 0.3 a correlation of 1,440 of them is ten standard errors from nothing."""
    max_minute_series: int = 100
    """Series per tenant whose minutes are read, those of the strongest pairs: a second of reading."""
    min_minutes: int = 240
    min_hours: int = 96
    """Hourly changes a series needs before it is compared: four days."""
    max_hours: int = 24 * 42
    """Only the last six weeks are compared."""
    min_strength: float = 0.3
    """Weaker temporal correlations are not worth a person's attention, however significant."""
    sequence_window: timedelta = timedelta(minutes=10)
    """Longest wait from one event of a sequence to the next."""
    min_occurrences: int = 5
    max_kinds: int = 100
    """Kinds of events per tenant that sequences are looked for among, the most frequent ones."""
    max_series: int = 2000
    """Series compared per tenant: `python -m benchmarks.root_cause` has what their two million pairs take."""
    max_candidates: int = 10_000
    """Pairs per tenant judged after screening, the strongest ones."""
    max_anomalies: int = 2000
    """Anomalies looked at per tenant, the latest ones."""
    max_parted_costs: int = 20
    """Episodes of cost per tenant whose parts are read from their requests, the latest ones; of the others it is told
    what more and what dearer tokens cost."""
    max_events: int = 2000
    """Severe security events, and events near violations, looked at per tenant, the latest ones."""
    max_found: int = 100
    """Correlations kept per tenant and type, the strongest ones."""
    max_members: int = 100
    overlap_slack: timedelta = timedelta(minutes=10)
    """Episodes this far apart still count as overlapping: a minute window sees a fault before an hour does."""
    cluster_span: timedelta = timedelta(hours=6)
    """Anomalies that start later than this after the first are not of its cluster: no endless chains."""
    incident_window: timedelta = timedelta(hours=1)
    cascade_window: timedelta = timedelta(hours=24)

    def __post_init__(self) -> None:
        if not (0 < self.false_positive_rate < 1 and 0 < self.min_confidence < 1):
            raise ValueError("false_positive_rate and min_confidence must lie between 0 and 1")
        if (
            min(self.max_series, self.max_anomalies, self.max_events, self.max_found, self.max_members) < 2
            or min(self.max_lag_hours, self.max_lag_minutes) < 0
        ):
            raise ValueError("limits must be at least 2 and lags not negative")
        if not 24 <= self.min_hours <= self.max_hours:
            raise ValueError("24 <= min_hours <= max_hours must hold")


DEFAULT = CorrelationConfig()
