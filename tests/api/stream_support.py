"""What tests of the live stream share: a real server in a thread, and a reader by the rules of the HTML standard."""

import json
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import httpx
import uvicorn
from api_support import Api

from lah_platform.stores.embedded.process import wait_until
from lah_platform.stores.postgres import Connection

Event = tuple[str, str, Any]
SEND_BYTES = 16_384


@contextmanager
def serving(api: Api) -> Iterator[str]:
    """The app behind a real server in a thread; its sockets hold back little, so that a slow reader is slow soon."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BYTES)
    server = uvicorn.Server(uvicorn.Config(api.app, log_config=None, timeout_graceful_shutdown=5))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        assert wait_until(lambda: server.started, seconds=20, poll_seconds=0.01)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(20)
        listener.close()
    assert not thread.is_alive()


def note(connection: Connection, tenant: str, objects: int = 1) -> list[str]:
    """So many anomalies of a tenant are told of; which."""
    ids = sorted(uuid4() for _ in range(objects))
    connection.execute(
        "insert into live_inbox (kind, change, tenant, object_ids) values ('anomaly', 'new', %s, %s)", [tenant, ids]
    )
    return [str(each) for each in ids]


def events_of(lines: Iterator[str]) -> Iterator[Event]:
    """(id, event, data) of each, by the rules of the HTML standard; event `here` for an id alone."""
    id_, event, data = "", "here", None
    for line in lines:
        name, _, value = line.partition(": ")
        if not line:
            yield id_, event, data
            event, data = "here", None
        elif name == "id":
            id_ = value
        elif name == "event":
            event = value
        elif name == "data":
            data = json.loads(value)


@contextmanager
def reading(api: Api, url: str, tenant: str = "acme", at: str | None = None, **asked: Any) -> Iterator[Iterator[Event]]:
    headers = {"X-API-Key": api.keys[tenant, "viewer"]} | ({"Last-Event-ID": at} if at else {})
    with (
        httpx.Client(timeout=20) as client,
        client.stream("GET", f"{url}/api/v1/stream", params=asked, headers=headers) as answer,
    ):
        assert answer.status_code == 200, answer.read()
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield events_of(answer.iter_lines())


def told(events: Iterator[Event], most: int) -> list[Event]:
    """The next `most` that are more than a sign of life."""
    found: list[Event] = []
    while len(found) < most:
        each = next(events)
        if each[1] != "here":
            found.append(each)
    return found


def ids_told(events: Sequence[Event]) -> list[str]:
    return [data["anomaly_id"] for _, event, data in events if event == "anomaly"]
