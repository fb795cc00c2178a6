"""What the app works with, handed in from outside: tests and deployments differ by these arguments only."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from fastapi import Request
from psycopg_pool import ConnectionPool

from lah_platform.ingress.door import EventDoor
from lah_platform.settings import Settings
from lah_platform.stores.keyring import KeyRing

__all__ = ["Services", "services_of"]


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Services:
    """Real parts: a pool of autocommit connections, the door of events, settings, the server's secret.

    `keys` decrypts personal fields for those who may read them; None: they are not encrypted.
    `broker_fault` says what is wrong with the broker, None when it answers; unset when there is no broker.
    `clock` gives UTC, `monotonic_s` seconds that only grow. At most `max_submissions` bodies of `max_body_bytes` are
    in memory at a time, and each has `max_body_s` to arrive. Of live streams so many are open in a process, and so many
    of one credential; so many messages wait for a reader, and after `heartbeat_s` a silent one hears where it is. The
    database is asked what is new every `live_poll_s`.
    """

    pool: ConnectionPool
    door: EventDoor
    settings: Settings
    secret: bytes = field(repr=False)
    keys: KeyRing | None = field(default=None, repr=False)
    clock: Callable[[], datetime] = _now
    monotonic_s: Callable[[], float] = time.monotonic
    broker_fault: Callable[[], str | None] | None = None
    takes_demo_keys: bool = False
    max_body_bytes: int = 8 * 1024 * 1024
    max_body_s: float = 30.0
    max_batch_items: int = 10_000
    max_submissions: int = 8
    max_streams: int = 200
    max_streams_per_credential: int = 10
    max_waiting_messages: int = 5_000
    heartbeat_s: float = 15.0
    live_poll_s: float = 0.2

    def close(self) -> None:
        """Let go of the door and the pool."""
        self.door.close()
        self.pool.close()


async def services_of(request: Request) -> Services:
    """The services of the app that serves the request."""
    services: Services = request.app.state.services
    return services
