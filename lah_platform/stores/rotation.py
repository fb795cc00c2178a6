"""Rotation of keys without touching what they encrypted: keys are wrapped anew, rows stay as they are.

Every step is a transaction of its own and looks at what is left to do, so that a crash costs nothing but the step.
"""

from collections.abc import Callable

from lah_platform.privacy.cipher import open_bytes, place, seal_bytes
from lah_platform.stores.audit import record
from lah_platform.stores.keyring import KeyRing, rewrap
from lah_platform.stores.postgres import Connection
from lah_platform.stores.queries import queries
from lah_platform.stores.subjects import next_epoch

__all__ = ["rotate_master", "rotate_tenant"]

_Q = queries("privacy")
_SUBJECTS_AT_ONCE = 1_000

Progress = Callable[[int, int], object]


def rotate_master(connection: Connection, ring: KeyRing, *, actor: str, on_progress: Progress = lambda *_: None) -> int:
    """Wrap all tenants' keys with the current version of the master key; returns how many were not yet.

    Older versions are needed until it returns, and not after it. HMACs and subjects do not change.
    """
    wrapped_by = ring.master.current
    done = rewrap(connection, ring.master, on_progress)
    if done:
        record(connection, actor, "rotate", "master_key", wrapped_by, "*", {"rewrapped_keys": done})
    return done


def rotate_tenant(
    connection: Connection, ring: KeyRing, tenant: str, *, actor: str, on_progress: Progress = lambda *_: None
) -> int:
    """Give the tenant new keys for what is new, and wrap its subjects' keys anew; returns how many subjects.

    What the old content key encrypted goes on being opened with it: no row is rewritten. The index key is never
    changed, as its HMACs could not be made again.
    """
    with connection.transaction():
        next_epoch(connection)  # landing uses the new ones from its next transaction on
        for purpose in ("content", "wrapping"):
            ring.replace(connection, tenant, purpose)
        record(connection, actor, "rotate", "tenant_key", tenant, tenant, {})
    (total,) = [count for name, count in connection.execute(_Q["tenants_with_subjects"], {"tenant": tenant}).fetchall()]
    return rewrap_subjects(connection, ring, tenant, total, on_progress)


def rewrap_subjects(connection: Connection, ring: KeyRing, tenant: str, total: int, on_progress: Progress) -> int:
    """Wrap with the tenant's current key those subjects' keys that an older one wraps."""
    done = 0
    while True:
        key_id, key = ring.current(connection, tenant, "wrapping")
        with connection.transaction():
            asked = {"tenant": tenant, "key_id": key_id, "limit": _SUBJECTS_AT_ONCE}
            rows = connection.execute(_Q["subjects_to_rewrap"], asked).fetchall()
            changed = []
            for subject_id, wrapped_key, old_id in rows:
                bound_to = place(tenant, subject_id.bytes, "key")
                plain = open_bytes(ring.by_id(connection, old_id), bytes(wrapped_key), bound_to)
                again = seal_bytes(key, plain, bound_to)
                changed.append({"subject_id": subject_id, "wrapped_key": again, "key_id": key_id})
            connection.cursor().executemany(_Q["rewrap_subject"], changed)
        if not rows:
            return done
        done += len(rows)
        on_progress(done, total)
