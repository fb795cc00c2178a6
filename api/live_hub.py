"""The readers of the live stream, and the one listener that reads the database for all of them.

Belongs here: who listens, how far each is, what happens to who is slow, and when a stream has to end. What a message
says is in `live_messages`, how it goes over the wire in `stream`.
"""

import asyncio
import contextlib
import json
import logging
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextvars import Context
from dataclasses import dataclass
from typing import Final

from psycopg import OperationalError
from psycopg_pool import PoolTimeout

from api.credentials import Principal
from api.gate import Gate
from api.live_messages import Message, Wanted, id_of, message_of
from api.problems import Problem
from api.services import Services
from lah_platform.errors import StoreUnavailable
from lah_platform.stores.live_changes import Place, changes_after, ends, give_positions, rows_of, settle

__all__ = ["Frame", "LiveHub", "Reader"]

_AGAIN_S: Final = 1.0  # when the database was away
_RECHECK_S: Final = 2.0  # a revoked key's streams end within five
_SETTLE_EVERY: Final = 120  # polls, half a minute
_MOST_READ: Final = 1_000  # changes at once
_log = logging.getLogger("lah.api")


@dataclass(frozen=True, slots=True)
class Frame:
    """What goes out: an event with its data, or only an id, which tells the reader where he is."""

    id: str
    event: str | None = None
    data: str | None = None


class Reader:
    """One open stream. At most `most` messages wait for it; what comes when they do is told as a gap instead."""

    def __init__(self, principal: Principal, presented: str, wanted: Wanted, most: int) -> None:
        self.principal = principal
        self.presented = presented
        self.wanted = wanted
        self.place: Place = (0, 0)
        self.ended: str | None = None
        self.wake = asyncio.Event()
        self._most = most
        self._waiting: deque[Message] = deque()
        self._told: Place = (0, 0)
        self._gap: tuple[Place, Place, Place, int] | None = None

    def starts_at(self, place: Place) -> None:
        """Everything up to `place` has been told."""
        self.place = self._told = place

    def offer(self, messages: Sequence[Message], through: Place) -> None:
        """Everything behind the reader's place up to `through`, in order."""
        for message in messages:
            if message.place <= self.place or not self.wanted.fits(message):
                continue
            if self._gap is not None:
                after, first, _, missed = self._gap
                self._gap = (after, first, message.place, missed + 1)
            elif len(self._waiting) >= self._most:
                self._gap = (self._waiting[-1].place, message.place, message.place, 1)
            else:
                self._waiting.append(message)
            self.wake.set()
        self.place = max(self.place, through)

    def take(self) -> list[Frame]:
        """What waits; a gap only behind what came before it."""
        frames = [Frame(id_of(each.place), each.event, each.data) for each in self._waiting]
        self._waiting.clear()
        if self._gap is not None:
            after, first, last, missed = self._gap
            self._gap = None
            frames.append(gap_frame(after, first, last, missed, "The reader was too slow"))
        return frames

    def end(self, reason: str) -> None:
        """Have the stream end."""
        self.ended = self.ended or reason
        self.wake.set()


def gap_frame(after: Place, first: Place, last: Place, missed: int | None, reason: str) -> Frame:
    """What was not sent: from its first to its last message, and the id to ask again with, which is before them."""
    said = {
        "after": id_of(after),
        "from": id_of(first),
        "to": id_of(last),
        "messages": missed,
        "reason": reason,
        "advice": "Ask the lists for the time since, or reconnect with `after` as Last-Event-ID within an hour",
    }
    return Frame(id_of(last), "gap", json.dumps(said))


class LiveHub:
    """All readers of this process; listens while there are any."""

    def __init__(self, services: Services, gate: Gate) -> None:
        self._services = services
        self._gate = gate
        self._readers: set[Reader] = set()
        self._attached: set[Reader] = set()
        self._tasks: list[asyncio.Task[None]] = []
        self._ready: asyncio.Event | None = None
        self._place: Place = (0, 0)
        self._is_stopping = False

    @property
    def open_streams(self) -> int:
        """How many readers there are."""
        return len(self._readers)

    def join(self, principal: Principal, presented: str, wanted: Wanted) -> Reader:
        """A new reader, whom `leave` has to follow. Raises Problem when there are too many, or the server stops."""
        limits = self._services
        if self._is_stopping:
            raise Problem("unavailable", "The server is stopping", headers={"Retry-After": "5"})
        own = sum(each.principal.actor == principal.actor for each in self._readers)
        if own >= limits.max_streams_per_credential or len(self._readers) >= limits.max_streams:
            most = f"{limits.max_streams_per_credential} of one credential, {limits.max_streams} together"
            raise Problem("too-many-requests", f"There are too many open streams: {most}", headers={"Retry-After": "5"})
        reader = Reader(principal, presented, wanted, limits.max_waiting_messages)
        self._readers.add(reader)
        if not self._tasks:
            self._ready = asyncio.Event()
            works = (self._listen(self._ready), self._recheck())  # which are of no one request
            self._tasks = [asyncio.create_task(work, context=Context()) for work in works]
        return reader

    def leave(self, reader: Reader) -> None:
        """The stream has ended."""
        self._readers.discard(reader)
        self._attached.discard(reader)
        if not self._readers:
            for task in self._tasks:
                task.cancel()
            self._tasks = []

    def stop(self) -> None:
        """End every stream, and take no new one."""
        self._is_stopping = True
        for reader in list(self._readers):
            reader.end("the server is stopping")

    async def follow(self, reader: Reader, after: Place | None, *, follows: bool = True) -> AsyncIterator[list[Frame]]:
        """What the reader is to be sent: all since `after`, then what comes; with `follows` false only the former."""
        assert self._ready is not None
        await self._ready.wait()
        reader.starts_at(self._place)
        if after is not None:
            oldest, newest = await asyncio.to_thread(self._ends)
            if after > newest or 0 < after[0] < oldest - 1:
                first = (oldest, 1) if after <= newest else newest
                last = (oldest - 1, 0) if after <= newest else newest
                reason = "It is kept for an hour" if after <= newest else "No such id was given out"
                yield [gap_frame(last, min(first, after), last, None, reason)]
                after = last
            reader.starts_at(after)
            while reader.ended is None:
                messages, through, _ = await asyncio.to_thread(
                    self._read, reader.place, reader.wanted.tenant, [reader.wanted]
                )
                frames = [Frame(id_of(m.place), m.event, m.data) for m in messages if reader.wanted.fits(m)]
                is_there = through == reader.place
                reader.starts_at(through)
                if frames:
                    yield frames
                if is_there and through >= self._place:
                    break
        self._attached.add(reader)
        yield [Frame(id_of(reader.place))]
        while follows:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(reader.wake.wait(), self._services.heartbeat_s)
            reader.wake.clear()
            frames = reader.take()
            if frames or reader.ended is None:
                yield frames or [Frame(id_of(reader.place))]
            if reader.ended is not None:
                yield [Frame(id_of(reader.place), "end", json.dumps({"reason": reader.ended}))]
                return

    async def _listen(self, ready: asyncio.Event) -> None:
        polls = 0
        while True:
            try:
                if not ready.is_set():
                    self._place = await asyncio.to_thread(self._begin)
                    ready.set()
                among = set(self._readers)
                while True:
                    wanted = [reader.wanted for reader in among]
                    messages, through, is_full = await asyncio.to_thread(
                        self._poll, self._place, wanted, settles=polls % _SETTLE_EVERY == 0
                    )
                    if self._attached <= among:
                        break
                    among = set(self._readers)  # who came meanwhile may want what was passed over
            except (OperationalError, PoolTimeout) as error:
                _log.warning("the live stream waits for the database: %s", error)
                await asyncio.sleep(_AGAIN_S)
                continue
            except Exception as error:  # a stream that stays open and silent would be worse
                _log.error("the live stream failed", exc_info=error)
                for reader in list(self._readers):
                    reader.end("the stream failed; it is in the server's log")
                return
            polls += 1
            self._place = through
            for reader in self._attached:
                reader.offer(messages, through)
            await asyncio.sleep(0 if is_full else self._services.live_poll_s)

    async def _recheck(self) -> None:
        while True:
            await asyncio.sleep(_RECHECK_S)
            for presented in {reader.presented for reader in self._readers}:
                principal = await asyncio.to_thread(self._still, presented)
                for reader in [each for each in self._readers if each.presented == presented]:
                    if principal is False or (principal is not None and principal != reader.principal):
                        reader.end("the credential is not valid any more")

    def _still(self, presented: str) -> Principal | bool | None:
        """Whose credential it is; False when it is not valid; None when nobody can tell."""
        try:
            return self._gate.still(presented)
        except Problem:
            return False
        except (OperationalError, PoolTimeout, StoreUnavailable) as error:
            _log.warning("open streams' credentials cannot be checked: %s", error)
            return None

    def _begin(self) -> Place:
        with self._services.pool.connection() as connection:
            settle(connection)
            return ends(connection).newest

    def _ends(self) -> tuple[int, Place]:
        with self._services.pool.connection() as connection:
            found = ends(connection)
            return found.oldest, found.newest

    def _poll(self, after: Place, wanted: Sequence[Wanted], *, settles: bool) -> tuple[list[Message], Place, bool]:
        with self._services.pool.connection() as connection:
            settle(connection) if settles else give_positions(connection)
        return self._read(after, "*", wanted)

    def _read(self, after: Place, tenant: str, wanted: Sequence[Wanted]) -> tuple[list[Message], Place, bool]:
        """What is behind `after` and somebody wants, the place that this reaches to, and whether there is more."""
        coarse = {(each.tenant, each.kinds, each.windows, each.metrics, each.with_open): each for each in wanted}
        with self._services.pool.connection() as connection:
            changes, through = changes_after(connection, after, tenant=tenant, limit=_MOST_READ)
            told = [change for change in changes if any(each.could_fit(change) for each in coarse.values())]
            rows = rows_of(connection, told) if told else {}
        return [message_of(each, rows.get(each.place)) for each in told], through, len(changes) == _MOST_READ
