"""What people say about anomalies on the real database: kept once, audited, and read for the next detection."""

from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from lah_platform.anomalies.feedback import lowered, outside_maintenance
from lah_platform.stores.anomaly_feedback import (
    add_maintenance,
    dismiss,
    learning,
    maintenance_listed,
    read_dismissals,
    read_maintenance,
)
from lah_platform.stores.points import read_points
from lah_platform.stores.postgres import connect
from lah_platform.stores.signals import write_anomalies
from tests.stores.event_rows import add_series
from tests.stores.test_signals import DAY, HOUR, NOW, START, anomaly_frame, fill_rollup, rows_of, save_anomalies


def test_a_dismissal_is_kept_once_audited_and_lowers_the_next_of_its_kind(database: str) -> None:
    with connect(database) as connection:
        series_id = add_series(connection, tenant="acme")
        save_anomalies(connection, anomaly_frame((series_id, START + HOUR, "latency_ms")))
        (told,) = rows_of(connection, "select anomaly_id from anomalies")
        said = dismiss(connection, told["anomaly_id"], tenant="acme", actor="key ana", note="load test")
        again = dismiss(connection, told["anomaly_id"], tenant="*", actor="someone", note="else")
        assert said == again
        assert (said["dismissed_by"], said["note"], said["anomaly_type"]) == ("key ana", "load test", "spike")
        audited = rows_of(connection, "select actor, action, object_id, tenant from audit_log where action = 'dismiss'")
        assert audited == [
            {"actor": "key ana", "action": "dismiss", "object_id": str(told["anomaly_id"]), "tenant": "acme"}
        ]
        known = read_dismissals(connection, START, START + DAY)
        later = anomaly_frame((series_id, START + 5 * HOUR, "latency_ms"), (series_id, START + 5 * HOUR, "ttft_ms"))
        scores = dict(lowered(later, known).select("metric", "score").rows())
        assert scores == {"latency_ms": pytest.approx(0.35), "ttft_ms": pytest.approx(0.7)}


def test_nobody_dismisses_what_is_not_theirs(database: str) -> None:
    with connect(database) as connection:
        series_id = add_series(connection, tenant="acme")
        save_anomalies(connection, anomaly_frame((series_id, START + HOUR, "latency_ms")))
        (told,) = rows_of(connection, "select anomaly_id from anomalies")
        with pytest.raises(LookupError, match="no anomaly"):
            dismiss(connection, told["anomaly_id"], tenant="other", actor="key eve", note="")
        with pytest.raises(LookupError, match="no anomaly"):
            dismiss(connection, UUID(int=uuid4().int), tenant="*", actor="key ana", note="")
        assert rows_of(connection, "select * from anomaly_dismissals") == []


def test_a_dismissal_outlives_the_recomputation_of_its_anomaly(database: str) -> None:
    with connect(database) as connection:
        series_id = add_series(connection, tenant="acme")
        frame = anomaly_frame((series_id, START + HOUR, "latency_ms"))
        save_anomalies(connection, frame)
        (told,) = rows_of(connection, "select anomaly_id from anomalies")
        dismiss(connection, told["anomaly_id"], tenant="*", actor="ana", note="")
        write_anomalies(
            connection, frame.clear(), period_from=START, period_to=START + DAY, window="1h", detected_at=NOW
        )
        assert rows_of(connection, "select * from anomalies") == []
        assert read_dismissals(connection, START, START + DAY).height == 1


def test_maintenance_is_listed_audited_and_silences_what_begins_in_it(database: str) -> None:
    with connect(database) as connection:
        ours, theirs = (add_series(connection, tenant=tenant) for tenant in ("acme", "other"))
        for series_id in (ours, theirs):
            fill_rollup(connection, series_id, "1h", [5.0])
        begins, ends = START + 4 * HOUR, START + 6 * HOUR
        made = add_maintenance(connection, begins, ends, tenant="acme", model=None, reason="move", actor="ana")
        (listed,) = maintenance_listed(connection, START)
        assert (listed, listed["reason"], listed["created_by"]) == (made, "move", "ana")
        assert maintenance_listed(connection, ends) == []
        assert rows_of(connection, "select 1 from audit_log where object_type = 'maintenance'") != []
        windows = read_maintenance(connection, START, START + DAY)
        owners = read_points(connection, "1h", "avg", ["latency_ms"], START, START + DAY)
        told = anomaly_frame(*[(s, START + h * HOUR, "latency_ms") for s in (ours, theirs) for h in (3, 4, 5, 6)])
        kept = outside_maintenance(told, owners, windows).select("series_id", "started_at").rows()
        assert [(s, at) for s, at in kept if s == ours] == [(ours, START + 3 * HOUR), (ours, ends)]
        assert len([1 for s, _ in kept if s == theirs]) == 4


def test_a_new_series_says_how_many_hours_it_has_learnt(database: str) -> None:
    with connect(database) as connection:
        new, old = (add_series(connection, model=model) for model in ("new", "old"))
        fill_rollup(connection, new, "1h", [5.0] * 10)
        fill_rollup(connection, old, "1h", [5.0] * 100)
        rows = learning(connection, START, START + timedelta(days=28), 36)
        assert {(row["series_id"], row["metric"]) for row in rows} >= {(new, "latency_ms")}
        assert all(row["series_id"] == new for row in rows)
        assert {row["hours"] for row in rows if row["metric"] == "latency_ms"} == {5}
