"""Strict deduplication: an event_id that came before under another timestamp, within a window, is a conflict.

Belongs here: what is remembered of identities (tenant, event_id), inside the landing transaction. Does not: repeats of
the whole identity, timestamp included, which the key of `events` finds, and what becomes of a conflict.
"""

import hashlib
import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
from psycopg import errors, sql

from lah_platform.stores.binary_arrays import bigint_array, text_array, timestamptz_array, uuid_array
from lah_platform.stores.postgres import Connection
from lah_platform.stores.queries import queries

__all__ = ["ConflictMemory", "identity_keys"]

_log = logging.getLogger("lah.landing")
_Q = queries("conflicts")

Keys = npt.NDArray[np.int64]
Octets = npt.NDArray[np.uint8]

_TRY_AGAIN = timedelta(minutes=1)  # a dump or a stuck landing process holds the tables: memory grows a little meanwhile
_TIME_BITS = np.uint64(0xFFFFFFFFFF000000)  # of a UUIDv7 these are its time, to 256 ms: neighbours stay neighbours
_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))  # SplitMix64's multipliers (Steele et al., 2014)


def identity_keys(tenants: Sequence[str], event_ids: Octets) -> Keys:
    """8 bytes for each identity: 40 bits of the id, 24 bits mixed from all of the id and the tenant.

    Two identities may share a key; landing processes must agree on it, so it only changes with a migration.
    """
    words = np.ascontiguousarray(event_ids).view(">u8").astype(np.uint64)
    of_tenant = {
        tenant: int.from_bytes(hashlib.blake2b(tenant.encode(), digest_size=8).digest(), "big")
        for tenant in set(tenants)
    }
    salts = np.fromiter(map(of_tenant.__getitem__, tenants), np.uint64, len(tenants))
    mixed = words[:, 0] * _MIX[0] ^ words[:, 1] ^ salts
    mixed = (mixed ^ mixed >> np.uint64(31)) * _MIX[1]
    return (words[:, 0] & _TIME_BITS | mixed >> np.uint64(40)).view(np.int64)


class ConflictMemory:
    """The first timestamp of every identity, for `window` after it was first landed.

    Every landing process of a database must use the same window. Memory holds at most what two windows brought.
    """

    def __init__(self, window: timedelta) -> None:
        if window <= timedelta(0):
            raise ValueError(f"a window of {window} remembers nothing")
        self._window = window
        self._look_again = datetime.min.replace(tzinfo=UTC)

    def turn_if_due(self, connection: Connection, now: datetime) -> None:
        """Forget what is older than the window, once a window; outside of any transaction, before the landing one.

        Waits at most 0.5 s for transactions that claim at this moment; a turn that cannot be made is tried again a
        minute later, and what is remembered too long meanwhile is not held against anybody.
        """
        if now < self._look_again:
            return
        _, since = _state(connection)
        try:
            if since <= now - self._window:
                since = self._turn(connection, now)
        except errors.LockNotAvailable:
            _log.info("identities of the last window are kept a minute longer: their tables are in use")
            self._look_again = now + _TRY_AGAIN
        else:
            self._look_again = since + self._window

    def claim(
        self,
        connection: Connection,
        *,
        tenants: Sequence[str],
        event_ids: Octets,
        timestamps_us: npt.NDArray[np.int64],
        now: datetime,
    ) -> dict[int, int]:
        """The positions that are conflicts, with the timestamp that came first; the rest is remembered.

        `event_ids` has shape (n, 16), times are µs since 1970-01-01 UTC, `now` is when they were received (UTC). Of
        several timestamps within the batch the first position's is the one that holds. Call it inside the
        transaction that stores the events, before they are stored: a rollback forgets them, and another process that
        claims one of them waits until this transaction ends. Raises psycopg's OperationalError (DeadlockDetected)
        when two processes wait for each other: the batch is to be landed again.
        """
        if not tenants:
            return {}
        keys = identity_keys(tenants, event_ids)
        order, repeats = _each_identity_once(keys, tenants, event_ids)
        connection.execute(_Q["share_turn"])
        current, since = _state(connection)
        expired = now - self._window
        statements = _statements(current)
        asked = _columns(order, keys, tenants, event_ids, timestamps_us) | {"now": now, "expired": expired}
        with connection.cursor(binary=True) as cursor:
            # never prepared: a plan made while a table was small would read all of it once it is large
            ((claimed,),) = cursor.execute(statements["claim"], asked, prepare=False).fetchall()
            taken = _not_claimed(keys[order], np.frombuffer(claimed, ">i8"))
            if not taken.size and not repeats:
                return {}
            firsts: dict[int, int] = {}
            if taken.size:
                order = order[taken]
                asked |= _columns(order, keys, tenants, event_ids, timestamps_us)
                if since <= expired:
                    cursor.execute(statements["renew"], asked, prepare=False)
                    cursor.execute(statements["renew_more"], asked, prepare=False)
                cursor.execute(statements["claim_known_keys"], asked, prepare=False)
                cursor.execute(statements["claim_more"], asked, prepare=False)
                for place, first_us in cursor.execute(statements["conflicts"], asked, prepare=False).fetchall():
                    firsts[int(order[place - 1])] = first_us
        conflicts = dict(firsts)
        for position, first in repeats.items():
            first_us = firsts.get(first, int(timestamps_us[first]))
            if timestamps_us[position] != first_us:
                conflicts[position] = first_us
        return conflicts

    def _turn(self, connection: Connection, now: datetime) -> datetime:
        """When the current tables began to take claims: now, or when another process made the turn meanwhile."""
        with connection.transaction():
            connection.execute(_Q["wait_briefly"])
            connection.execute(_Q["own_turn"])
            current, since = _state(connection)
            if since > now - self._window:
                return since
            connection.execute(_statements(current)["forget"])
            connection.execute(_Q["turn"], {"now": now})
            return now


def _state(connection: Connection) -> tuple[int, datetime]:
    with connection.cursor(binary=True) as cursor:
        ((current, since),) = cursor.execute(_Q["state"]).fetchall()
        return current, since


def _statements(current: int) -> Mapping[str, sql.Composed]:
    """The statements that name tables, for this turn."""
    tables = {
        "current": sql.Identifier(f"identities_{current}"),
        "previous": sql.Identifier(f"identities_{1 - current}"),
        "current_more": sql.Identifier(f"identity_collisions_{current}"),
        "previous_more": sql.Identifier(f"identity_collisions_{1 - current}"),
    }
    named = ("claim", "renew", "renew_more", "claim_known_keys", "claim_more", "conflicts", "forget")
    return {name: sql.SQL(_Q[name].decode()).format(**tables) for name in named}


def _each_identity_once(keys: Keys, tenants: Sequence[str], event_ids: Octets) -> tuple[Keys, dict[int, int]]:
    """Positions of each identity's first appearance, by key, and the first position of every later appearance.

    By key, so that two processes with the same identities wait for each other in one order, and so that neighbours in
    the index are written together.
    """
    order = np.argsort(keys, kind="stable")
    equals_before = np.zeros(len(order), np.bool_)
    equals_before[1:] = keys[order[1:]] == keys[order[:-1]]
    in_a_run = equals_before.copy()
    in_a_run[:-1] |= equals_before[1:]
    first_of: dict[tuple[bytes, str], int] = {}
    repeats: dict[int, int] = {}
    keep = np.ones(len(order), np.bool_)
    for place in np.flatnonzero(in_a_run).tolist():
        position = int(order[place])
        identity = (event_ids[position].tobytes(), tenants[position])
        first = first_of.setdefault(identity, position)
        if first != position:
            repeats[position] = first
            keep[place] = False
    return order[keep], repeats


def _not_claimed(asked: Keys, claimed: npt.NDArray[Any]) -> Keys:
    """Places in `asked` (sorted) whose key was not claimed, or that share their key with another of the batch."""
    if len(claimed) == len(asked):
        return np.empty(0, np.int64)
    twice = np.zeros(len(asked), np.bool_)
    twice[1:] = asked[1:] == asked[:-1]
    twice[:-1] |= twice[1:]
    return np.flatnonzero(twice | ~np.isin(asked, claimed.astype(np.int64)))


def _columns(
    order: Keys, keys: Keys, tenants: Sequence[str], event_ids: Octets, timestamps_us: npt.NDArray[np.int64]
) -> dict[str, Any]:
    return {
        "keys": bigint_array(keys[order]),
        "timestamps": timestamptz_array(timestamps_us[order]),
        "event_ids": uuid_array(event_ids[order].view("V16").ravel()),
        "tenants": text_array([tenants[position] for position in order.tolist()]),
    }
