"""The time that one request may take until its answer begins, whatever it waits for.

Belongs here: giving up. What comes after an answer has begun is bounded elsewhere: rows of a long answer are read by
then and go at their reader's pace, a live stream has its own limits (`live_hub`).
"""

import asyncio
import contextlib
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import Problem, problem_response
from lah_platform.stores.cancelling import Statements, statements_of_this_context

__all__ = ["Deadline"]

_Q: Final = "The server gave up after {seconds:g} s, and cancelled what it had asked the database"


class Deadline:
    """Answers 504 and cancels the request's statements when no answer has begun after `seconds`."""

    def __init__(self, app: ASGIApp, seconds: float) -> None:
        self._app = app
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        await _Request(scope, send, self._seconds).run(self._app, receive)


class _Request:
    def __init__(self, scope: Scope, send: Send, seconds: float) -> None:
        self._scope = scope
        self._send = send
        self._seconds = seconds
        self._statements = Statements()
        self._has_begun = False
        self._given_up: asyncio.Task[None] | None = None
        self._task: asyncio.Task[None] | None = None

    async def run(self, app: ASGIApp, receive: Receive) -> None:
        self._task = asyncio.current_task()
        token = statements_of_this_context.set(self._statements)
        timer = asyncio.get_running_loop().call_later(self._seconds, self._late)
        try:
            await app(self._scope, receive, self._sent)
        except asyncio.CancelledError:
            if self._given_up is None or self._task is None or self._task.uncancel() > 0:
                raise
        finally:
            timer.cancel()
            statements_of_this_context.reset(token)
            if self._given_up is not None:
                with contextlib.suppress(asyncio.CancelledError):
                    await self._given_up

    async def _sent(self, message: Message) -> None:
        if self._given_up is None:
            self._has_begun = True
            await self._send(message)

    def _late(self) -> None:
        if not self._has_begun:
            self._given_up = asyncio.create_task(self._give_up())

    async def _give_up(self) -> None:
        problem = Problem("request-timeout", _Q.format(seconds=self._seconds), headers={"Connection": "close"})
        answer = problem_response(self._scope["path"], problem)
        with contextlib.suppress(OSError):
            await answer(self._scope, _nothing, self._send)
        await asyncio.to_thread(self._statements.cancel)
        assert self._task is not None
        self._task.cancel()


async def _nothing() -> Message:
    return {"type": "http.disconnect"}
