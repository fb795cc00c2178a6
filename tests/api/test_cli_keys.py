"""`lah keys`: the life of a key for whoever holds the database."""

import os
import re
import subprocess
import sys
from pathlib import Path

from lah_platform.settings import PROJECT_ROOT
from lah_platform.stores.keys import find_key, server_secret
from lah_platform.stores.postgres import Connection


def _lah(database: str, home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "LAH_DATABASE_URL": database, "LAH_HOME": str(home), "USER": "ann"}
    command = [sys.executable, "-m", "lah_platform.cli", "keys", *arguments]
    return subprocess.run(command, env=environment, cwd=PROJECT_ROOT, capture_output=True, text=True, check=False)


def test_a_key_is_made_listed_rotated_and_revoked(database: str, connection: Connection, tmp_path: Path) -> None:
    made = _lah(database, tmp_path, "create", "--tenant", "acme", "--role", "viewer", "--label", "dash")
    text = made.stdout.strip()
    key = find_key(connection, server_secret(tmp_path), text)
    assert key is not None
    assert (key.tenant, key.role, key.label) == ("acme", "viewer", "dash")
    rotated = _lah(database, tmp_path, "rotate", key.key_id, "--grace-minutes", "0").stdout.strip()
    assert find_key(connection, server_secret(tmp_path), text) is None
    newer = find_key(connection, server_secret(tmp_path), rotated)
    assert newer is not None
    listed = _lah(database, tmp_path, "list").stdout
    assert re.search(rf"lah_{key.key_id}_\.\.\. +acme +viewer +dash .*ended", listed)
    assert text not in listed
    assert rotated not in listed
    assert _lah(database, tmp_path, "revoke", newer.key_id).returncode == 0
    assert find_key(connection, server_secret(tmp_path), rotated) is None
    again = _lah(database, tmp_path, "revoke", newer.key_id)
    assert (again.returncode, "lah keys list" in again.stderr) == (1, True)
    actors = connection.execute("select distinct actor from audit_log").fetchall()
    assert all(actor.startswith("cli:") for (actor,) in actors)


def test_a_key_that_cannot_be_says_what_to_use(database: str, tmp_path: Path) -> None:
    refused = _lah(database, tmp_path, "create", "--tenant", "acme", "--role", "root")
    assert refused.returncode == 1
    assert "Use one of viewer, analyst, ingest, compliance, admin" in refused.stderr
