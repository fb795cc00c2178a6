"""Incidents on the real database: told from stored rollups, spans and signals, and written again without a trace."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest

from lah_platform.correlations.model import Correlation, Member, correlation_id
from lah_platform.incidents import LEAD, USUAL, Incident, tell_incidents
from lah_platform.stores.incidents import read_correlations, read_incident_inputs, read_telemetry, write_incidents
from lah_platform.stores.postgres import Connection
from lah_platform.stores.signals import write_correlations
from tests.stores.event_rows import add_event, add_series

START = datetime(2026, 3, 9, tzinfo=UTC)
STEP = timedelta(minutes=5)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def incident(number: int, start: datetime, *, title: str = "slow") -> Incident:
    return Incident(
        UUID(int=number), "acme", title, "high", False, start, start + HOUR, "model m", 0.75, Decimal("1.25"),
        {"what": ["x"], "where": {"candidates": []}}, (("anomaly", "a"), ("correlation", str(UUID(int=9)))),
    )  # fmt: skip


def save(connection: Connection, *incidents: Incident) -> int:
    return write_incidents(connection, incidents, period_from=START, period_to=START + DAY, detected_at=START + DAY)


def titles(connection: Connection) -> list[tuple[str, Decimal, dict[str, object]]]:
    return connection.execute("select title, cost_usd, story from incidents order by started_at").fetchall()


def test_incidents_are_read_back_and_telling_again_replaces_the_period(connection: Connection) -> None:
    assert save(connection, incident(1, START), incident(2, START + HOUR), incident(3, START + 3 * DAY)) == 2
    assert titles(connection)[0] == ("slow", Decimal("1.25"), {"what": ["x"], "where": {"candidates": []}})
    assert save(connection, incident(1, START, title="slower")) == 1
    assert [title for title, *_ in titles(connection)] == ["slower"]
    assert connection.execute("select count(*) from incident_members").fetchone() == (2,)


def test_correlations_come_back_as_they_were_written(connection: Connection) -> None:
    members = (Member("contributor", "anomaly", "a", "latency_ms", START), Member("effect", "event", "b", "", START))
    found = Correlation(
        correlation_id("cost_impact", "acme", members), "acme", "cost_impact", START, START + HOUR, 0.5, 0.9, "Dear.",
        members, {"cost_usd": 1.5, "drivers": "retries"},
    )  # fmt: skip
    write_correlations(connection, [found], period_from=START, period_to=START + DAY, detected_at=START + DAY)
    assert read_correlations(connection, START, START + DAY) == [found]
    assert read_correlations(connection, START + DAY, START + 2 * DAY) == []


def test_an_incident_is_told_from_what_the_database_holds(connection: Connection) -> None:
    series = {
        service: add_series(connection, event_type="telemetry", subtype="latency", service=service, model="m")
        for service in ("chat", "search")
    }
    begin = START - 7 * DAY
    for step in range(8 * 288):
        at, is_slow = begin + step * STEP, 7 * 288 + 60 <= step < 7 * 288 + 84
        for service, series_id in series.items():
            mean = (5000.0 if is_slow else 1000.0) + (step * 37 % 101) + len(service)
            connection.execute(
                "insert into rollup_5m values (%s, %s, 'latency_ms', 100, null, null, %s, %s, %s, 0, %s, %s, %s,"
                " '{}', '{}', 1, %s)",
                [at, series_id, *[mean] * 6, at],
            )
    slow = START + 5 * HOUR
    for number, series_id in enumerate(series.values()):
        connection.execute(
            "insert into anomalies values (%s, 'acme', %s, 'latency_ms', '1h', 'spike', 'mad', %s, %s, %s, 0.9, 1000,"
            " 5000, 12, 'high', 'It is slow.', %s)",
            [UUID(int=100 + number), series_id, slow, slow, slow + 2 * HOUR, slow],
        )
    parent = add_event(connection, 1, slow, series_id=series["chat"])
    add_event(connection, 2, slow + STEP, series_id=series["search"], parent_event_id=parent)
    inputs = read_incident_inputs(connection, START, START + DAY, START + DAY)
    assert inputs.telemetry["at"].min() == START - LEAD - USUAL
    assert inputs.telemetry.height == 2 * (4 * 288 + 12)
    assert inputs.telemetry["latency"].median() == pytest.approx(1.05, abs=0.02)
    assert inputs.spans.height == 1
    told = tell_incidents(inputs)
    assert {each.root_cause for each in told} == {"model m"}
    assert save(connection, *told) == 2


def test_telemetry_of_a_component_is_that_of_all_its_series_weighted(connection: Connection) -> None:
    shared = {"event_type": "telemetry", "service": "chat", "model": "m"}
    slow = add_series(connection, subtype="latency", **shared)
    slower = add_series(connection, subtype="latency", region="eu", **shared)
    failing = add_series(connection, subtype="error_rate", **shared)
    nameless = add_series(connection, subtype="latency", event_type="telemetry")
    for series_id, metric, count, mean, exact in [
        (slow, "latency_ms", 30, 1000.0, None),
        (slower, "latency_ms", 10, 5000.0, None),
        (failing, "total_requests", 2, 0.0, 50),
        (failing, "failed_requests", 2, 0.0, 5),
        (nameless, "latency_ms", 9, 1.0, None),
    ]:
        add_five_minutes(connection, series_id, metric, START, count, mean, exact)
    add_five_minutes(connection, slow, "latency_ms", START + STEP, 4, 2000.0, None)
    add_five_minutes(connection, failing, "total_requests", START + 2 * STEP, 2, 0.0, 0)
    rows = read_telemetry(connection, START, START + HOUR).sort("at").rows(named=True)
    told = [(row["at"] - START, row["requests"], row["latency"], row["failed_share"]) for row in rows]
    assert told == [(0 * STEP, 50.0, 2.0, 0.1), (STEP, 4.0, 2.0, None), (2 * STEP, 0.0, None, None)]
    assert {(row["tenant"], row["service"], row["model"]) for row in rows} == {("acme", "chat", "m")}
    assert read_telemetry(connection, START + DAY, START + 2 * DAY).is_empty()


def test_what_had_ended_before_the_period_is_not_told_again(connection: Connection) -> None:
    series_id = add_series(connection, event_type="telemetry", subtype="latency", service="chat", model="m")
    for number, start in enumerate((START - DAY, START + HOUR)):
        connection.execute(
            "insert into anomalies values (%s, 'acme', %s, 'latency_ms', '1h', 'spike', 'mad', %s, %s, %s, 0.9, 1000,"
            " 5000, 12, 'high', 'It is slow.', %s)",
            [UUID(int=100 + number), series_id, start, start, start + HOUR, start],
        )
    inputs = read_incident_inputs(connection, START - 7 * DAY, START + DAY, START + DAY, START)
    assert [each.started_at for each in tell_incidents(inputs)] == [START + HOUR]


def add_five_minutes(
    connection: Connection, series_id: int, metric: str, at: datetime, count: int, mean: float, exact: int | None
) -> None:
    connection.execute(
        "insert into rollup_5m values (%s, %s, %s, %s, null, %s, 0, 0, %s, 0, 0, 0, 0, '{}', '{}', 1, %s)",
        [at, series_id, metric, count, exact, mean, at],
    )
