"""A wire to PostgreSQL that breaks at a chosen statement, as it does when a process or a server dies.

It stands between a client and the server and reads the frontend's and the backend's messages (protocol 3.0),
so whatever the client's code is, there is a place between any two of its statements. What is sent over it is not its
business.
"""

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import BinaryIO, Literal

from psycopg.conninfo import conninfo_to_dict, make_conninfo

__all__ = ["Break", "Wire"]

_QUERY, _SYNC, _COPY_DONE = b"Q", b"S", b"c"
_ENDS_STATEMENT = frozenset([_QUERY, _SYNC, _COPY_DONE])
_PARTS_OF_STATEMENT = frozenset([b"P", b"B", b"D", b"E"])
_READY, _COPY_IN = b"Z", b"G"
_IN_TRANSACTION = b"T"
_COMMIT = b"commit\0"
_CONFLICT = b"do $$ begin raise exception 'a conflict' using errcode = '40001'; end $$\0"
_NETWORK = (OSError, ValueError)  # ValueError: the other thread has closed the file


@dataclass(frozen=True)
class Break:
    """What happens at the n-th statement (from 1), the start and the end of a COPY counted as one each.

    `unsent`: the client is cut off, and the server never sees the statement. `unanswered`: the server does it, but the
    client is cut off before it knows. `conflict`: instead of doing it, the server fails the transaction with 40001; at
    the first statement from there on that is in a transaction, its commit included.
    """

    at: int
    how: Literal["unsent", "unanswered", "conflict"]


class Wire:
    """The way of one client, on as many connections as it likes, to the server of `server_url`; `url` leads over it.

    A break cuts all of the client's connections. Afterwards it may connect again.
    """

    def __init__(self, server_url: str) -> None:
        server = conninfo_to_dict(server_url)
        self._server = (str(server.get("host") or "127.0.0.1"), int(server.get("port") or 5432))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = make_conninfo(
            server_url,
            host="127.0.0.1",
            port=self._listener.getsockname()[1],
            sslmode="disable",
            gssencmode="disable",
        )
        self.statements = 0
        self._break: Break | None = None
        self._turn = threading.Lock()
        self._lines: list[_Line] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def expect(self, broken: Break | None) -> None:
        """Count statements from 0 again, and break at the one that `broken` names."""
        with self._turn:
            self.statements = 0
            self._break = broken

    def close(self) -> None:
        with suppress(OSError):  # wakes the thread that waits in accept
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def cut(self) -> None:
        """End every connection at both ends."""
        for line in self._lines:
            line.cut()
        self._lines = []

    def due(self, line: "_Line", end: bytes) -> str | None:
        """What is to happen to the statement that `line` has read to its `end`."""
        with self._turn:
            self.statements += 1
            if self._break is None or self.statements < self._break.at:
                return None
            if self._break.how == "conflict" and (line.status != _IN_TRANSACTION or end == _COPY_DONE):
                return None
            due, self._break = self._break.how, None
            return due

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._lines = [*(line for line in self._lines if not line.is_cut), _Line(self, client, self._server)]


class _Line:
    """One connection: a thread for each direction."""

    def __init__(self, wire: Wire, client: socket.socket, server: tuple[str, int]) -> None:
        self.status = b"I"
        self.is_cut = False
        self._wire = wire
        self._is_muted = False
        self._unheard = 0  # answers that are not for the client
        self._client = client
        self._upstream = socket.create_connection(server)
        for each in (client, self._upstream):
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for work in (self._requests, self._answers):
            threading.Thread(target=self._pump, args=(work,), daemon=True).start()

    def cut(self) -> None:
        self.is_cut = True
        for each in (self._client, self._upstream):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _pump(self, work: object) -> None:
        with suppress(*_NETWORK):
            work()  # type: ignore[operator]
        self.cut()

    def _requests(self) -> None:
        with self._client.makefile("rb") as file:
            length = file.read(4)  # the first message alone has no type
            self._upstream.sendall(length + file.read(int.from_bytes(length, "big") - 4))
            statement = b""
            for kind, message in _messages(file):
                statement += message
                if kind in _PARTS_OF_STATEMENT:
                    continue
                due = self._wire.due(self, kind) if kind in _ENDS_STATEMENT else None
                if due == "unsent":
                    self._wire.cut()
                    return
                if due == "conflict":
                    if statement.lower().endswith(_COMMIT):  # of which nothing is left when it fails
                        self._unheard = 1
                        self._upstream.sendall(_query(b"rollback\0"))
                    statement = _query(_CONFLICT)
                self._is_muted = due == "unanswered"
                self._upstream.sendall(statement)
                statement = b""

    def _answers(self) -> None:
        with self._upstream.makefile("rb") as file:
            for kind, message in _messages(file):
                if kind == _READY:
                    self.status = message[-1:]
                if self._unheard:
                    self._unheard -= kind == _READY
                elif not self._is_muted:
                    self._client.sendall(message)
                elif kind in (_READY, _COPY_IN):
                    self._wire.cut()
                    return


def _query(text: bytes) -> bytes:
    return _QUERY + (len(text) + 4).to_bytes(4, "big") + text


def _messages(file: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    """The type and the whole of each message."""
    while len(head := file.read(5)) == 5:
        yield head[:1], head + file.read(int.from_bytes(head[1:], "big") - 4)
