"""The life of a credential: made, used, rotated, revoked, limited; and the tokens of a real issuer."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from api_support import Api, Clock

from lah_platform.settings import Settings
from lah_platform.stores.keys import EVERY_TENANT, create_key, find_key
from lah_platform.stores.postgres import connect

_KEYS = "/api/v1/keys"
_ANY = "/api/v1/costs"


def _status(api: Api, key: str, path: str = _ANY) -> int:
    return int(api.client(None).get(path, headers={"Authorization": f"Bearer {key}"}).status_code)


def _audited(api: Api) -> list[tuple[str, str, str]]:
    with connect(api.url) as connection:
        rows = connection.execute(
            "select action, object_id, tenant from audit_log where object_type = 'api_key' order by position"
        ).fetchall()
    return [tuple(row) for row in rows if row[0] in ("create", "rotate", "revoke")]


def test_a_key_is_made_used_rotated_and_revoked_over_rest_and_every_step_is_audited(api: Api) -> None:
    clock = Clock()
    api = api.changed(monotonic_s=clock)
    before = len(_audited(api))
    admin = api.client("acme", "admin")
    made = admin.post(_KEYS, json={"role": "viewer", "label": "dashboards", "expires_in_days": 30}).json()
    assert (made["tenant"], made["role"], made["key"].startswith(made["prefix"])) == ("acme", "viewer", True)
    made_at, ends_at = (datetime.fromisoformat(made[name]) for name in ("created_at", "expires_at"))
    assert ends_at - made_at == timedelta(days=30)
    assert _status(api, made["key"]) == 200

    rotated = admin.post(f"{_KEYS}/{made['key_id']}/rotate", json={"grace_minutes": 0}).json()
    assert (rotated["replaces"], rotated["role"], rotated["label"]) == (made["key_id"], "viewer", "dashboards")
    assert _status(api, rotated["key"]) == 200
    clock.now_s += 5
    assert _status(api, made["key"]) == 401

    assert admin.delete(f"{_KEYS}/{rotated['key_id']}").status_code == 204
    clock.now_s += 5
    assert _status(api, rotated["key"]) == 401
    assert admin.delete(f"{_KEYS}/{rotated['key_id']}").status_code == 404
    assert admin.post(f"{_KEYS}/{rotated['key_id']}/rotate", json={}).status_code == 404

    listed = admin.get(_KEYS)
    assert made["key"] not in listed.text
    assert rotated["key"] not in listed.text
    ids = {each["key_id"]: each for each in listed.json()["items"]}
    assert ids[made["key_id"]]["last_used_at"] is not None
    assert ids[rotated["key_id"]]["revoked_at"] is not None
    steps = [("create", made["key_id"]), ("rotate", made["key_id"]), ("revoke", rotated["key_id"])]
    assert _audited(api)[before:] == [(*step, "acme") for step in steps]


def test_the_old_key_is_taken_until_the_grace_of_a_rotation_is_over(api: Api) -> None:
    admin = api.client("acme", "admin")
    made = admin.post(_KEYS, json={"role": "viewer"}).json()
    admin.post(f"{_KEYS}/{made['key_id']}/rotate", json={"grace_minutes": 60})
    assert _status(api, made["key"]) == 200
    with connect(api.url) as connection:
        connection.execute("update api_keys set expires_at = now() where key_id = %s", [made["key_id"]])
        assert find_key(connection, api.services.secret, made["key"]) is None


def test_a_verified_key_is_believed_for_less_than_five_seconds_and_a_refused_one_never(api: Api) -> None:
    clock = Clock()
    api = api.changed(monotonic_s=clock)
    key = api.keys["acme", "viewer"]
    assert _status(api, key) == 200
    with connect(api.url) as connection:
        connection.execute("update api_keys set revoked_at = now() where key_id = %s", [key.split("_")[1]])
        clock.now_s += 4.9
        assert _status(api, key) == 200
        clock.now_s += 0.1
        assert _status(api, key) == 401
        connection.execute("update api_keys set revoked_at = null where key_id = %s", [key.split("_")[1]])
    assert _status(api, key) == 200


def test_the_last_use_is_written_at_most_once_a_minute(api: Api) -> None:
    clock = Clock()
    api = api.changed(monotonic_s=clock)
    key = api.keys["acme", "viewer"]
    with connect(api.url) as connection:

        def age_s() -> float | None:
            row = connection.execute(
                "select extract(epoch from now() - last_used_at)::float8 from api_keys where key_id = %s",
                [key.split("_")[1]],
            ).fetchone()
            return None if row is None else row[0]

        def pretend_used_two_hours_ago() -> None:
            connection.execute("update api_keys set last_used_at = now() - interval '2 hours'")

        assert age_s() is None
        _status(api, key)
        assert (age_s() or 0) < 60
        pretend_used_two_hours_ago()
        clock.now_s += 59
        _status(api, key)
        assert (age_s() or 0) > 7000, "it was written twice within a minute"
        clock.now_s += 1
        _status(api, key)
        assert (age_s() or 0) < 60


def test_a_tenants_admin_reaches_that_tenants_keys_only(api: Api) -> None:
    acme = api.client("acme", "admin")
    assert {each["tenant"] for each in acme.get(_KEYS).json()["items"]} == {"acme"}
    other = api.keys["globex", "viewer"]
    other_id = other.split("_")[1]
    assert acme.delete(f"{_KEYS}/{other_id}").status_code == 404
    assert acme.post(f"{_KEYS}/{other_id}/rotate", json={}).status_code == 404
    for tenant in ("globex", EVERY_TENANT):
        assert acme.post(_KEYS, json={"role": "viewer", "tenant": tenant}).status_code == 403
    assert _status(api, other) == 200
    assert api.client(EVERY_TENANT, "admin").post(_KEYS, json={"role": "viewer", "tenant": "globex"}).is_success


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"role": "root"}, "role"),
        ({}, "role"),
        ({"role": "viewer", "tenant": "unknown"}, "tenant"),
        ({"role": "viewer", "expires_in_days": 0}, "expires_in_days"),
        ({"role": "viewer", "secret": "mine"}, "secret"),
    ],
)
def test_a_key_that_cannot_be_is_refused_with_the_field(api: Api, body: dict[str, Any], field: str) -> None:
    answer = api.client(EVERY_TENANT, "admin").post(_KEYS, json={"tenant": "acme"} | body)
    assert (answer.status_code, answer.json()["field"]) == (422, field)


def test_a_credential_that_asks_too_often_is_told_when_to_come_again_and_no_other_suffers(api: Api) -> None:
    api = api.changed(settings=Settings(rate_limit="3/hour"))
    key = api.keys["acme", "viewer"]
    assert [_status(api, key) for _ in range(5)] == [200, 200, 200, 429, 429]
    answer = api.client("acme", "viewer").get(_ANY)
    assert answer.json()["type"] == "/docs#too-many-requests"
    assert 0 < int(answer.headers["retry-after"]) <= 3600
    assert _status(api, api.keys["globex", "viewer"]) == 200


def test_a_refused_credential_costs_no_other_one_its_rate(api: Api) -> None:
    api = api.changed(settings=Settings(rate_limit="2/hour"))
    key = api.keys["acme", "viewer"]
    assert [_status(api, key[:-1] + ("a" if key[-1] != "a" else "b")) for _ in range(5)] == [401] * 5
    assert _status(api, key) == 200


def test_a_key_with_an_end_is_not_made_for_the_past(api: Api) -> None:
    with connect(api.url) as connection, pytest.raises(Exception, match="cannot end in the past"):
        create_key(connection, b"x" * 20, tenant="acme", role="viewer", label="", actor="t", life=timedelta(0))
