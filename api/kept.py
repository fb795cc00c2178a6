"""Answers kept as they were sent: a private cache (RFC 9111) in each server process, per tenant and role.

Belongs here: which answers are kept, whether they are believed, and asking for them again. Which answers may be kept
is said by the routes, with KEPT as their `Cache-Control`; whether anything was corrected since, by `corrections`.
"""

import asyncio
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from cachetools import LRUCache
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.corrections import Corrections
from api.formats import KEPT, KEPT_S, is_known
from api.gate import Gate, presented_in
from api.services import Services

__all__ = ["KeptAnswers"]

_MOST_BYTES: Final = 64 * 1024 * 1024
_MOST_BYTES_OF_ONE: Final = 4 * 1024 * 1024
_MOST_BYTES_ASKED: Final = 16 * 1024
_LONGEST_S: Final = 60.0  # what no writer of the hub's did, an edit of a table by hand, is seen after so long
_ASK_AGAIN_S: Final = 0.75 * _LONGEST_S
_MOST_SECONDS_SENDING: Final = 1.0  # slower ones are the app's to wait for, which answers 408 at its limit
_OF_A_BODY: Final = (b"content-length", b"content-type", b"transfer-encoding")

_Request = tuple[str, str, bytes, str, bytes]
_Key = tuple[str, str, _Request]
_RawHeaders = list[tuple[bytes, bytes]]


@dataclass
class _Kept:
    """`asked_s`: when it was asked for; `stamp`: what was known of corrections then, None: nothing."""

    headers: _RawHeaders
    body: bytes
    tag: str
    asked_s: float
    stamp: int | None


class KeptAnswers:
    """Sends a kept answer again while no closed window of its tenant was corrected, as of KEPT_S ago at most.

    After a correction, and once a minute, one asks the app whether it still stands. Only for keys that were verified
    within the last seconds, within their rate limit, and only what a route answered to the same request of the same
    tenant and role before: everything else goes to the app as it came. At most 64 MiB are kept, the least lately asked
    for go first.
    """

    def __init__(self, app: ASGIApp, *, gate: Gate, services: Services, paths: Iterable[str]) -> None:
        self._app = app
        self._gate = gate
        self._now_s = services.monotonic_s
        self._paths = frozenset(paths)
        self._corrections = Corrections(services)
        self._asking: dict[_Key, asyncio.Event] = {}
        self._kept: LRUCache[_Key, _Kept] = LRUCache(_MOST_BYTES, getsizeof=_bytes_of)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] not in self._paths or scope["method"] not in ("GET", "POST"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        presented = presented_in(headers)
        length = headers.get("content-length", "0")
        if not presented or not length.isdecimal() or int(length) > _MOST_BYTES_ASKED or "expect" in headers:
            await self._app(scope, receive, send)
            return
        messages, body = await _read(receive)
        if body is None:
            await self._app(scope, _again(messages, receive), send)
            return
        request: _Request = (
            scope["method"],
            scope["path"],
            scope["query_string"],
            ", ".join(headers.getlist("accept")),
            body,
        )
        principal = self._gate.believed(presented)
        if principal is None and self._gate.has_seen(presented):
            principal = await run_in_threadpool(self._gate.verified, presented)
        key = None if principal is None else (principal.tenant, principal.role, request)
        kept = None if key is None else await self._settled(key)
        is_sent = key is not None and kept is not None and self._stands(key, kept) and not self._is_due(kept)
        if is_sent and principal is not None and kept is not None and self._gate.may_ask(principal):
            await _send_kept(kept, headers.get("if-none-match"), send)
            return
        stamp = None if principal is None else self._corrections.stamp(principal.tenant)
        keeper = _Keeper(self, presented, request, kept, headers, send, self._now_s(), stamp)
        if key is None or kept is None:
            await self._app(scope, _again(messages, receive), keeper)
        else:
            with self._asked(key):
                await self._app(_asking_about(kept, scope, headers), _again(messages, receive), keeper)

    async def _settled(self, key: _Key) -> _Kept | None:
        """What is kept; when it may not stand and somebody asks about it already, what comes of that."""
        kept = self._kept.get(key)
        if kept is None:
            return None
        self._corrections.ask_in_time()
        if not self._stands(key, kept):
            await self._corrections.ask()
            if not self._stands(key, kept) and key in self._asking:
                await self._asking[key].wait()
            return self._kept.get(key)
        return kept

    def _stands(self, key: _Key, kept: _Kept) -> bool:
        age_s = self._now_s() - kept.asked_s
        is_uncorrected = kept.stamp is not None and kept.stamp == self._corrections.stamp(key[0])
        return age_s < KEPT_S or (is_uncorrected and age_s < _LONGEST_S)

    def _is_due(self, kept: _Kept) -> bool:
        """Whether to ask about it while nobody has to wait; one at a time, for threads at work delay other answers."""
        return not self._asking and self._now_s() - kept.asked_s >= _ASK_AGAIN_S

    @contextmanager
    def _asked(self, key: _Key) -> Iterator[None]:
        answered = self._asking[key] = asyncio.Event()
        try:
            yield
        finally:
            answered.set()
            if self._asking.get(key) is answered:
                del self._asking[key]

    def keep(
        self,
        presented: str,
        request: _Request,
        headers: _RawHeaders,
        body: bytes,
        tag: str,
        asked_s: float,
        stamp: int | None,
    ) -> None:
        """Keep what the app answered to who presented that."""
        principal = self._gate.believed(presented)
        kept = _Kept(headers, body, tag, asked_s, stamp)
        if principal is not None and _bytes_of(kept) <= _MOST_BYTES_OF_ONE:
            self._kept[principal.tenant, principal.role, request] = kept


class _Keeper:
    """Passes an answer on, and keeps it when the route says so; a 304 about what is kept becomes that."""

    def __init__(
        self,
        answers: KeptAnswers,
        presented: str,
        request: _Request,
        kept: _Kept | None,
        asked: Headers,
        send: Send,
        asked_s: float,
        stamp: int | None,
    ) -> None:
        self._answers = answers
        self._presented = presented
        self._request = request
        self._kept = kept
        self._asked = asked
        self._asked_s = asked_s
        self._stamp = stamp
        self._send = send
        self._headers: _RawHeaders = []
        self._tag = ""
        self._body: bytearray | None = None
        self._is_replaced = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = Headers(raw=message["headers"])
            self._tag = headers.get("etag", "")
            if message["status"] == 304 and self._kept is not None and self._tag == self._kept.tag:
                self._is_replaced = True
                self._keep(self._kept.headers, self._kept.body)
                await _send_kept(self._kept, self._asked.get("if-none-match"), self._send)
                return
            if message["status"] == 200 and self._tag and headers.get("cache-control") == KEPT:
                self._headers, self._body = list(message["headers"]), bytearray()
        if self._is_replaced:
            return
        if message["type"] == "http.response.body" and self._body is not None:
            self._add(message.get("body", b""), is_last=not message.get("more_body", False))
        await self._send(message)

    def _add(self, part: bytes, *, is_last: bool) -> None:
        assert self._body is not None
        self._body += part
        if len(self._body) > _MOST_BYTES_OF_ONE:
            self._body = None
        elif is_last:
            self._keep(self._headers, bytes(self._body))

    def _keep(self, headers: _RawHeaders, body: bytes) -> None:
        self._answers.keep(self._presented, self._request, headers, body, self._tag, self._asked_s, self._stamp)


async def _send_kept(kept: _Kept, if_none_match: str | None, send: Send) -> None:
    if is_known(if_none_match, kept.tag):
        headers = [each for each in kept.headers if each[0] not in _OF_A_BODY]
        await send({"type": "http.response.start", "status": 304, "headers": headers})
        await send({"type": "http.response.body", "body": b""})
        return
    headers = [each for each in kept.headers if each[0] not in _OF_A_BODY[:1] + _OF_A_BODY[2:]]
    headers.append((b"content-length", b"%d" % len(kept.body)))
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": kept.body})


def _asking_about(kept: _Kept, scope: Scope, asked: Headers) -> Scope:
    """The request with the kept answer's tag among those of `If-None-Match`."""
    known = [*asked.getlist("if-none-match"), kept.tag]
    others = [each for each in scope["headers"] if each[0] != b"if-none-match"]
    return {**scope, "headers": [*others, (b"if-none-match", ", ".join(known).encode("latin-1"))]}


async def _read(receive: Receive) -> tuple[deque[Message], bytes | None]:
    """What came, and the body that it makes; None when it is too long or too slow for this, or its sender has gone."""
    messages: deque[Message] = deque()
    body = b""
    try:
        async with asyncio.timeout(_MOST_SECONDS_SENDING):
            while True:
                messages.append(message := await receive())
                body += message.get("body", b"")
                if message["type"] != "http.request" or len(body) > _MOST_BYTES_ASKED:
                    return messages, None
                if not message.get("more_body", False):
                    return messages, body
    except TimeoutError:
        return messages, None


def _again(messages: deque[Message], receive: Receive) -> Receive:
    """A `receive` that gives `messages` before the rest."""

    async def received() -> Message:
        return messages.popleft() if messages else await receive()

    return received


def _bytes_of(kept: _Kept) -> int:
    return len(kept.body) + sum(len(name) + len(value) for name, value in kept.headers)
