"""What this process knows of corrections of closed windows: asked by one at a time, for all kept answers at once."""

import asyncio
import logging
from collections.abc import Mapping
from contextvars import Context
from typing import Final

from psycopg import OperationalError
from psycopg_pool import PoolTimeout
from starlette.concurrency import run_in_threadpool

from api.formats import KEPT_S
from api.services import Services
from lah_platform.stores.corrections import correction_counts, stamp_of

__all__ = ["Corrections"]

_ASK_AGAIN_S: Final = 0.75 * KEPT_S  # the rest is for the asking
_log = logging.getLogger("lah.api")


class Corrections:
    """The counts as the database last said them, which stand for KEPT_S from when it was asked."""

    def __init__(self, services: Services) -> None:
        self._pool = services.pool
        self._now_s = services.monotonic_s
        self._counts: Mapping[str, int] | None = None
        self._asked_s = 0.0
        self._asking: asyncio.Task[None] | None = None

    def stamp(self, tenant: str) -> int | None:
        """What an answer to `tenant` that is asked for now may be kept with; None when nothing is known now."""
        is_known = self._counts is not None and self._now_s() < self._asked_s + KEPT_S
        return stamp_of(self._counts, tenant) if is_known and self._counts is not None else None

    def ask_in_time(self) -> None:
        """Ask again when what is known gets old, while it still stands; returns at once."""
        if self._now_s() >= self._asked_s + _ASK_AGAIN_S:
            self._started()

    async def ask(self) -> None:
        """Know what the database says now."""
        await asyncio.shield(self._started())

    def _started(self) -> asyncio.Task[None]:
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(
                self._ask(), context=Context()
            )  # nobody's request: no limit of one ends it
        return self._asking

    async def _ask(self) -> None:
        asked_s = self._now_s()
        try:
            counts = await run_in_threadpool(self._read)
        except (OperationalError, PoolTimeout) as error:
            _log.warning("whether closed windows were corrected cannot be asked: %s", error)
            return
        self._counts, self._asked_s = counts, asked_s

    def _read(self) -> Mapping[str, int]:
        with self._pool.connection() as connection:
            return correction_counts(connection)
