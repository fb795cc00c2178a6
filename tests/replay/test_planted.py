"""What is planted is found, each episode as what it is; where it is not planted it is not found; and it says so."""

from collections.abc import Sequence
from datetime import UTC, datetime

import polars as pl
import pytest

from lah_platform.events.envelope import Event
from lah_platform.replay.plan import ReplayPlan
from lah_platform.replay.planted import (
    EPISODES,
    INCIDENT,
    LEAST_EVENTS,
    PLANTED_TAG,
    PlantedEpisode,
    announcements,
    episodes_in,
    incident_in,
)
from lah_platform.replay.planted_episodes import episode_events
from lah_platform.replay.planted_incident import incident_events
from lah_platform.replay.scene import Scene
from lah_platform.replay.wire import Draft, Identity
from lah_platform.replay.workload_profile import recorded_profile
from tests.replay.conftest import END
from tests.replay.detecting import told_of
from tests.replay.reading import data_of

NAMES = [kind.name for kind in EPISODES]
OTHER_END = datetime(2026, 12, 1, 3, 59, 59, 999_999, tzinfo=UTC)


def scene(end: datetime = END, seed: int = 20231116) -> Scene:
    return Scene(Identity("tests"), round(end.timestamp() * 1e6), seed, recorded_profile())


def traffic(of: Scene, *, is_planted: bool = True) -> list[Draft]:
    return episode_events(of, is_planted=is_planted) + incident_events(of, is_planted=is_planted)


def truth(name: str, end: datetime = END) -> PlantedEpisode:
    return next(each for each in episodes_in(scene(end)) if each.name == name)


def told_as(told: pl.DataFrame, planted: PlantedEpisode) -> list[tuple[datetime, datetime]]:
    """From when to when the hub tells of the planted metric what was planted there, at whatever time."""
    mine = told.filter(
        pl.col("tenant") == planted.tenant,
        pl.col("service") == planted.service,
        pl.col("metric") == planted.metric,
        pl.col("anomaly_type") == planted.anomaly_type,
    )
    return mine.select("started_at", "ended_at").rows()


@pytest.fixture(scope="module")
def told() -> pl.DataFrame:
    return told_of(traffic(scene()), END)


@pytest.fixture(scope="module")
def told_of_quiet() -> pl.DataFrame:
    return told_of(traffic(scene(), is_planted=False), END)


@pytest.mark.parametrize("name", NAMES)
def test_a_planted_episode_is_told_from_its_first_hour_and_only_it(told: pl.DataFrame, name: str) -> None:
    planted = truth(name)
    of_same_type = [truth(other) for other in NAMES if truth(other)[1:5] == planted[1:5]]
    episodes = told_as(told, planted)
    assert sorted(start for start, _ in episodes) == sorted(each.started_at for each in of_same_type)
    (ended,) = [end for start, end in episodes if start == planted.started_at]
    if name == "level_shift":  # becomes usual after a while
        assert 24 < (ended - planted.started_at).total_seconds() / 3600 <= 60
    else:
        assert ended == planted.ended_at


@pytest.mark.parametrize("name", NAMES)
def test_where_it_is_not_planted_nothing_is_told(told_of_quiet: pl.DataFrame, name: str) -> None:
    assert told_as(told_of_quiet, truth(name)) == []


def test_the_tail_moves_while_median_and_p95_stay_and_no_other_type_tells_of_it(told: pl.DataFrame) -> None:
    shift = truth("distribution_shift")
    others = told.filter(pl.col("service") == shift.service, pl.col("metric") == shift.metric)
    assert set(others["anomaly_type"]) == {"distribution_shift"}
    latency = [
        (each.envelope["timestamp"], each.data["total_latency_ms"])
        for each in traffic(scene())
        if each.key.startswith(f"{shift.tenant}/{shift.service}/")
    ]
    frame = pl.DataFrame(latency, schema=["at", "ms"], orient="row")
    within = pl.col("at").is_between(shift.started_at, shift.ended_at, closed="left")
    now, usual = frame.filter(within)["ms"], frame.filter(~within)["ms"]
    for q, least, most in ((0.5, 0.95, 1.1), (0.95, 0.95, 1.1), (0.75, 5.0, 9.0)):
        ratio = now.quantile(q) / usual.quantile(q)  # type: ignore[operator]
        assert least < ratio < most, q


def test_it_is_found_at_another_hour_of_the_day_too() -> None:
    told = told_of(traffic(scene(OTHER_END)), OTHER_END)
    for name in NAMES:
        planted = truth(name, OTHER_END)
        assert planted.started_at in [start for start, _ in told_as(told, planted)], name


def test_every_service_of_the_incident_is_told_slow_and_dear_in_its_hours(told: pl.DataFrame) -> None:
    planted = incident_in(scene())
    at_once = (pl.col("started_at") == planted.started_at) & (pl.col("ended_at") == planted.ended_at)
    within = told.filter(at_once, pl.col("tenant") == planted.tenant)
    slow = within.filter(pl.col("metric") == "latency_ms", pl.col("anomaly_type") == "spike")
    assert set(slow["service"]) == set(planted.services)
    assert within.filter(pl.col("metric") == "cost_usd").height == 1


def test_each_planted_event_says_so_and_no_other(workload_plan: ReplayPlan, workload_events: list[Event]) -> None:
    stored = workload_events
    labelled = [event for event in stored if PLANTED_TAG in event.tags and event.payload_type != "custom"]
    assert {event.tags[PLANTED_TAG] for event in labelled} == {*NAMES, INCIDENT} - {"silence"}
    assert all(event.tags["synthetic"] == "true" for event in labelled)
    times = {each.name: (each.started_at, each.ended_at) for each in workload_plan.planted}
    incident = workload_plan.planted_incident
    assert incident is not None
    times[INCIDENT] = (incident.started_at, incident.ended_at)
    for event in labelled:
        start, end = times[event.tags[PLANTED_TAG]]
        assert start <= event.timestamp < end
    for name in set(NAMES) - {"silence", "burst"}:
        assert _unlabelled_within(stored, truth(name)) == []
    silence = truth("silence")
    assert not [event for event in stored if _is_within(event, silence)]


def _is_within(event: Event, planted: PlantedEpisode) -> bool:
    is_its = event.tenant == planted.tenant and event.tags.get("service") == planted.service
    return is_its and planted.started_at <= event.timestamp < planted.ended_at


def _unlabelled_within(stored: Sequence[Event], planted: PlantedEpisode) -> list[Event]:
    return [e for e in stored if _is_within(e, planted) and e.tags.get(PLANTED_TAG) != planted.name]


def test_the_truths_go_over_the_wire_too(workload_plan: ReplayPlan, workload_events: list[Event]) -> None:
    sent = [event for event in workload_events if event.subtype == "planted_episode"]
    said = {data_of(event)["data"]["episode"]: (event, data_of(event)["data"]) for event in sent}
    assert list(said) != []
    assert set(said) == {each.name for each in workload_plan.planted}
    for planted in workload_plan.planted:
        event, fields = said[planted.name]
        assert event.tenant == planted.tenant
        assert event.tags[PLANTED_TAG] == planted.name
        assert (fields["service"], fields["metric"], fields["anomaly_type"]) == (
            planted.service,
            planted.metric,
            planted.anomaly_type,
        )
        assert datetime.fromisoformat(fields["started_at"]) == planted.started_at
        assert datetime.fromisoformat(fields["ended_at"]) == planted.ended_at


def test_what_is_planted_is_never_thinned() -> None:
    small = ReplayPlan.of_traces(end=END, run_id="tests", events=LEAST_EVENTS, malformed_count=0, duplicate_share=0)
    of = scene()
    assert any(f'"{PLANTED_TAG}"'.encode() in message.value for message in small.messages)
    assert small.counts["planted"] == len(traffic(of)) + len(announcements(of))
    assert small.expected.stored <= LEAST_EVENTS + 1_200  # as test_plan has it


@pytest.mark.parametrize(
    ("source", "events", "why"),
    [("all", LEAST_EVENTS - 1, "fewer than 10,000 events"), ("azure-code", LEAST_EVENTS, "single trace")],
)
def test_a_replay_without_room_for_it_plants_nothing_and_says_so(source: str, events: int, why: str) -> None:
    plan = ReplayPlan.of_traces(end=END, run_id="tests", source=source, events=events)
    assert (plan.planted, plan.planted_incident) == ((), None)
    assert not [message for message in plan if f'"{PLANTED_TAG}"'.encode() in message.value]
    assert "nothing is planted" in plan.describe()
    assert why in plan.describe()
