"""Maintenance over REST: entered by whom it concerns, checked like the command's, audited, and taken back once."""

from datetime import UTC, datetime

import pytest
from api_support import Api

from lah_platform.stores.anomaly_feedback import read_maintenance
from lah_platform.stores.postgres import connect

_PATH = "/api/v1/anomalies/maintenance"
_SPAN = {"from": "2026-03-01T22:00:00Z", "to": "2026-03-02T02:00:00Z"}


def test_a_window_is_entered_for_the_callers_tenant_seen_by_it_alone_and_audited(api: Api) -> None:
    made = api.client("acme", "analyst").post(_PATH, json={**_SPAN, "model": "gpt-4o", "reason": "move"})
    assert (made.status_code, made.json()["tenant"], made.json()["model"]) == (201, "acme", "gpt-4o")
    asked = {"since": "2026-03-01T00:00:00Z"}
    (seen,) = api.client("acme", "viewer").get(_PATH, params=asked).json()["items"]
    assert seen == made.json()
    assert api.client("globex").get(_PATH, params=asked).json()["items"] == []
    assert made.headers["location"] == f"{_PATH}/{seen['maintenance_id']}"
    with connect(api.url) as connection:
        windows = read_maintenance(connection, datetime(2026, 3, 2, tzinfo=UTC), datetime(2026, 3, 3, tzinfo=UTC))
        assert windows["tenant"].to_list() == ["acme"]
        (audited,) = connection.execute(
            "select actor, action, tenant, details ->> 'reason' from audit_log where object_type = 'maintenance'"
        ).fetchall()
    assert (audited[0], *audited[1:]) == (seen["created_by"], "add", "acme", "move")


def test_only_an_operator_enters_everyones(api: Api) -> None:
    refused = api.client("acme", "admin").post(_PATH, json={**_SPAN, "tenant": "*"})
    assert (refused.status_code, refused.json()["field"]) == (403, "tenant")
    assert api.client("*", "admin").post(_PATH, json=_SPAN).json()["tenant"] == "*"
    seen = api.client("acme", "viewer").get(_PATH, params={"since": "2026-03-01T00:00:00Z"}).json()["items"]
    assert [each["tenant"] for each in seen] == ["*"]
    everyones = f"{_PATH}/{seen[0]['maintenance_id']}"
    assert api.client("acme", "admin").delete(everyones).status_code == 404
    assert api.client("*", "admin").delete(everyones).status_code == 204


def test_a_window_is_taken_back_once_by_its_tenant_and_the_audit_log_keeps_it(api: Api) -> None:
    number = api.client("acme", "admin").post(_PATH, json=_SPAN).json()["maintenance_id"]
    asked = [api.client(each, "admin").delete(f"{_PATH}/{number}") for each in ("globex", "acme", "acme")]
    assert [answer.status_code for answer in asked] == [404, 204, 404]
    with connect(api.url) as connection:
        told = connection.execute("select action from audit_log where object_type = 'maintenance' order by position")
        assert [action for (action,) in told] == ["add", "remove"]


@pytest.mark.parametrize(
    "body",
    [
        {"from": _SPAN["to"], "to": _SPAN["from"]},
        {"from": _SPAN["from"], "to": _SPAN["from"]},
        {"from": _SPAN["from"]},
        {**_SPAN, "to": "tomorrow"},
        {**_SPAN, "model": "a\0b"},
        {**_SPAN, "until": "x"},
        {**_SPAN, "reason": "x" * 1001},
    ],
)
def test_what_the_command_refuses_is_refused_with_the_field(api: Api, body: dict[str, str]) -> None:
    answer = api.client("acme", "admin").post(_PATH, json=body)
    assert answer.status_code == 422, answer.text
    assert answer.json()["field"]
