"""The live stream over the wire: server-sent events, and the same messages over a WebSocket."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Annotated, Any, Final

from fastapi import FastAPI, Header, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.sse import EventSourceResponse, format_sse_event
from pydantic import Field, ValidationError
from pydantic.json_schema import SkipJsonSchema
from starlette.routing import WebSocketRoute
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from api.access import Caller, admitted, presented_by
from api.live_hub import Frame, LiveHub, Reader
from api.live_messages import place_of
from api.problems import Problem, as_problem, problem_response
from api.stream_filter import StreamFilter
from lah_platform.stores.live_changes import Place

__all__ = ["SOCKET", "add_routes"]

SOCKET: Final = "/api/v1/stream/socket"
_TEXT: Final = {"type": "string"}
_EVENT: Final = {"type": "object", "properties": {"id": _TEXT, "event": _TEXT, "data": _TEXT}, "required": ["id"]}
_STOPPED, _REFUSED, _DONE = 1012, 1008, 1000  # RFC 6455: service restart, policy, normal


class _Stream(EventSourceResponse):
    def __init__(self, hub: LiveHub, reader: Reader, after: Place | None, follows: bool) -> None:
        self._hub, self._reader = hub, reader
        frames = hub.follow(reader, after, follows=follows)
        super().__init__(_framed(frames), headers={"X-Accel-Buffering": "no"})  # proxies would hold it back

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._hub.leave(self._reader)


async def _framed(frames: AsyncIterator[list[Frame]]) -> AsyncIterator[bytes]:
    async for each in frames:
        yield b"".join(
            format_sse_event(id=frame.id, event=frame.event, data_str=frame.data)
            if frame.event
            else format_sse_event(id=frame.id, comment="here")
            for frame in each
        )


async def stream(
    caller: Caller,
    request: Request,
    asked: Annotated[StreamFilter, Query()],
    last_event_id: Annotated[
        Annotated[str, Field(pattern=f"^$|{StreamFilter.ID}")] | SkipJsonSchema[None],
        Header(description="The id to go on behind, as browsers send it."),
    ] = None,
) -> Any:
    """Rollups, anomalies and alerts as they come: server-sent events that go on until the caller leaves.

    Every event has an id; with it as `Last-Event-ID` a new stream goes on behind it, within an hour without anything
    missing or coming twice. `event: gap` says from where to where the reader was too slow. `/api/v1/stream/socket`
    sends the same over a WebSocket. See docs/live.md.
    """
    hub: LiveHub = request.app.state.live
    reader = hub.join(caller, presented_by(request.headers), asked.wanted(caller.tenant))
    at = last_event_id or asked.last_event_id
    return _Stream(hub, reader, place_of(at) if at else None, asked.follow)


async def _socket(socket: WebSocket) -> None:
    hub: LiveHub = socket.app.state.live
    try:
        asked = _read(socket)
        presented = presented_by(socket.headers)
        caller = await asyncio.to_thread(admitted, socket, presented, ("WEBSOCKET", SOCKET))
        reader = hub.join(caller, presented, asked.wanted(caller.tenant))
    except Exception as error:
        await socket.send_denial_response(problem_response(socket.url.path, as_problem(error)))
        return
    leaves = None
    try:
        await socket.accept()
        leaves = asyncio.create_task(_left(socket))
        at = socket.headers.get("last-event-id") or asked.last_event_id
        sends = asyncio.create_task(_send(socket, hub, reader, place_of(at) if at else None, asked.follow))
        done, _ = await asyncio.wait({leaves, sends}, return_when=asyncio.FIRST_COMPLETED)
        if leaves in done:
            sends.cancel()
        else:
            code = _DONE if reader.ended is None else _STOPPED if "stopping" in reader.ended else _REFUSED
            await socket.close(code, reader.ended)
    except WebSocketDisconnect:
        pass
    finally:
        hub.leave(reader)
        if leaves is not None:
            leaves.cancel()


async def _send(socket: WebSocket, hub: LiveHub, reader: Reader, after: Place | None, follows: bool) -> None:
    async for frames in hub.follow(reader, after, follows=follows):
        for frame in frames:
            head = json.dumps({"id": frame.id, "event": frame.event or "here"})
            await socket.send_text(f'{head[:-1]}, "data": {frame.data or "null"}}}')


async def _left(socket: WebSocket) -> None:
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass


def _read(socket: WebSocket) -> StreamFilter:
    given: dict[str, Any] = {}
    for name, value in socket.query_params.multi_items():
        if name not in StreamFilter.model_fields:
            known = ", ".join(sorted(StreamFilter.model_fields))
            raise Problem("invalid-parameter", f"There is no parameter {name!r}", field=name, advice=f"Use {known}")
        given.setdefault(name, []).append(value)
    try:
        return StreamFilter.model_validate({k: v if k == "tag" else v[-1] for k, v in given.items()})
    except ValidationError as error:
        faults = error.errors(include_url=False)
        raise RequestValidationError([{**fault, "loc": ("query", *fault["loc"])} for fault in faults]) from error


def add_routes(app: FastAPI) -> None:
    """The stream, both ways."""
    app.add_api_route(
        "/api/v1/stream",
        stream,
        methods=["GET"],
        tags=["live"],
        response_class=Response,  # FastAPI takes the other for a generator's
        responses={200: {"content": {"text/event-stream": {"itemSchema": _EVENT}}}},
    )
    app.router.routes.append(WebSocketRoute(SOCKET, _socket))
