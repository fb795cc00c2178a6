"""API keys: only who holds the whole key is let in, and the database does not hold it."""

import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lah_platform.errors import ConfigurationError
from lah_platform.stores.keys import create_key, find_key, list_keys, revoke_key, server_secret
from lah_platform.stores.postgres import Connection

SECRET = b"a secret of the tests, long enough"


def _audited(connection: Connection) -> list[tuple[str, str, str, str]]:
    return connection.execute(
        "select actor, action, object_id, tenant from audit_log where object_type = 'api_key' order by position"
    ).fetchall()


def test_a_made_key_is_found_and_the_database_never_holds_it(connection: Connection) -> None:
    made, text = create_key(connection, SECRET, tenant="acme", role="viewer", label="dashboards", actor="root")
    assert find_key(connection, SECRET, text) == made
    assert (made.tenant, made.role, made.label, made.revoked_at) == ("acme", "viewer", "dashboards", None)
    (row,) = connection.execute("select * from api_keys").fetchall()
    secret = text.split("_", 2)[2]
    assert all(secret not in str(value) and secret.encode() not in bytes(str(value), "utf-8") for value in row)
    assert text.startswith(f"lah_{made.key_id}_")


@given(data=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_key_with_any_character_changed_is_not_found(connection: Connection, data: st.DataObject) -> None:
    _, text = create_key(connection, SECRET, tenant="acme", role="viewer", label="", actor="root")
    place = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.characters().filter(lambda each: each != text[place]))
    assert find_key(connection, SECRET, text[:place] + other + text[place + 1 :]) is None
    assert find_key(connection, SECRET, text + other) is None
    assert find_key(connection, SECRET, text[:place]) is None


def test_under_another_server_secret_no_key_is_found(connection: Connection) -> None:
    _, text = create_key(connection, SECRET, tenant="acme", role="viewer", label="", actor="root")
    assert find_key(connection, SECRET + b"!", text) is None


def test_the_id_of_one_key_with_the_secret_of_another_is_not_found(connection: Connection) -> None:
    first, _ = create_key(connection, SECRET, tenant="acme", role="admin", label="", actor="root")
    _, text = create_key(connection, SECRET, tenant="globex", role="viewer", label="", actor="root")
    assert find_key(connection, SECRET, f"lah_{first.key_id}_{text.split('_', 2)[2]}") is None


def test_making_and_revoking_are_audited_and_a_key_is_revoked_once(connection: Connection) -> None:
    made, text = create_key(connection, SECRET, tenant="acme", role="viewer", label="", actor="root")
    assert revoke_key(connection, made.key_id, actor="root")
    assert not revoke_key(connection, made.key_id, actor="root")
    assert not revoke_key(connection, "nobody", actor="root")
    assert find_key(connection, SECRET, text) is None
    assert _audited(connection) == [("root", "create", made.key_id, "acme"), ("root", "revoke", made.key_id, "acme")]
    (listed,) = list_keys(connection)
    assert listed.revoked_at is not None


@pytest.mark.parametrize("tenant", ["", "unknown", "__other__", "a\0b", "a\nb", "x" * 10_000])
def test_no_key_can_belong_to_a_tenant_that_is_none(connection: Connection, tenant: str) -> None:
    with pytest.raises(ConfigurationError, match="No key can belong to tenant"):
        create_key(connection, SECRET, tenant=tenant, role="viewer", label="", actor="root")


def test_no_key_can_write_for_every_tenant(connection: Connection) -> None:
    with pytest.raises(ConfigurationError, match="belongs to one tenant"):
        create_key(connection, SECRET, tenant="*", role="ingest", label="", actor="root")


def test_the_servers_secret_is_made_once_and_readable_by_its_owner_only(tmp_path: Path) -> None:
    made: list[bytes] = []
    threads = [threading.Thread(target=lambda: made.append(server_secret(tmp_path / "home"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 8
    assert len(set(made)) == 1
    assert len(made[0]) >= 32
    (only,) = (tmp_path / "home").iterdir()
    assert only.stat().st_mode & 0o777 == 0o600


def test_a_configured_secret_is_used_and_a_short_one_refused(tmp_path: Path) -> None:
    assert server_secret(tmp_path, "sixteen or more characters") == b"sixteen or more characters"
    with pytest.raises(ConfigurationError, match="too short"):
        server_secret(tmp_path, "short")
    assert not list(tmp_path.iterdir())
