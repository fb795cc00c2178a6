"""`lah readers`: who may read whose rows with SQL, for whoever holds the database."""

import secrets
from pathlib import Path

from psycopg import sql

from lah_platform.stores.postgres import Connection
from tests.cli.running import lah


def test_a_login_is_granted_listed_and_revoked(database: str, connection: Connection, tmp_path: Path) -> None:
    login = f"reader_{secrets.token_hex(6)}"
    refused = lah(database, tmp_path, "readers", "grant", login, "--tenant", "acme")
    assert (refused.returncode, "create role <name> login" in refused.stderr) == (1, True)
    connection.execute(sql.SQL("create role {} login").format(sql.Identifier(login)))
    try:
        assert lah(database, tmp_path, "readers", "grant", login, "--tenant", "acme").returncode == 0
        assert "as before" in lah(database, tmp_path, "readers", "grant", login, "--tenant", "acme").stdout
        assert lah(database, tmp_path, "readers", "list").stdout.split()[:2] == [login, "acme"]
        assert "acme" in lah(database, tmp_path, "readers", "revoke", login).stdout
        assert lah(database, tmp_path, "readers", "list").stdout == ""
    finally:
        connection.execute(sql.SQL("drop owned by {}").format(sql.Identifier(login)))
        connection.execute(sql.SQL("drop role {}").format(sql.Identifier(login)))
