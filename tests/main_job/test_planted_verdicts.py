"""What the demo says of what was planted: found, missed in a sentence, or not to be held against the hub."""

from datetime import UTC, datetime, timedelta
from io import StringIO

import msgspec
import pytest
from rich.console import Console

from lah_platform.cli.summary import print_summary
from lah_platform.replay.planted import PlantedEpisode, PlantedIncident, announcements, episodes_in, incident_in
from lah_platform.replay.scene import Scene
from lah_platform.replay.wire import Identity
from lah_platform.replay.workload_profile import recorded_profile
from lah_platform.stack.main_job import Summary, as_json
from lah_platform.stack.planted import as_plain, planted_and_found
from lah_platform.stores.postgres import Connection
from tests.stores.event_rows import add_event, add_series

END = datetime(2026, 3, 9, 12, 30, tzinfo=UTC)
SCENE = Scene(Identity("demo"), round(END.timestamp() * 1e6), 1, recorded_profile())
INCIDENT = incident_in(SCENE)


@pytest.fixture
def announced(connection: Connection) -> Connection:
    """A database in which the announcements of run "demo" have landed, and nothing has been found."""
    _add_replay(connection, "demo", END)
    for number, each in enumerate(announcements(SCENE)):
        subtype = each.kind.partition("/")[2]
        columns = {"tenant": str(each.envelope["tags"]["tenant"]), "event_type": "telemetry", "payload_type": "custom"}  # type: ignore[index]
        payload = msgspec.json.encode(each.data).decode()
        add_event(connection, number, END - timedelta(hours=1), subtype=subtype, payload=payload, **columns)
    return connection


def _add_replay(connection: Connection, run: str, end: datetime, events: int = 60_000) -> None:
    connection.execute("insert into replays values (%s, 'all', %s, %s, now(), now())", (run, events, end))


def _tell(connection: Connection, planted: PlantedEpisode, *, peak_at: datetime | None = None) -> None:
    series_id = add_series(connection, tenant=planted.tenant, service=planted.service, model=planted.name)
    connection.execute(
        "insert into anomalies values (gen_random_uuid(), %s, %s, %s, '1h', %s, 'mad', %s, %s, %s, 0.9, 1, 5, 12,"
        " 'high', 'Much.', now())",
        [planted.tenant, series_id, planted.metric, planted.anomaly_type, planted.started_at]
        + [peak_at or planted.started_at, planted.ended_at],
    )


def _tell_incident(connection: Connection, planted: PlantedIncident, root_cause: str | None) -> None:
    for number, service in enumerate(planted.services):
        series_id = add_series(connection, tenant=planted.tenant, service=service)
        row = connection.execute(
            "insert into anomalies values (gen_random_uuid(), %s, %s, 'latency_ms', '1h', 'spike', 'mad', %s, %s, %s,"
            " 0.9, 1, 5, 12, 'high', 'Slow.', now()) returning anomaly_id",
            [planted.tenant, series_id, planted.started_at, planted.started_at, planted.ended_at],
        ).fetchone()
        assert row is not None
        connection.execute(
            "insert into incidents values ('00000000-0000-0000-0000-000000000001', %s, 'slow', 'high', false, %s, %s,"
            " %s, 0.9, 1.5, '{}', now()) on conflict do nothing",
            (planted.tenant, planted.started_at, planted.ended_at, root_cause),
        )
        connection.execute(
            "insert into incident_members values ('00000000-0000-0000-0000-000000000001', %s, 'anomaly', %s)",
            (number, str(row[0])),
        )


def test_everything_found_leaves_nothing_missing(announced: Connection) -> None:
    for planted in episodes_in(SCENE):
        _tell(announced, planted)
    _tell_incident(announced, INCIDENT, INCIDENT.root_cause)
    found = planted_and_found(announced, "demo", "")
    assert found.missing() == []
    assert {each.name for each in found.episodes if each.is_found} == {each.name for each in episodes_in(SCENE)}
    (incident,) = found.incidents
    assert (incident.named, incident.confidence, incident.detected_from) == (
        INCIDENT.root_cause,
        0.9,
        INCIDENT.started_at,
    )


def test_what_was_not_found_makes_the_demo_incomplete_in_a_sentence(announced: Connection) -> None:
    summary = Summary(planted=planted_and_found(announced, "demo", ""))
    lacks = [each for each in summary.missing() if each.startswith("planted")]
    assert len(lacks) == len(episodes_in(SCENE)) + 1
    assert (
        "planted drop (drop of tokens_per_second of service translation, 2026-03-07 16:00 to 2026-03-07 19:00 UTC)"
        " was not found"
    ) in lacks
    plain = msgspec.json.decode(as_json(summary))["planted"]
    assert not any(each["is_found"] for each in plain["episodes"] + plain["incidents"])


def test_an_anomaly_of_another_type_or_metric_or_time_is_not_what_was_planted(announced: Connection) -> None:
    drop = next(each for each in episodes_in(SCENE) if each.name == "drop")
    _tell(announced, drop._replace(anomaly_type="spike"))
    _tell(announced, drop._replace(metric="events"))
    _tell(announced, drop._replace(service="other"))
    _tell(announced, drop, peak_at=drop.ended_at)
    found = {each.name: each.is_found for each in planted_and_found(announced, "demo", "").episodes}
    assert not found["drop"]
    _tell(announced, drop)
    assert next(e for e in planted_and_found(announced, "demo", "").episodes if e.name == "drop").is_found


@pytest.mark.parametrize(("named", "told_as"), [("service retriever", "service retriever"), (None, "of unknown cause")])
def test_an_incident_from_somewhere_else_is_not_the_planted_one(
    announced: Connection, named: str | None, told_as: str
) -> None:
    _tell_incident(announced, INCIDENT, named)
    found = planted_and_found(announced, "demo", "")
    assert [each for each in found.missing() if each.endswith(f"was told as {told_as}")]
    assert as_plain(found)["incidents"][0]["named"] == named


def test_two_replays_over_one_another_are_not_held_against_the_hub(announced: Connection) -> None:
    _add_replay(announced, "small", END, events=5_000)
    _add_replay(announced, "long ago", END - timedelta(days=30))
    assert planted_and_found(announced, "demo", "").note == ""
    _add_replay(announced, "again", END + timedelta(days=1))
    found = planted_and_found(announced, "demo", "")
    assert "again" in found.note
    assert found.missing() == []


def test_what_was_sent_and_did_not_land_is_missing(connection: Connection) -> None:
    _add_replay(connection, "demo", END)
    planted = planted_and_found(connection, "demo", "nothing, for lack of room")
    assert planted.note == "nothing, for lack of room"
    assert Summary(planted=planted, planted_sent=8).missing()[-1] == "8 planted things that did not land"
    assert "8 planted" not in str(Summary(planted=planted).missing())


def test_a_person_reads_a_line_for_each_planted_thing(announced: Connection) -> None:
    _tell(announced, episodes_in(SCENE)[0])
    _tell_incident(announced, INCIDENT, "service retriever")
    console = Console(file=StringIO(), width=60)
    print_summary(console, Summary(planted=planted_and_found(announced, "demo", "")))
    lines = [line for line in console.file.getvalue().splitlines() if line.startswith("planted")]  # type: ignore[attr-defined]
    assert len(lines) == len(episodes_in(SCENE)) + 1
    assert len([line for line in lines if line.endswith(": not found")]) == len(episodes_in(SCENE)) - 1
    assert "told as from service retriever (90% sure), 08 Mar 20:00 to 08 Mar 23:00 UTC" in lines[-1]
