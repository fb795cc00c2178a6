"""`lah anomalies`: what people say about anomalies reaches the tables that detection reads."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from lah_platform.stores.anomaly_feedback import read_dismissals, read_maintenance
from lah_platform.stores.postgres import Connection
from tests.cli.running import lah
from tests.stores.event_rows import add_series

_AT = datetime(2026, 3, 4, 12, tzinfo=UTC)


def test_an_anomaly_is_dismissed_once_and_one_that_is_not_there_is_said_to_be_missing(
    database: str, connection: Connection, tmp_path: Path
) -> None:
    anomaly_id = UUID(int=7)
    connection.execute(
        "insert into anomalies (anomaly_id, tenant, series_id, metric, window_name, anomaly_type, method, started_at,"
        " peak_at, ended_at, score, baseline, observed, deviation, impact, explanation, detected_at)"
        " values (%s, 'acme', %s, 'events', '1h', 'spike', 'm', %s, %s, %s, 0.5, 1, 2, 3, 'low', 'x', %s)",
        [anomaly_id, add_series(connection), _AT, _AT, _AT + timedelta(hours=1), _AT],
    )
    for note in ("load test", "said again"):
        said = lah(database, tmp_path, "anomalies", "dismiss", str(anomaly_id), "--note", note)
        assert said.stdout == "dismissed spike of events of 2026-03-04 12:00Z\n"
    assert read_dismissals(connection, _AT, _AT + timedelta(hours=1)).height == 1
    assert connection.execute("select note from anomaly_dismissals").fetchall() == [("load test",)]
    for missing in (str(UUID(int=8)), "seven"):
        refused = lah(database, tmp_path, "anomalies", "dismiss", missing)
        assert (refused.returncode, missing in refused.stderr) == (1, True)


def test_maintenance_is_entered_and_listed_and_its_times_are_checked(
    database: str, connection: Connection, tmp_path: Path
) -> None:
    span = ["--from", "2026-03-04T12:00", "--to", "2126-03-04T14:00"]  # so far ahead that it is always to come
    assert lah(database, tmp_path, "anomalies", "maintenance", *span, "--reason", "new cluster").returncode == 0
    (entered,) = read_maintenance(connection, _AT, _AT + timedelta(hours=1)).rows(named=True)
    assert (entered["tenant"], entered["starts_at"]) == ("*", _AT)
    assert "new cluster" in lah(database, tmp_path, "anomalies", "maintenance").stdout
    backwards = lah(database, tmp_path, "anomalies", "maintenance", "--from", span[3], "--to", span[1])
    assert (backwards.returncode, "end is not after the start" in backwards.stderr) == (1, True)
    assert lah(database, tmp_path, "anomalies", "maintenance", "--remove", "1").returncode == 0
    assert read_maintenance(connection, _AT, _AT + timedelta(hours=1)).is_empty()
    assert lah(database, tmp_path, "anomalies", "maintenance", "--remove", "1").returncode == 1


def test_a_series_that_is_too_new_to_be_judged_is_learning(
    database: str, connection: Connection, tmp_path: Path
) -> None:
    assert "is judged" in lah(database, tmp_path, "anomalies", "learning").stdout
    connection.execute(
        "insert into rollup_1h select date_trunc('hour', now(), 'UTC') - interval '2 hours', %s, 'events', 1, 1, null,"
        " 1, 1, 1, 0, 1, 1, 1, '{}', '{}', 1, now()",
        [add_series(connection)],
    )
    said = lah(database, tmp_path, "anomalies", "learning").stdout
    assert "acme cost token_cost events: learning, 1 hours known" in said
