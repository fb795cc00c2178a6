"""Who presents a credential: keys looked up at most every few seconds, and their use noted at most once a minute.

Belongs here: from what was presented to a principal. What a principal may do is in `access`.
"""

import hashlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from psycopg_pool import ConnectionPool

from lah_platform.stores.keys import EVERY_TENANT, ApiKey, Role, find_key, note_use

__all__ = ["REVOKED_WITHIN_S", "KeyRing", "Principal"]

REVOKED_WITHIN_S: Final = 5.0
"""A key that was verified is believed so long: the delay of a revocation, in each process."""
_NOTED_EVERY_S: Final = 60.0
_MOST_REMEMBERED: Final = 10_000


@dataclass(frozen=True)
class Principal:
    """Who asks: the tenant that every query is held to ('*': an operator, all tenants), and a role.

    `actor` is how the audit log and rate limits name it.
    """

    tenant: str
    role: Role
    actor: str

    @property
    def is_operator(self) -> bool:
        return self.tenant == EVERY_TENANT


class KeyRing:
    """Verifies keys against the database, and remembers those that are valid; none that is not."""

    def __init__(
        self, pool: ConnectionPool, secret: bytes, *, monotonic_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._pool = pool
        self._secret = secret
        self._now_s = monotonic_s
        self._verified: dict[bytes, tuple[float, ApiKey]] = {}
        self._noted: dict[str, float] = {}
        self._lock = threading.Lock()

    def believed(self, presented: str) -> ApiKey | None:
        """The key that `presented` was found to be less than REVOKED_WITHIN_S ago, if its use needs no note now."""
        now_s = self._now_s()
        verified_s, key = self._verified.get(_digest(presented), (-REVOKED_WITHIN_S, None))
        if key is None or now_s - verified_s >= REVOKED_WITHIN_S:
            return None
        return key if now_s - self._noted.get(key.key_id, -_NOTED_EVERY_S) < _NOTED_EVERY_S else None

    def has_seen(self, presented: str) -> bool:
        """Whether the last look into the database found it valid."""
        return _digest(presented) in self._verified

    def find(self, presented: str, *, within_s: float = REVOKED_WITHIN_S) -> ApiKey | None:
        """The key that `presented` is, or None when it is not valid; up to `within_s` late."""
        digest = _digest(presented)
        now_s = self._now_s()
        verified_s, key = self._verified.get(digest, (-REVOKED_WITHIN_S, None))
        if key is None or now_s - verified_s >= within_s:
            with self._pool.connection() as connection:
                key = find_key(connection, self._secret, presented)
            with self._lock:
                if len(self._verified) >= _MOST_REMEMBERED:
                    self._verified.clear()
                if key is None:
                    self._verified.pop(digest, None)
                else:
                    self._verified[digest] = (now_s, key)
        if key is not None:
            self._note_use(key.key_id, now_s)
        return key

    def _note_use(self, key_id: str, now_s: float) -> None:
        with self._lock:
            if now_s - self._noted.get(key_id, -_NOTED_EVERY_S) < _NOTED_EVERY_S:
                return
            if len(self._noted) >= _MOST_REMEMBERED:
                self._noted.clear()
            self._noted[key_id] = now_s
        with self._pool.connection() as connection:
            note_use(connection, key_id)


def _digest(presented: str) -> bytes:
    return hashlib.sha256(presented.encode()).digest()
