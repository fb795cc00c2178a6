"""Whether the hub found what the replay planted: the replay's own word, as it landed, beside what the signals told."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from lah_platform.replay.planted import LEAST_EVENTS
from lah_platform.stores.postgres import Connection
from lah_platform.stores.queries import queries

__all__ = ["EpisodeVerdict", "IncidentVerdict", "Planted", "as_plain", "planted_and_found"]

_Q = queries("stack")


@dataclass(frozen=True, slots=True)
class EpisodeVerdict:
    """A planted episode, and the anomaly of its type, service and metric that peaks within it; times are UTC, ends not
    included."""

    name: str
    anomaly_type: str
    tenant: str
    service: str
    metric: str
    started_at: datetime
    ended_at: datetime
    anomaly_id: str | None
    detected_from: datetime | None
    detected_to: datetime | None

    @property
    def is_found(self) -> bool:
        return self.anomaly_id is not None

    def __str__(self) -> str:
        return (
            f"planted {self.name} ({self.anomaly_type} of {self.metric} of service {self.service}, "
            f"{_span(self.started_at, self.ended_at)})"
        )


@dataclass(frozen=True, slots=True)
class IncidentVerdict:
    """A planted incident, and the incident that tells most of its services' anomalies."""

    tenant: str
    services: list[str]
    root_cause: str
    started_at: datetime
    ended_at: datetime
    incident_id: str | None
    named: str | None
    confidence: float | None
    detected_from: datetime | None
    detected_to: datetime | None
    cost_usd: Decimal | None

    @property
    def is_found(self) -> bool:
        return self.named == self.root_cause

    def __str__(self) -> str:
        return f"planted incident from {self.root_cause} ({_span(self.started_at, self.ended_at)})"


@dataclass(frozen=True, slots=True)
class Planted:
    """Verdicts in order of time. `note` says why there are none, or why they cannot be held against the hub."""

    episodes: list[EpisodeVerdict] = field(default_factory=list)
    incidents: list[IncidentVerdict] = field(default_factory=list)
    note: str = ""

    def missing(self) -> list[str]:
        """In sentences, what was planted and not found."""
        if self.note:
            return []
        lacks = [f"{each} was not found" for each in self.episodes if not each.is_found]
        for incident in self.incidents:
            if incident.incident_id is None:
                lacks.append(f"{incident} was not found")
            elif not incident.is_found:
                lacks.append(f"{incident} was told as {incident.named or 'of unknown cause'}")
        return lacks


def as_plain(planted: Planted) -> dict[str, Any]:
    """The verdicts as JSON's own types but times and decimals, each with `is_found`."""
    verdicts: dict[str, Sequence[EpisodeVerdict | IncidentVerdict]] = {
        "episodes": planted.episodes,
        "incidents": planted.incidents,
    }
    plain = {name: [asdict(each) | {"is_found": each.is_found} for each in found] for name, found in verdicts.items()}
    return {**plain, "note": planted.note}


def planted_and_found(connection: Connection, run: str, why_nothing: str) -> Planted:
    """What run `run` planted and what of it the hub has found. `why_nothing` is the note where it planted nothing."""
    episodes = [EpisodeVerdict(*row) for row in connection.execute(_Q["planted_episodes"], {"run": run})]
    incidents = [IncidentVerdict(*row) for row in connection.execute(_Q["planted_incidents"], {"run": run})]
    if not episodes and not incidents:
        return Planted(note=why_nothing)
    others = [key for (key,) in connection.execute(_Q["replays_beneath"], {"run": run, "least": LEAST_EVENTS})]
    mixed = f"traffic of {', '.join(others)} is in the same series: not held against the hub" if others else ""
    return Planted(episodes, incidents, mixed)


def _span(start: datetime, end: datetime) -> str:
    return f"{start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC"
