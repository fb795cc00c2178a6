"""Encrypted texts of a stored event, found by their place; and the event with one person's texts in the clear."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple
from uuid import UUID

from lah_platform.errors import Unreadable
from lah_platform.privacy.cipher import open_text, place, read, subject_of

__all__ = ["Ciphertext", "ciphertexts", "in_the_clear"]


class Ciphertext(NamedTuple):
    """An encrypted text, the reference of its key, and what it is bound to."""

    text: str
    key_ref: str
    bound_to: bytes


def ciphertexts(tenant: str, event_id: UUID, tags: Any, payload: Any) -> Iterator[Ciphertext]:
    """Every encrypted text of an event as stored: `tags` and `payload` as parsed JSON."""
    for path, text in _texts(tags, "tags"):
        if (found := _ciphertext(tenant, event_id, path, text)) is not None:
            yield found
    for path, text in _texts(payload, ""):
        if (found := _ciphertext(tenant, event_id, path, text)) is not None:
            yield found


def in_the_clear(
    tenant: str, event_id: UUID, tree: Any, subject_id: UUID, key: bytes, identifier: str, path: str = ""
) -> Any:
    """Parsed JSON of an event with the texts under the subject's key decrypted, and the subject_id as the identifier.

    What is another person's, or the tenant's, stays as it is. `path` is "tags" for tags. A text that does not open,
    being changed or moved, stays too.
    """
    match tree:
        case dict():
            return {
                name: in_the_clear(
                    tenant, event_id, value, subject_id, key, identifier, f"{path}.{name}" if path else name
                )
                for name, value in tree.items()
            }
        case list():
            return [
                in_the_clear(tenant, event_id, value, subject_id, key, identifier, f"{path}[{at}]")
                for at, value in enumerate(tree)
            ]
        case str() if tree == f"{subject_id}":
            return identifier
        case str() if (sealed := read(tree)) is not None and subject_of(sealed.key_ref) == subject_id:
            try:
                return json.loads(open_text(key, tree, place(tenant, event_id.bytes, path)))
            except Unreadable:
                return tree
        case _:
            return tree


def _ciphertext(tenant: str, event_id: UUID, path: str, text: str) -> Ciphertext | None:
    sealed = read(text)
    return None if sealed is None else Ciphertext(text, sealed.key_ref, place(tenant, event_id.bytes, path))


def _texts(tree: Any, path: str) -> Iterator[tuple[str, str]]:
    match tree:
        case Mapping():
            for name, value in tree.items():
                yield from _texts(value, f"{path}.{name}" if path else name)
        case list():
            for at, value in enumerate(tree):
                yield from _texts(value, f"{path}[{at}]")
        case str():
            yield path, tree
