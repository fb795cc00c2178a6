"""Who may do what: every route of the app is asked, so that a new one cannot slip by."""

import re
from typing import Any

import pytest
from api_support import TENANTS, Api, add_persons
from fastapi import FastAPI
from starlette.routing import WebSocketRoute

from api.access import OPERATORS_ONLY, PUBLIC, ROLES, ROUTES, check_declared
from api.app import create_app
from api.examples import (
    ANOMALY_ID,
    BACKFILL,
    BACKFILL_ID,
    CONSENT,
    CONTENT_POLICY,
    EVENT_ID,
    EVENTS,
    HOLD,
    HOLD_ID,
    INCIDENT_ID,
    KEY,
    KEY_ID,
    MAINTENANCE,
    MAINTENANCE_ID,
    PERSON,
    RECEIPT,
    REPORT,
    REPORT_ID,
    REPORT_REQUEST_ID,
    ROTATION,
    RULE,
    RULE_ID,
    TIMESERIES,
    WITHDRAWAL,
)
from lah_platform.stores.keys import EVERY_TENANT, create_key, revoke_key
from lah_platform.stores.postgres import Connection, connect

_FIRST_TENANTS = (
    "/api/v1/reports/{report_id}",
    "/api/v1/reports/{report_id}/documents/{format}",
    "/api/v1/reports/{report_id}/verification",
    "/api/v1/incidents/{incident_id}",
    "/api/v1/lineage",
)
_IDS = {
    "{incident_id}": INCIDENT_ID,
    "{anomaly_id}": ANOMALY_ID,
    "{event_id}": EVENT_ID,
    "{report_id}": REPORT_ID,
    "{format}": "json",
    "{request_id}": BACKFILL_ID,
    "{report_request_id}": REPORT_REQUEST_ID,
    "{key_id}": KEY_ID,
    "{maintenance_id}": str(MAINTENANCE_ID),
    "{rule_id}": str(RULE_ID),
    "{hold_id}": str(HOLD_ID),
    "{asset}": "cost_daily",
    "{rule}": "dollars_equal_events",
}
_BODIES: dict[str, Any] = {
    "/api/v1/events": EVENTS["flat spelling"],
    "/api/v1/events/batch": [EVENTS["flat spelling"]],
    "/api/v1/backfills": BACKFILL["a month"],
    "/api/v1/reports": REPORT["a month"],
    "/api/v1/anomalies/maintenance": next(iter(MAINTENANCE.values())),
    "/api/v1/consents": next(iter(CONSENT.values())),
    "/api/v1/consents/query": next(iter(PERSON.values())),
    "/api/v1/consents/withdraw": next(iter(WITHDRAWAL.values())),
    "/api/v1/subjects/export": next(iter(PERSON.values())),
    "/api/v1/subjects/erase": next(iter(PERSON.values())),
    "/api/v1/subjects/verify": next(iter(RECEIPT.values())),
    "/api/v1/privacy/content-policies": next(iter(CONTENT_POLICY.values())),
    "/api/v1/retention/rules": next(iter(RULE.values())),
    "/api/v1/retention/holds": next(iter(HOLD.values())),
    "/api/v1/timeseries/query": TIMESERIES["a gap-free chart"],
    "/api/v1/keys": next(iter(KEY.values())),
    "/api/v1/keys/{key_id}/rotate": next(iter(ROTATION.values())),
}
_QUERIES = {
    "/api/v1/metrics": "window=1h&metric=latency_ms",
    "/api/v1/forecasts/outlook": "metric=cost_usd&limit=6&from=2026-01-01T00:00:00Z&to=2027-01-01T00:00:00Z",
    "/api/v1/stream": "follow=false&last_event_id=0",
    "/api/v1/checks/{asset}/{rule}/rows": "from=2026-01-31T00:00:00Z&to=2026-02-01T00:00:00Z",
    "/api/v1/lineage": "window=1h&metric=latency_ms&series_id=15&bucket_start=2026-01-31T08:00:00Z",
}
# What is not asked with a method, a WebSocket, is in test_api_stream
_ASKED = {asked: needed for asked, needed in ROUTES.items() if asked[0] != "WEBSOCKET"}
_PRIVATE = [(method, path, needed) for (method, path), needed in _ASKED.items() if needed != PUBLIC]
_NO_JSON = ("/metrics/prometheus", "/api/v1/stream")
_OF_NOBODY = (
    *("/api/v1/audit/heads", "/api/v1/checks", "/api/v1/checks/history", "/api/v1/prices", "/api/v1/lineage"),
    *_NO_JSON,
)


def _address(path: str) -> str:
    query = f"?{_QUERIES[path]}" if path in _QUERIES else ""
    for name, value in _IDS.items():
        path = path.replace(name, value)
    return path + query


def _ask(api: Api, tenant: str | None, role: str, method: str, path: str) -> Any:
    return api.client(tenant, role).request(
        method, _address(path), json=_BODIES.get(path) if method == "POST" else None
    )


def _revive_examples(api: Api) -> None:
    """What the examples take away: the key, the maintenance window, the rule, the hold and the person."""
    with connect(api.url) as connection:
        connection.execute(
            "insert into maintenance_windows (maintenance_id, tenant, starts_at, ends_at, reason, created_by)"
            " overriding system value values (%s, %s, '2026-01-01', '2026-01-02', '', 'x') on conflict do nothing",
            [MAINTENANCE_ID, TENANTS[0]],
        )
        connection.execute(
            "insert into retention_rules (rule_id, tenant, class, keep_days, set_by)"
            " overriding system value values (%s, %s, 'events', 300, 'x') on conflict do nothing",
            [RULE_ID, TENANTS[0]],
        )
        _revive_person(connection)
        connection.execute(
            "update legal_holds set released_at = null, released_by = null where hold_id = %s", [HOLD_ID]
        )
        connection.execute("update api_keys set revoked_at = null, expires_at = null where key_id = %s", [KEY_ID])


def _revive_person(connection: Connection) -> None:
    if connection.execute("delete from subject_tombstones").rowcount:
        connection.execute("delete from erasure_receipts where removed <> '{}'")
        add_persons(connection)


def _tenants_in(answer: Any) -> set[str]:
    """Every tenant that a JSON answer names, at any depth."""
    match answer:
        case dict():
            own = {answer["tenant"]} if isinstance(answer.get("tenant"), str) else set()
            return own.union(*map(_tenants_in, answer.values()))
        case list():
            return set().union(*map(_tenants_in, answer))
        case _:
            return set()


def test_every_route_of_the_app_has_a_declared_permission_and_every_declared_route_exists(served: Api) -> None:
    existing = {
        (method, route.path)
        for route in served.app.routes
        for method in (["WEBSOCKET"] if isinstance(route, WebSocketRoute) else route.methods)
    }
    assert existing == set(ROUTES)


def test_an_app_with_an_undeclared_route_does_not_start(served: Api) -> None:
    app = create_app(served.services)
    app.add_api_route("/api/v1/secrets", lambda: {}, methods=["GET"])
    with pytest.raises(ValueError, match="GET /api/v1/secrets has no permission"):
        check_declared(app)


def test_an_app_with_a_route_that_would_bypass_access_control_does_not_start(served: Api) -> None:
    app = create_app(served.services)
    app.mount("/files", FastAPI())
    with pytest.raises(ValueError, match="bypass"):
        check_declared(app)


def test_a_route_added_later_without_a_permission_answers_nobody(served: Api) -> None:
    app = create_app(served.services)
    app.add_api_route("/api/v1/secrets", lambda: {"secret": 1}, methods=["GET"])
    answer = Api(app, served.services, served.keys, served.url).client(EVERY_TENANT, "admin").get("/api/v1/secrets")
    assert answer.status_code == 403


def test_without_a_key_only_the_public_routes_answer(seeded: Api) -> None:
    for (method, path), needed in _ASKED.items():
        answer = _ask(seeded, None, "", method, path)
        if needed == PUBLIC:
            assert answer.status_code == 200, path
        else:
            assert answer.status_code == 401, path
            assert answer.headers["www-authenticate"].startswith("Bearer")
            assert answer.headers["content-type"] == "application/problem+json"


def test_a_role_does_exactly_what_its_permissions_say(seeded: Api) -> None:
    for tenant in (TENANTS[0], EVERY_TENANT):
        for role, permissions in ROLES.items():
            if (tenant, role) not in seeded.keys:
                continue
            for method, path, needed in _PRIVATE:
                is_permitted = needed in permissions and (needed not in OPERATORS_ONLY or tenant == EVERY_TENANT)
                _revive_examples(seeded)
                answer = _ask(seeded, tenant, role, method, path)
                assert (answer.status_code != 403) == is_permitted, (tenant, role, method, path, answer.text)
                assert answer.is_success == is_permitted, (tenant, role, method, path, answer.text)


def test_no_get_route_shows_a_row_of_another_tenant(served: Api) -> None:
    asked = set()
    for method, path, needed in _PRIVATE:
        if method != "GET" or needed in OPERATORS_ONLY:
            continue
        for tenant in TENANTS:
            answer = _ask(served, tenant, "admin", method, path)
            other = next(each for each in TENANTS if each != tenant)
            if answer.status_code == 404:  # the examples' report, incident and series are the first tenant's
                assert (path, tenant) in {(each, TENANTS[1]) for each in _FIRST_TENANTS}
                continue
            assert answer.is_success, (path, answer.text)
            assert other not in answer.text, path
            if path in _NO_JSON:
                assert re.search(f'"?tenant"?[=:]"{tenant}"', answer.text)
            elif path not in ("/api/v1/checks", "/api/v1/prices", "/api/v1/audit/heads"):  # which belong to nobody
                assert _tenants_in(answer.json()) == {tenant}, path
        asked.add(path)
    assert asked == {p for m, p, needed in _PRIVATE if m == "GET" and needed not in OPERATORS_ONLY}


def test_an_operators_key_sees_every_tenant(served: Api) -> None:
    for method, path, needed in _PRIVATE:
        if method != "GET" or "{" in path or needed in OPERATORS_ONLY or path in _OF_NOBODY:
            continue
        assert _tenants_in(_ask(served, EVERY_TENANT, "admin", method, path).json()) >= set(TENANTS), path


def test_only_an_operator_sees_what_checks_counted_over_all_tenants(served: Api) -> None:
    (theirs,) = served.client("acme", "viewer").get("/api/v1/checks").json()["items"]
    (operators,) = served.client(EVERY_TENANT, "viewer").get("/api/v1/checks").json()["items"]
    assert (theirs["passed"], operators["passed"]) == (True, True)  # the latest verdict, not the failed one before
    assert operators["checked_rows"] == 101
    assert not {"checked_rows", "failed_rows", "observed"} & set(theirs)


def test_a_key_is_taken_in_either_header(served: Api) -> None:
    client = served.client(None)
    key = served.keys["acme", "viewer"]
    assert client.get("/api/v1/costs", headers={"X-API-Key": key}).status_code == 200
    assert client.get("/api/v1/costs", headers={"Authorization": f"bearer {key}"}).status_code == 200
    assert client.get("/api/v1/costs", headers={"Authorization": f"Basic {key}"}).status_code == 401


@pytest.mark.parametrize(
    "key", ["x", "lah_0123456789ab_" + "a" * 43, "lah_\0", "lah_", "ä" * 60, "' or 1=1 --"], ids=range(6)
)
def test_a_key_that_nobody_made_is_refused(served: Api, key: str) -> None:
    answer = served.client(None).get("/api/v1/costs", headers={"X-API-Key": key.encode()})
    assert answer.status_code == 401
    assert answer.json()["type"] == "/docs#key-refused"
    assert key not in answer.text


def test_a_revoked_key_is_refused(api: Api) -> None:
    client = api.client("acme", "viewer")
    with connect(api.url) as connection:
        assert revoke_key(connection, api.keys["acme", "viewer"].split("_")[1], actor="test")
    assert client.get("/api/v1/costs").status_code == 401


def test_a_demo_key_works_on_loopback_only(api: Api) -> None:
    with connect(api.url) as connection:
        _, key = create_key(
            connection, api.services.secret, tenant="acme", role="admin", label="demo", actor="test", is_demo=True
        )
    for takes_demo_keys, status in ((False, 401), (True, 200)):
        client = api.changed(takes_demo_keys=takes_demo_keys).client(None)
        assert client.get("/api/v1/costs", headers={"X-API-Key": key}).status_code == status
