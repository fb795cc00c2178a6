"""What the demo's replay plants on purpose, as truths: which series deviates, how, and from when to when.

Belongs here: the truths and how they go over the wire (an event of type custom, subtype planted_episode or
planted_incident, each). Does not: the traffic that is planted (`planted_episodes`, `planted_incident`) and whether the
hub finds it (`lah_platform.stack.planted`). Detectors know nothing of it.
"""

from datetime import datetime
from typing import NamedTuple

from lah_platform.replay.scene import HOUR_US, Scene, synthetic
from lah_platform.replay.wire import Draft, draft, instant

__all__ = [
    "EMBEDDING_MODEL",
    "EPISODES",
    "INCIDENT",
    "LEAST_EVENTS",
    "PLANTED_TAG",
    "PlantedEpisode",
    "PlantedIncident",
    "Span",
    "announcements",
    "episodes_in",
    "incident_in",
    "span_of",
]

LEAST_EVENTS = 10_000
"""Below so many events in all nothing is planted: it would be most of the replay."""
PLANTED_TAG = "planted"
"""The tag of every event that is there, or other than usual, because of something planted: its value says of what."""


class Span(NamedTuple):
    """Microseconds since 1970 UTC, `end_us` not included."""

    start_us: int
    end_us: int

    def holds(self, at_us: int) -> bool:
        return self.start_us <= at_us < self.end_us


class _Kind(NamedTuple):
    """An episode without its time: whole hours before the scene's last whole hour. None: at night, see `span_of`."""

    name: str
    anomaly_type: str
    tenant: str
    service: str
    metric: str
    hours: tuple[int, int] | None
    what: str


EPISODES = (
    _Kind("spike", "spike", "acme", "speech-to-text", "failed_requests", (20, 18), "3 % of requests fail, not 0.4 %"),
    _Kind("drop", "drop", "acme", "translation", "tokens_per_second", (44, 41), "answers are cut to a fifth"),
    _Kind("level_shift", "spike", "acme", "batch-inference", "cost_usd", (60, 0), "seven GPUs run in place of four"),
    _Kind("pattern_deviation", "pattern_deviation", "acme", "news-digest", "cost_usd", None, "a night like a day"),
    _Kind("silence", "frequency_anomaly", "globex", "invoice-extraction", "events", (40, 36), "no event at all"),
    _Kind("burst", "frequency_anomaly", "globex", "invoice-extraction", "events", (26, 24), "three times the events"),
    _Kind(
        "distribution_shift",
        "distribution_shift",
        "globex",
        "invoice-extraction",
        "latency_ms",
        (8, 5),
        "three in eight requests take the slow path in place of one; p50 and p95 stand still",
    ),
)
"""One of each type that the detectors know, two of frequency, and a lasting shift, which is told as a long spike."""

# A field called `name` could be a person's, and a text with spaces tell of anybody: both are encrypted
_ON_THE_WIRE = {"name": "episode"}

INCIDENT = "incident"
EMBEDDING_MODEL = "text-embedder"
_INCIDENT_HOURS = (16, 13)
_NIGHT_FROM_HOUR, _NIGHT_HOURS = 2, 3
_DAY_HOURS = 24
_SETTLED_HOURS = 4  # before the end: an episode that has ended is told whole


class PlantedEpisode(NamedTuple):
    """A deviation of one metric of one service. `anomaly_type` is what the hub calls it; times are UTC, whole hours,
    `ended_at` not included."""

    name: str
    anomaly_type: str
    tenant: str
    service: str
    metric: str
    started_at: datetime
    ended_at: datetime
    what: str


class PlantedIncident(NamedTuple):
    """A fault that began in one component and hurt others. `root_cause` is spelled as the hub's incidents spell it."""

    tenant: str
    root_cause: str
    services: tuple[str, ...]
    started_at: datetime
    ended_at: datetime
    what: str


def span_of(scene: Scene, name: str) -> Span:
    """When the episode of EPISODES, or the INCIDENT, called `name` is."""
    last_us = scene.end_us // HOUR_US * HOUR_US
    hours = _INCIDENT_HOURS if name == INCIDENT else next(kind.hours for kind in EPISODES if kind.name == name)
    if hours is not None:
        return Span(last_us - hours[0] * HOUR_US, last_us - hours[1] * HOUR_US)
    latest_us = last_us - (_SETTLED_HOURS + _NIGHT_HOURS + _NIGHT_FROM_HOUR) * HOUR_US
    midnight_us = latest_us // (_DAY_HOURS * HOUR_US) * _DAY_HOURS * HOUR_US
    start_us = midnight_us + _NIGHT_FROM_HOUR * HOUR_US
    return Span(start_us, start_us + _NIGHT_HOURS * HOUR_US)


def episodes_in(scene: Scene) -> tuple[PlantedEpisode, ...]:
    """The episodes planted in a scene, in the order of EPISODES."""
    found = []
    for kind in EPISODES:
        span = span_of(scene, kind.name)
        subject = (kind.name, kind.anomaly_type, kind.tenant, kind.service, kind.metric)
        found.append(PlantedEpisode(*subject, instant(span.start_us), instant(span.end_us), kind.what))
    return tuple(found)


def incident_in(scene: Scene) -> PlantedIncident:
    """The incident planted in a scene."""
    span = span_of(scene, INCIDENT)
    return PlantedIncident(
        tenant="globex",
        root_cause=f"model {EMBEDDING_MODEL}",
        services=("help-assistant", "retriever", "embedder"),
        started_at=instant(span.start_us),
        ended_at=instant(span.end_us),
        what="the embedder's model takes ten times as long, what waits for it is slow, and answers are asked for again",
    )


def announcements(scene: Scene) -> list[Draft]:
    """The truths as events, at the end of what each tells of: for people and summaries to read, a handful of events
    in series of their own, which nothing is told of."""
    told: list[tuple[str, str, PlantedEpisode | PlantedIncident]] = [
        (episode.name, "planted_episode", episode) for episode in episodes_in(scene)
    ]
    told.append((INCIDENT, "planted_incident", incident_in(scene)))
    return [_announcement(scene, name, subtype, truth) for name, subtype, truth in told]


def _announcement(scene: Scene, name: str, subtype: str, truth: PlantedEpisode | PlantedIncident) -> Draft:
    fields = {_ON_THE_WIRE.get(field, field): value for field, value in truth._asdict().items() if field != "tenant"}
    if isinstance(truth, PlantedIncident):
        fields["root_cause"] = truth.root_cause.replace(" ", ":")
    source = synthetic("llm-analytics-hub", tenant=truth.tenant, service="replay", team="platform", version="1.0.0")
    return draft(
        source,
        min(span_of(scene, name).end_us, scene.end_us),
        scene.identity.uuid("planted", name, subtype),
        f"custom/{subtype}",
        {"data": {"run": scene.identity.run_id, **fields}},
        event_type="telemetry",
        tags={PLANTED_TAG: name},
    )
