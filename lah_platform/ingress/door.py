"""The door: where an ingress hands messages over so that landing takes them, one transaction or one topic away.

Belongs here: what every door promises. Does not: the doors themselves (`lah_platform.stores.doors`), which know a
broker or a database, and the dialects, which know neither.
"""

from collections.abc import Sequence
from typing import Protocol

__all__ = ["EventDoor"]


class EventDoor(Protocol):
    """Takes messages on their way to landing."""

    def submit(self, records: Sequence[bytes], key: bytes) -> Sequence[str]:
        """Hand over raw messages; returns what became of each, in order.

        'queued': the broker has acknowledged it; 'stored', 'duplicate', 'dead_lettered': committed, as said.
        `records` are the catalog's JSON as bytes, good or not: one that cannot be decoded becomes a dead letter.
        `key` chooses the partition. After a return every message is safe. Raises StoreUnavailable when the door
        cannot take all of them now; a repeated call with the same events stores none of them twice.
        """

    def close(self) -> None:
        """Let go of what the door holds open; nothing submitted is lost by it."""
