"""The demo's keys: for loopback only."""

from pathlib import Path

from lah_platform.stack.demo_key import ensure_demo_keys, revoke_demo_keys
from lah_platform.stores.keys import find_key
from lah_platform.stores.postgres import Connection

_SECRET = b"s" * 32


def test_they_are_made_once_kept_private_and_valid(connection: Connection, tmp_path: Path) -> None:
    keys = ensure_demo_keys(connection, _SECRET, tmp_path)
    assert ensure_demo_keys(connection, _SECRET, tmp_path) == keys
    found = {name: find_key(connection, _SECRET, key) for name, key in keys.items()}
    assert {name: key.tenant if key else None for name, key in found.items()} == {"operator": "*", "acme": "acme"}
    assert all(path.stat().st_mode & 0o077 == 0 for path in tmp_path.glob("*.key"))


def test_off_loopback_none_is_valid_any_more(connection: Connection, tmp_path: Path) -> None:
    keys = ensure_demo_keys(connection, _SECRET, tmp_path)
    assert revoke_demo_keys(connection) == len(keys)
    assert [find_key(connection, _SECRET, key) for key in keys.values()] == [None, None]


def test_a_key_file_of_another_database_is_replaced(connection: Connection, tmp_path: Path) -> None:
    keys = ensure_demo_keys(connection, _SECRET, tmp_path)
    other = ensure_demo_keys(connection, b"t" * 32, tmp_path)
    assert set(keys.values()).isdisjoint(other.values())
