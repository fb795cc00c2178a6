"""One event's tags and payload without personal data in the clear. JSON in, JSON out; numbers stay as written.

What stands in the place of a personal field is a JSON text: a subject_id, an HMAC, `enc:v1:...`, `erased`, `dropped`.
An encrypted field holds the JSON it replaces, so that decrypting gives back exactly what was sent. Does not belong
here: who the persons are, whose keys (`Writer`), and what is done by column (`landing/sealing.py`).
"""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

import msgspec

from lah_platform.privacy.fields import Sort
from lah_platform.privacy.names import PLAIN_TAGS, names_a_person, sort_of_field
from lah_platform.privacy.plans import KEEP, Plan

__all__ = ["PersonalTag", "Writer", "is_same_for_all", "members_of", "personal_tags", "seal_object", "seal_tags"]

_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ITEMS = msgspec.json.Decoder(list[msgspec.Raw])
_TEXT = msgspec.json.Decoder(str)
_ENCODE = msgspec.json.Encoder().encode
_QUOTE, _OPENS, _BRACKET = ord('"'), ord("{"), ord("[")
_TEXT_OR_CONTAINER = frozenset({_QUOTE, _OPENS, _BRACKET})
_WORDS = frozenset(b"ntf")  # null, true, false
_EMPTY = frozenset({b'""', b"[]", b"{}"})
_NOTHING: Plan = {}
_SAME_FOR_ALL = frozenset({Sort.IDENTIFIER, Sort.PSEUDONYM})


class PersonalTag(NamedTuple):
    """One personal tag."""

    name: str
    text: str
    sort: Sort


class Writer(Protocol):
    """What stands for the personal fields of one event: JSON for each."""

    def identifier(self, text: str, is_one_of_many: bool) -> bytes:
        """For what names a person; of a list of persons each `is_one_of_many`."""

    def pseudonym(self, text: str) -> bytes:
        """For a session or a device."""

    def encrypt(self, path: str, value: bytes) -> bytes:
        """For an address or a free text, which `value` is the JSON of."""

    def content(self, path: str, value: bytes) -> bytes:
        """For a prompt or a completion."""


def members_of(document: Any) -> dict[str, msgspec.Raw]:
    """The members of a JSON object as they were written, the last of those of one name."""
    return _MEMBERS.decode(document)


def personal_tags(tags: Mapping[str, str], kept: frozenset[str]) -> list[PersonalTag]:
    """Which tags are personal: by rule, as nobody declares them; those in PLAIN_TAGS are not.

    Of those in `kept`, dimensions that a deployment chose, only persons and sessions are: others have to be readable.
    """
    declared, by_text = _tag_plan(tuple(tags), kept)
    personal = [PersonalTag(name, tags[name], sort) for name, sort in declared if tags[name]]
    for name in by_text:
        if (sort := sort_of_field(name, tags[name])) is not None:
            personal.append(PersonalTag(name, tags[name], sort))
    return personal


@lru_cache(maxsize=4096)
def _tag_plan(names: tuple[str, ...], kept: frozenset[str]) -> tuple[list[tuple[str, Sort]], list[str]]:
    """Tags that are personal by their names, and those whose texts decide."""
    sorts = {name: sort_of_field(name, None) for name in names if name not in PLAIN_TAGS}
    declared = [(name, sort) for name, sort in sorts.items() if sort in _SAME_FOR_ALL or (sort and name not in kept)]
    return declared, [name for name, sort in sorts.items() if sort is None and name not in kept]


def is_same_for_all(personal: Sequence[PersonalTag]) -> bool:
    """Whether what stands for these tags does not depend on the event."""
    return all(each.sort in _SAME_FOR_ALL for each in personal)


def seal_tags(tags: Mapping[str, str], personal: Sequence[PersonalTag], writer: Writer) -> bytes:
    """The tags as JSON."""
    sealed: dict[str, Any] = dict(tags)
    for name, text, sort in personal:
        if sort is Sort.IDENTIFIER:
            sealed[name] = msgspec.Raw(writer.identifier(text, False))
        elif sort is Sort.PSEUDONYM:
            sealed[name] = msgspec.Raw(writer.pseudonym(text))
        else:
            write = writer.content if sort is Sort.CONTENT else writer.encrypt
            sealed[name] = msgspec.Raw(write(f"tags.{name}", _ENCODE(text)))
    return _ENCODE(sealed)


def seal_object(members: Mapping[str, msgspec.Raw], plan: Plan, writer: Writer, path: str = "") -> bytes | None:
    """The object as JSON, None when nothing of it is personal."""
    written: dict[str, Any] = {}
    for name, raw in members.items():
        step = plan.get(name)
        if step is KEEP:
            continue
        here, value = f"{path}.{name}" if path else name, bytes(raw)
        if isinstance(step, dict):
            sealed = _by_plan(step, value, here, writer)
        elif step is None:
            sealed = _by_rule(name, value, here, writer)
        else:
            sealed = _sealed(step, value, here, writer)
        if sealed is not None:
            written[name] = msgspec.Raw(sealed)
    return _ENCODE({**members, **written}) if written else None


def _by_plan(plan: Plan, raw: bytes, path: str, writer: Writer) -> bytes | None:
    """An object, or objects in a list, whose members the catalog declares."""
    first = raw[0]
    if first == _OPENS:
        return seal_object(members_of(raw), plan, writer, path)
    if first != _BRACKET:
        return None
    return _each(raw, lambda at, item: _by_plan(plan, item, f"{path}[{at}]", writer))


def _by_rule(name: str, raw: bytes, path: str, writer: Writer) -> bytes | None:
    """A value that the contract does not know."""
    first = raw[0]
    if first in _WORDS or raw in _EMPTY:
        return None
    text = _TEXT.decode(raw) if first == _QUOTE else None
    sort = sort_of_field(name, text)
    if sort is not None:
        return _sealed(sort, raw, path, writer)
    if first == _OPENS:
        members = members_of(raw)
        if any(map(names_a_person, members)):
            return writer.encrypt(path, raw)
        return seal_object(members, _NOTHING, writer, path)
    if first == _BRACKET:
        return _each(raw, lambda at, item: _by_rule(name, item, f"{path}[{at}]", writer))
    return None


def _sealed(sort: Sort, raw: bytes, path: str, writer: Writer, *, is_one_of_many: bool = False) -> bytes | None:
    """The value of a personal field; None: it stays, being no text."""
    first = raw[0]
    if first in _WORDS or raw in _EMPTY:
        return None
    if sort is Sort.CONTENT:
        return writer.content(path, raw) if first in _TEXT_OR_CONTAINER else None
    if first == _BRACKET:
        return _each(raw, lambda at, item: _sealed(sort, item, f"{path}[{at}]", writer, is_one_of_many=True))
    if sort is Sort.TEXT and first != _QUOTE and first != _OPENS:
        return None
    if sort in (Sort.ADDRESS, Sort.TEXT) or first == _OPENS:
        return writer.encrypt(path, raw)
    text = _TEXT.decode(raw) if first == _QUOTE else raw.decode()
    return writer.identifier(text, is_one_of_many) if sort is Sort.IDENTIFIER else writer.pseudonym(text)


def _each(raw: bytes, sealed: Callable[[int, bytes], bytes | None]) -> bytes | None:
    items: list[msgspec.Raw] = _ITEMS.decode(raw)
    is_changed = False
    for at, item in enumerate(items):
        value = sealed(at, bytes(item))
        if value is not None:
            items[at] = msgspec.Raw(value)
            is_changed = True
    return _ENCODE(items) if is_changed else None
