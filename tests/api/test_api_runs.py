"""Recomputations, reports and runs over REST: asked for, watched, cancelled, and each step in the audit log."""

from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from api_support import Api
from dagster._core.test_utils import instance_for_test

from assets.definitions import build_defs
from assets.resources import Hub
from lah_platform.stack.environment import dagster_postgres_url
from lah_platform.stores.backfills import set_state
from lah_platform.stores.postgres import connect

_DAYS = {"from": "2026-01-01", "to": "2026-01-03"}


def _audited(api: Api, request: str) -> list[tuple[str, str, str]]:
    with connect(api.url) as connection:
        return connection.execute(
            "select actor, action, details ->> 'state' from audit_log where details ->> 'request' = %s"
            " order by position",
            [request],
        ).fetchall()


@pytest.mark.parametrize(
    ("path", "body", "role"),
    [("/api/v1/backfills", {"table": "cost_daily", **_DAYS}, "admin"), ("/api/v1/reports", _DAYS, "compliance")],
)
def test_what_is_asked_for_can_be_watched_and_cancelled_any_number_of_times(
    api: Api, path: str, body: dict[str, Any], role: str
) -> None:
    client = api.client("*", role)
    made = client.post(path, json=body)
    assert made.status_code == 202, made.text
    place, request = made.headers["Location"], made.json()["request_id"]
    assert client.get(place).json() == made.json()
    assert made.json()["state"] == "requested"
    for _ in range(2):
        cancelled = client.delete(place)
        assert (cancelled.status_code, cancelled.json()["state"]) == (202, "cancelling")
    with connect(api.url) as connection:
        set_state(connection, request, "cancelled", None)
        set_state(connection, request, "succeeded", "run 1")  # which comes too late
    assert client.delete(place).json()["state"] == "cancelled"
    assert client.get(place).json()["finished_at"] is not None
    asked, *steps = _audited(api, request)
    assert asked[1] == "backfill"
    assert [(action, state) for _, action, state in steps] == [
        ("backfill_cancelling", "cancelling"),
        ("backfill_cancelled", "cancelled"),
    ]
    assert (asked[0], steps[0][0]) == (made.json()["requested_by"],) * 2


def test_what_has_ended_cannot_be_cancelled_and_what_is_not_there_is_not_found(api: Api) -> None:
    client = api.client("*", "admin")
    for state in ("succeeded", "failed"):
        place = client.post("/api/v1/backfills", json={"table": "cost_daily", **_DAYS}).headers["Location"]
        with connect(api.url) as connection:
            set_state(connection, place.rsplit("/", 1)[1], "started", "run 1")  # type: ignore[arg-type]
            set_state(connection, place.rsplit("/", 1)[1], state, "run 1")  # type: ignore[arg-type]
        refused = client.delete(place)
        assert (refused.status_code, refused.json()["type"]) == (409, "/docs#conflict")
        assert state in refused.json()["detail"]
        assert client.get(place).json()["state"] == state
        assert client.delete(place.replace("backfills", "reports/requests")).status_code == 404
    assert client.delete(f"/api/v1/backfills/{'0' * 8}-0000-4000-8000-{'0' * 12}").status_code == 404
    listed = client.get("/api/v1/backfills?state=failed").json()["items"]
    assert [each["state"] for each in listed] == ["failed"]
    assert len(client.get("/api/v1/backfills").json()["items"]) == 2


def test_runs_are_shown_as_dagster_keeps_them(api: Api, tmp_path: Path) -> None:
    assert api.client("*", "viewer").get("/api/v1/runs").status_code == 503
    hub = Hub(database_url=api.url, home=str(tmp_path), topic="t")
    job = build_defs(resource_overrides={"hub": hub}).resolve_job_def("cost_daily")
    storage = {"storage": {"postgres": {"postgres_url": dagster_postgres_url(api.url)}}}
    with instance_for_test(overrides=storage, temp_dir=str(tmp_path)) as instance:
        done = job.execute_in_process(instance=instance, partition_key="2026-01-30", raise_on_error=False)
        waiting = instance.create_run_for_job(
            job, tags={"lah/requested_by": "ann"}, status=dg.DagsterRunStatus.NOT_STARTED
        )
    client = api.client("*", "viewer")
    second, first = client.get("/api/v1/runs?job=cost_daily").json()["items"]
    assert (second["run_id"], second["status"], second["requested_by"]) == (waiting.run_id, "not_started", "ann")
    assert (first["run_id"], first["status"]) == (done.run_id, "success" if done.success else "failure")
    assert "cost_daily" in first["assets"]
    assert (first["first_partition"], first["last_partition"]) == ("2026-01-30", "2026-01-30")
    assert first["created_at"] <= first["started_at"] <= first["ended_at"]
    assert first["url"] == f"http://127.0.0.1:3000/runs/{done.run_id}"
    page = client.get("/api/v1/runs?limit=1").json()
    assert page["items"] == [second]
    assert client.get(f"/api/v1/runs?limit=1&cursor={page['next_cursor']}").json()["items"] == [first]
    assert client.get("/api/v1/runs?status=not_started").json()["items"] == [second]
    assert api.client("acme", "admin").get("/api/v1/runs").status_code == 403
