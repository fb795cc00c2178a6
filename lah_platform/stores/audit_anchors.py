"""Places outside the database that get each signed head of the audit log: a file, a webhook, an object store.

Whoever can rewrite the database cannot rewrite these. A head that did not arrive is sent again the next time.
"""

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import unquote, urlsplit

import httpx

from lah_platform.compliance.audit_heads import SignedHead, read_heads
from lah_platform.errors import AuditError
from lah_platform.stores.audit_heads import head_from
from lah_platform.stores.postgres import Connection
from lah_platform.stores.queries import queries

if TYPE_CHECKING:
    from obstore.store import ObjectStore

__all__ = ["Anchor", "FileAnchor", "ObjectAnchor", "WebhookAnchor", "anchor_heads", "anchor_of", "kept_heads"]

_Q = queries("audit")
_HEADS_A_TIME: Final = 1_000
_TIMEOUT_S: Final = 10.0
_WAITS_S: Final = (1.0, 4.0)  # between three attempts; the next hour's run is the fourth


class Anchor(Protocol):
    """Keeps heads. `put` raises AuditError when it did not; the same head put twice is kept as well as once."""

    @property
    def name(self) -> str: ...

    def put(self, head: SignedHead) -> None: ...


@dataclass(frozen=True)
class FileAnchor:
    """JSON Lines, appended and flushed to the disk; keep it on another machine's disk, or where nothing is erased."""

    path: Path

    @property
    def name(self) -> str:
        return f"file://{self.path}"

    def put(self, head: SignedHead) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab+", buffering=0) as file:
                line = head.line().encode()
                if file.tell() and os.pread(file.fileno(), 1, file.tell() - 1) != b"\n":
                    line = b"\n" + line  # the line before was cut short
                if file.write(line) != len(line):
                    raise OSError("the disk is full")
                os.fsync(file.fileno())
        except OSError as error:
            raise AuditError(f"{self.name} cannot be written ({error})", "See LAH_AUDIT_ANCHORS") from error


@dataclass(frozen=True)
class WebhookAnchor:
    """POSTs the head as JSON; any 2xx is a receipt. No redirect is followed."""

    url: str = field(repr=False)
    sleep: Callable[[float], None] = time.sleep

    @property
    def name(self) -> str:
        return _shown(self.url)

    def put(self, head: SignedHead) -> None:
        headers = {"Idempotency-Key": f"audit-head-{head.position}-{head.signature.key_id}"}
        said = ""
        for wait in (*_WAITS_S, None):
            try:
                answer = httpx.post(self.url, json=head.content(), headers=headers, timeout=_TIMEOUT_S)
            except httpx.HTTPError as error:
                said = type(error).__name__
            else:
                if answer.is_success:
                    return
                said = f"status {answer.status_code}"
                if answer.status_code < 500 and answer.status_code not in (408, 425, 429):
                    break
            if wait is not None:
                self.sleep(wait)
        raise AuditError(f"{self.name} did not take the head of position {head.position} ({said})", "See its log")


@dataclass(frozen=True)
class ObjectAnchor:
    """One object a head, `audit-heads/<position>.json`, made once: one that is there already must say the same."""

    name: str
    store: "ObjectStore" = field(repr=False)

    def put(self, head: SignedHead) -> None:
        import obstore
        from obstore.exceptions import AlreadyExistsError, BaseError

        path = f"audit-heads/{head.position:020d}.json"
        try:
            try:
                obstore.put(self.store, path, head.line().encode(), mode="create")
            except AlreadyExistsError:
                if bytes(obstore.get(self.store, path).bytes()) != head.line().encode():
                    raise AuditError(
                        f"{self.name} has another head of position {head.position}",
                        "One of the two was made by somebody else: compare them, then run `lah audit verify`",
                    ) from None
        except (BaseError, OSError) as error:
            text = f"{self.name} cannot be written ({type(error).__name__})"
            raise AuditError(text, "See LAH_AUDIT_ANCHORS") from error


def anchor_of(url: str) -> Anchor:
    """The anchor that an entry of LAH_AUDIT_ANCHORS names; credentials of object stores come from the environment."""
    parts = urlsplit(url)
    if parts.scheme == "file":
        return FileAnchor(Path(unquote(parts.path)))
    if parts.scheme in ("http", "https"):
        return WebhookAnchor(url)
    from obstore.store import from_url

    return ObjectAnchor(_shown(url), from_url(url))


def kept_heads(anchors: Iterable[Anchor]) -> Iterator[tuple[str, SignedHead]]:
    """The heads that files among the anchors have, each with the anchor's name. AuditError for what is no head."""
    for anchor in anchors:
        if isinstance(anchor, FileAnchor) and anchor.path.exists():
            with anchor.path.open(encoding="utf-8") as lines:
                yield from ((anchor.name, head) for head in read_heads(lines, anchor.name))


def anchor_heads(connection: Connection, anchors: Iterable[Anchor], now: datetime) -> Mapping[str, int]:
    """Send each anchor the heads that it has not got, oldest first, at most 1,000; returns how many each got.

    Every anchor is tried. Raises AuditError, when all were, for those that failed; what waits there stays waiting.
    """
    sent: dict[str, int] = {}
    failed: list[str] = []
    for anchor in anchors:
        sent[anchor.name] = 0
        waiting = connection.execute(_Q["waiting_heads"], {"anchor": anchor.name, "limit": _HEADS_A_TIME}).fetchall()
        try:
            for head in map(head_from, waiting):
                anchor.put(head)
                note = {"anchor": anchor.name, "position": head.position, "anchored_at": now}
                connection.execute(_Q["note_anchored"], note)
                sent[anchor.name] += 1
        except AuditError as error:
            failed.append(f"{error.message}; {len(waiting) - sent[anchor.name]} heads wait")
    if failed:
        raise AuditError(f"Not every anchor has the audit log's heads: {'. '.join(failed)}", "They are sent again")
    return sent


def _shown(url: str) -> str:
    """The address without a name, password or query, which may be secret."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
