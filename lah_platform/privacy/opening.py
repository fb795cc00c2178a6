"""Stored tags and payloads back in the clear, for those who may read them. The counterpart of `seal.py`."""

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any
from uuid import UUID

import msgspec

from lah_platform.errors import Unreadable
from lah_platform.privacy.cipher import MARK, open_bytes, place, read, subject_of

__all__ = ["ERASED_KEY", "WITHHELD", "key_refs", "opened", "possible_subjects"]

ERASED_KEY = "(erased)"
"""What an encrypted field reads once its subject's key is gone."""

WITHHELD = "(no consent)"
"""What it reads for a purpose that its subject has not agreed to."""

KeyOf = Callable[[str], bytes | None]


def key_refs(tree: Any) -> set[str]:
    """The keys that the tree's encrypted texts name."""
    return {sealed.key_ref for text in _texts(tree) if (sealed := read(text)) is not None}


def possible_subjects(tree: Any) -> set[UUID]:
    """The texts of the tree that may be a subject_id."""
    found = set()
    for text in _texts(tree):
        if len(text) == 36:
            try:
                found.add(UUID(text))
            except ValueError:
                continue
    return found


def opened(
    tree: Any,
    *,
    tenant: str,
    event_id: UUID,
    path: str,
    key_of: KeyOf,
    identifiers: Mapping[UUID, str],
    withheld: Collection[UUID] = (),
) -> Any:
    """The tree with encrypted texts opened and subject_ids as identifiers.

    `path` is `tags` or empty for a payload. A key that `key_of` does not have was erased: ERASED_KEY stands there, and
    WITHHELD where the key is that of one of `withheld`.
    HMACs stay. Raises Unreadable when a text was moved or changed.
    """

    def walk(tree: Any, path: str) -> Any:
        if isinstance(tree, dict):
            return {name: walk(each, f"{path}.{name}" if path else name) for name, each in tree.items()}
        if isinstance(tree, list):
            return [walk(each, f"{path}[{at}]") for at, each in enumerate(tree)]
        return text(tree, path) if isinstance(tree, str) else tree

    def text(kept: str, path: str) -> Any:
        if not kept.startswith(MARK):
            return identifiers.get(UUID(kept), kept) if possible_subjects(kept) else kept
        sealed = read(kept)
        if sealed is None:
            raise Unreadable("An encrypted value is not whole", "It was changed in the database")
        key = key_of(sealed.key_ref)
        if key is None:
            return WITHHELD if subject_of(sealed.key_ref) in withheld else ERASED_KEY
        return msgspec.json.decode(open_bytes(key, sealed.body, place(tenant, event_id.bytes, path)))

    return walk(tree, path)


def _texts(tree: Any) -> Iterator[str]:
    if isinstance(tree, str):
        yield tree
    elif isinstance(tree, dict):
        for each in tree.values():
            yield from _texts(each)
    elif isinstance(tree, list):
        for each in tree:
            yield from _texts(each)
