"""`lah keys`: the life of a key for whoever holds the database."""

import re
from pathlib import Path

from lah_platform.stores.keys import find_key, server_secret
from lah_platform.stores.postgres import Connection
from tests.cli.running import lah


def test_a_key_is_made_listed_rotated_and_revoked(database: str, connection: Connection, tmp_path: Path) -> None:
    made = lah(database, tmp_path, "keys", "create", "--tenant", "acme", "--role", "viewer", "--label", "dash")
    text = made.stdout.strip()
    key = find_key(connection, server_secret(tmp_path), text)
    assert key is not None
    assert (key.tenant, key.role, key.label) == ("acme", "viewer", "dash")
    rotated = lah(database, tmp_path, "keys", "rotate", key.key_id, "--grace-minutes", "0").stdout.strip()
    assert find_key(connection, server_secret(tmp_path), text) is None
    newer = find_key(connection, server_secret(tmp_path), rotated)
    assert newer is not None
    listed = lah(database, tmp_path, "keys", "list").stdout
    assert re.search(rf"lah_{key.key_id}_\.\.\. +acme +viewer +dash .*ended", listed)
    assert text not in listed
    assert rotated not in listed
    assert lah(database, tmp_path, "keys", "revoke", newer.key_id).returncode == 0
    assert find_key(connection, server_secret(tmp_path), rotated) is None
    again = lah(database, tmp_path, "keys", "revoke", newer.key_id)
    assert (again.returncode, "lah keys list" in again.stderr) == (1, True)
    actors = connection.execute("select distinct actor from audit_log where object_type = 'api_key'").fetchall()
    assert all(actor.startswith("cli:") for (actor,) in actors)


def test_a_key_that_cannot_be_says_what_to_use(database: str, tmp_path: Path) -> None:
    refused = lah(database, tmp_path, "keys", "create", "--tenant", "acme", "--role", "root")
    assert refused.returncode == 1
    assert "Use one of viewer, analyst, ingest, compliance, admin" in refused.stderr
