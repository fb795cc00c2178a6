"""Two Writers: one that only looks which persons an event tells of, one that writes what stands for its fields."""

import binascii
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any, Literal, NamedTuple, get_args
from uuid import UUID

import msgspec

from lah_platform.privacy.cipher import MARK, nonces, place, seal_bytes, subject_ref
from lah_platform.privacy.identifiers import hash_text
from lah_platform.privacy.subjects import ERASED, Person, Subject

__all__ = ["CONTENT_POLICIES", "ContentPolicy", "EventWriter", "Looking", "Redact", "TenantSeal"]

ContentPolicy = Literal["keep", "hash", "redact", "drop"]
CONTENT_POLICIES: tuple[ContentPolicy, ...] = get_args(ContentPolicy)

Redact = Callable[[str], str]

_NONCES_AT_ONCE = 1024
_ERASED = b'"%s"' % ERASED.encode()
_DROPPED = b'"dropped"'
_NOTHING = b'""'


class TenantSeal(NamedTuple):
    """What a tenant's events are encrypted with when they tell of nobody, and what becomes of their contents."""

    content_ref: str
    content_key: bytes
    index_secret: bytes
    policy: ContentPolicy


class Looking:
    """Writes nothing; remembers the persons and whether anything would be encrypted for its event alone."""

    def __init__(self) -> None:
        self.single: list[str] = []
        self.many: list[str] = []
        self.pseudonyms = 0
        self.encrypted = 0

    def identifier(self, text: str, is_one_of_many: bool) -> bytes:
        (self.many if is_one_of_many else self.single).append(text)
        return _NOTHING

    def pseudonym(self, text: str) -> bytes:  # noqa: ARG002
        self.pseudonyms += 1
        return _NOTHING

    def encrypt(self, path: str, value: bytes) -> bytes:  # noqa: ARG002
        self.encrypted += 1
        return _NOTHING

    def content(self, path: str, value: bytes) -> bytes:
        return self.encrypt(path, value)


class EventWriter:
    """Writes for one event after another of any tenant; `begin` says which.

    `redact` is None where the extra that redacts is not installed: what is to be redacted is dropped there.
    """

    def __init__(self, subjects: Mapping[Person, Subject | None], redact: Redact | None) -> None:
        self._subjects = subjects
        self._redact = redact
        self._nonces = nonces(0)
        self._tenant = ""
        self._event_id = self._bound_to = b""
        self._subject: Subject | None = None
        self._is_erased = False

    def begin(self, tenant: str, seal: TenantSeal, event_id: bytes, own: str | None) -> Subject | None:
        """The next event, and the identifier of the person whose key it takes; returns that person's subject."""
        self._tenant, self._seal = tenant, seal
        self._event_id, self._bound_to = event_id, b""
        self._subject = None if own is None else self._subjects[Person(tenant, own)]
        self._is_erased = own is not None and self._subject is None
        return self._subject

    def subject_ids(self, identifiers: Iterable[str]) -> set[UUID]:
        """The ids of those persons who were not erased."""
        found = (self._subjects[Person(self._tenant, each)] for each in identifiers)
        return {subject.subject_id for subject in found if subject is not None}

    def identifier(self, text: str, is_one_of_many: bool) -> bytes:  # noqa: ARG002
        subject = self._subjects[Person(self._tenant, text)]
        return _ERASED if subject is None else _quoted(subject.subject_id)

    def pseudonym(self, text: str) -> bytes:
        return _ERASED if self._is_erased else b'"%s"' % hash_text(self._seal.index_secret, text).encode()

    def encrypt(self, path: str, value: bytes) -> bytes:
        if self._is_erased:
            return _ERASED
        if not self._bound_to:
            self._bind()
        sealed = seal_bytes(self._key, value, self._bound_to + path.encode(), self._nonce())
        return self._head + binascii.b2a_base64(sealed, newline=False) + b'"'

    def _bind(self) -> None:
        self._bound_to = place(self._tenant, self._event_id, "")
        if self._subject is None:
            self._key, self._head = self._seal.content_key, f'"{MARK}{self._seal.content_ref}:'.encode()
        else:
            self._key, self._head = self._subject.key, f'"{MARK}{subject_ref(self._subject.subject_id)}:'.encode()

    def content(self, path: str, value: bytes) -> bytes:
        policy = self._seal.policy
        if self._is_erased or policy == "keep":
            return self.encrypt(path, value)
        if policy == "drop" or (policy == "redact" and self._redact is None):
            return _DROPPED
        tree = msgspec.json.decode(value)
        if policy == "hash":
            text = tree if isinstance(tree, str) else value.decode()
            return b'"%s"' % hash_text(self._seal.index_secret, text).encode()
        assert self._redact is not None  # else it was dropped
        return self.encrypt(path, msgspec.json.encode(_redacted(tree, self._redact)))

    def _nonce(self) -> bytes:
        nonce = next(self._nonces, None)
        if nonce is None:
            self._nonces = nonces(_NONCES_AT_ONCE)
            nonce = next(self._nonces)
        return nonce


@lru_cache(maxsize=65_536)
def _quoted(subject_id: UUID) -> bytes:
    return b'"%s"' % str(subject_id).encode()


def _redacted(tree: Any, redact: Redact) -> Any:
    if isinstance(tree, str):
        return redact(tree)
    if isinstance(tree, list):
        return [_redacted(each, redact) for each in tree]
    if isinstance(tree, dict):
        return {name: _redacted(each, redact) for name, each in tree.items()}
    return tree
