"""The tenants' keys: made when first needed, wrapped by the master key in `encryption_keys`, unwrapped in memory.

Belongs here: keys of a tenant. Does not: keys of a person (`subjects.py`), where the master key is (`master_keys.py`).
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

from lah_platform.errors import ConfigurationError
from lah_platform.privacy.cipher import new_key
from lah_platform.privacy.master_key import MasterKey
from lah_platform.stores.postgres import Connection
from lah_platform.stores.queries import queries

__all__ = ["KeyRing", "Purpose", "TenantKey", "rewrap"]

_Q = queries("privacy")
_MOST_KEYS = 10_000
_AT_ONCE = 100

Purpose = Literal["content", "wrapping", "index"]


class TenantKey(NamedTuple):
    """One key of a tenant; `key_id` is what ciphertexts and subjects name."""

    key_id: int
    key: bytes


class KeyRing:
    """Keys that were unwrapped stay in this process's memory; `forget` when another may be in use."""

    def __init__(self, master: MasterKey) -> None:
        self.master = master
        self._current: dict[tuple[str, str], TenantKey] = {}
        self._by_id: dict[int, bytes] = {}
        self._is_checked = False

    def current(self, connection: Connection, tenant: str, purpose: Purpose) -> TenantKey:
        """The tenant's key in use, made now when there is none. Raises StoreUnavailable, Unreadable."""
        known = self._current.get((tenant, purpose))
        if known is None:
            if len(self._current) >= _MOST_KEYS:
                self.forget()
            known, is_committed = self._read(connection, tenant, purpose)
            if is_committed:  # one that is rolled back must not encrypt anything else
                self._current[tenant, purpose] = known
                self._by_id[known.key_id] = known.key
        return known

    def by_id(self, connection: Connection, key_id: int) -> bytes:
        """A key that something names, in use or retired. Raises ConfigurationError when there is none, Unreadable."""
        key = self._by_id.get(key_id)
        if key is None:
            row = connection.execute(_Q["key_by_id"], {"key_id": key_id}).fetchone()
            if row is None:
                raise ConfigurationError(
                    f"There is no encryption key {key_id} in this database",
                    "Restore the table encryption_keys together with the rows that name its keys",
                )
            tenant, purpose, wrapped, wrapped_by, is_committed = row
            key = self.master.unwrap(bytes(wrapped), wrapped_by, f"{tenant}:{purpose}")
            if is_committed:
                self._by_id[key_id] = key
        return key

    def knows(self, tenant: str) -> bool:
        """Whether the tenant's content and index keys are remembered, and so committed."""
        return {(tenant, "content"), (tenant, "index")} <= self._current.keys()

    def forget(self) -> None:
        """Ask the database again: another process may have changed keys, or it is another database."""
        self._current.clear()
        self._by_id.clear()

    def replace(self, connection: Connection, tenant: str, purpose: Literal["content", "wrapping"]) -> TenantKey:
        """Retire the tenant's key and make another, inside a transaction; the old one still opens what it closed."""
        old = self.current(connection, tenant, purpose)
        connection.execute(_Q["retire_key"], {"key_id": old.key_id})
        self._current.pop((tenant, purpose), None)
        return self.current(connection, tenant, purpose)

    def _check(self, connection: Connection) -> None:
        """No key is added by a master key that does not open the keys there are: two hubs would part one database."""
        if not self._is_checked:
            for (key_id,) in connection.execute(_Q["one_key_of_each_wrapping"]).fetchall():
                self.by_id(connection, key_id)
            self._is_checked = True

    def _read(self, connection: Connection, tenant: str, purpose: str) -> tuple[TenantKey, bool]:
        whose = {"tenant": tenant, "purpose": purpose}
        context = f"{tenant}:{purpose}"
        row = connection.execute(_Q["current_key"], whose).fetchone()
        if row is None:
            self._check(connection)
            wrapped_by, wrapped = self.master.current, self.master.wrap(new_key(), context)
            connection.execute(_Q["add_key"], whose | {"wrapped": wrapped, "wrapped_by": wrapped_by})
            row = connection.execute(_Q["current_key"], whose).fetchone()
            assert row is not None
        key_id, wrapped, wrapped_by, is_committed = row
        return TenantKey(key_id, self.master.unwrap(bytes(wrapped), wrapped_by, context)), is_committed


def rewrap(connection: Connection, master: MasterKey, on_progress: Callable[[int, int], object]) -> int:
    """Wrap every tenant's keys with the current version of the master key; returns how many were not yet.

    No row that is encrypted is touched. Each hundred keys are a transaction: after a crash the rest is done by the next
    call. `on_progress` is told how many are done, and of how many.
    """
    (total,) = connection.execute(_Q["count_to_rewrap"], {"current": master.current}).fetchone() or (0,)
    done = 0
    while True:
        with connection.transaction():
            asked = {"current": master.current, "limit": _AT_ONCE}
            rows = connection.execute(_Q["keys_to_rewrap"], asked).fetchall()
            for key_id, tenant, purpose, wrapped, wrapped_by in rows:
                context = f"{tenant}:{purpose}"
                key = master.unwrap(bytes(wrapped), wrapped_by, context)
                again = {"key_id": key_id, "wrapped": master.wrap(key, context), "wrapped_by": master.current}
                connection.execute(_Q["rewrap_key"], again)
        if not rows:
            return done
        done += len(rows)
        on_progress(done, total)
