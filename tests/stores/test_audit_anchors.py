"""Signed heads leave the hub: each arrives once, in order, and one that did not is sent again."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import obstore
import pytest
from obstore.store import LocalStore

from lah_platform.compliance.audit_heads import SignedHead, head_of, problem_of, read_heads, sign_head
from lah_platform.compliance.signing import Signer
from lah_platform.errors import AuditError
from lah_platform.settings import Settings
from lah_platform.stores.audit import record
from lah_platform.stores.audit_anchors import FileAnchor, ObjectAnchor, WebhookAnchor, anchor_heads, anchor_of
from lah_platform.stores.audit_heads import sign_new_head, signed_heads
from lah_platform.stores.audit_verify import verify_log
from lah_platform.stores.postgres import Connection

_NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)
_SIGNER = Signer("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")


@pytest.fixture
def heads(connection: Connection) -> list[SignedHead]:
    """Three signed heads."""
    for _ in range(3):
        record(connection, "a", "b", "c", "d", "acme", {})
        assert sign_new_head(connection, _SIGNER, _NOW) is not None
    return list(signed_heads(connection))


@dataclass
class _Receiver:
    url: str = ""
    got: list[dict[str, object]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)


@contextmanager
def _receiver() -> Iterator[_Receiver]:
    """A server that answers what it is told to, then 204."""
    receiver = _Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status = receiver.answers.pop(0) if receiver.answers else 204
            receiver.keys.append(self.headers["Idempotency-Key"])
            if status == 204:
                receiver.got.append(json.loads(body))
            self.send_response(status)
            self.send_header("Location", "http://127.0.0.1:1/")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=[0.02], daemon=True).start()
        receiver.url = f"http://user:secret@127.0.0.1:{server.server_address[1]}/hook?token=secret"
        try:
            yield receiver
        finally:
            server.shutdown()


def test_a_file_gets_every_head_once_and_verifies_the_log(
    connection: Connection, heads: list[SignedHead], tmp_path: Path
) -> None:
    anchor = anchor_of(f"file://{tmp_path}/a%20folder/heads.jsonl")
    assert anchor_heads(connection, [anchor], _NOW) == {anchor.name: 3}
    assert anchor_heads(connection, [anchor], _NOW) == {anchor.name: 0}
    path = tmp_path / "a folder" / "heads.jsonl"
    read = list(read_heads(path.read_text().splitlines(), "heads.jsonl"))
    assert read == heads
    assert all(problem_of(head, frozenset({_SIGNER.public_key})) is None for head in read)
    found = verify_log(connection, anchors=[("heads.jsonl", head) for head in read])
    assert (found.breaches, found.anchors) == ([], 3)


def test_a_line_that_was_cut_short_costs_no_other(tmp_path: Path) -> None:
    path = tmp_path / "heads.jsonl"
    path.write_bytes(b'{"kind":"lah-au')
    head = sign_head(_SIGNER, 1, "00" * 32, _NOW)
    FileAnchor(path).put(head)
    assert list(read_heads(path.read_text().splitlines()[1:], "")) == [head]
    with pytest.raises(AuditError, match=r"heads.jsonl, line 1"):
        list(read_heads(path.read_text().splitlines(), "heads.jsonl"))


def test_a_webhook_is_tried_again_and_then_told_of_loudly_and_nothing_is_lost(
    connection: Connection, heads: list[SignedHead]
) -> None:
    waits: list[float] = []
    with _receiver() as receiver:
        anchor = WebhookAnchor(receiver.url, waits.append)
        assert "secret" not in anchor.name + repr(anchor)
        receiver.answers = [503, 204, 500, 429, 503]
        with pytest.raises(AuditError, match=r"status 503.*2 heads wait") as raised:
            anchor_heads(connection, [anchor], _NOW)
        assert "secret" not in str(raised.value)
        assert waits == [1.0, 1.0, 4.0]
        receiver.answers = [302]  # no redirect is followed, and asking again is no use
        with pytest.raises(AuditError, match="status 302"):
            anchor_heads(connection, [anchor], _NOW)
        assert len(waits) == 3
        assert anchor_heads(connection, [anchor], _NOW) == {anchor.name: 2}
        assert [head_of(got) for got in receiver.got] == heads
        assert receiver.keys[0] == receiver.keys[1] != receiver.keys[2]
    with pytest.raises(AuditError, match="ConnectError"):
        anchor.put(heads[0])


def test_an_anchor_that_fails_keeps_no_other_from_its_heads(
    connection: Connection, heads: list[SignedHead], tmp_path: Path
) -> None:
    (tmp_path / "no folder").write_text("")
    broken, good = FileAnchor(tmp_path / "no folder" / "heads.jsonl"), FileAnchor(tmp_path / "heads.jsonl")
    with pytest.raises(AuditError, match="3 heads wait"):
        anchor_heads(connection, [broken, good], _NOW)
    assert len((tmp_path / "heads.jsonl").read_text().splitlines()) == len(heads)


def test_an_object_store_keeps_one_object_a_head_and_refuses_another_in_its_place(
    connection: Connection, heads: list[SignedHead], tmp_path: Path
) -> None:
    store = LocalStore(str(tmp_path))
    anchor = ObjectAnchor("test://heads", store)
    assert anchor_heads(connection, [anchor], _NOW) == {"test://heads": 3}
    anchor.put(heads[0])
    path = f"audit-heads/{heads[0].position:020d}.json"
    assert list(read_heads([bytes(obstore.get(store, path).bytes()).decode()], "")) == [heads[0]]
    with pytest.raises(AuditError, match="another head of position"):
        anchor.put(sign_head(_SIGNER, heads[0].position, "00" * 32, _NOW))


def test_anchors_are_named_by_their_addresses_and_what_is_none_is_refused() -> None:
    chosen = Settings(audit_anchors=["s3://bucket/prefix", "https://example.com/hook", "file:///heads.jsonl"])
    assert len(chosen.audit_anchors) == 3
    with pytest.raises(ValueError, match="an anchor begins with"):
        Settings(audit_anchors=["heads.jsonl"])
