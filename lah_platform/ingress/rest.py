"""REST items to wire messages: the identity and the tenant are filled in, everything else is kept as sent.

What is valid is the events room's to say; status codes, authentication and the shape of a request are the API's.
"""

import json
import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid5

import msgspec

from lah_platform.events.decode import decode
from lah_platform.events.envelope import Event, Timestamp
from lah_platform.events.limits import DEFAULT_LIMITS, Limits
from lah_platform.events.rejection import WHOLE_RECORD, Rejection, reject

# Fixed for ever: in another namespace a client's retry would get another identity and be stored twice.
_IDEMPOTENCY_NAMESPACE = UUID("6d1f7a52-0c57-5c0e-9a2b-6c61682d7631")

_UNIX_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_TIMESTAMP = msgspec.json.Decoder(Timestamp)


class RestItem(msgspec.Struct, frozen=True):
    """One accepted item: `raw` is the flat wire message, ready for the topic or for landing; `event` is what it says.

    (tenant, event_id, timestamp) of `event` is the identity. `is_retry_safe` is False when the id was made up here:
    the item sent again would be stored again.
    """

    event_id: UUID
    raw: bytes
    is_retry_safe: bool
    event: Event


class _Filled(msgspec.Struct):
    raw: bytes
    is_nested: bool
    is_retry_safe: bool


def rest_item(
    item: bytes | Mapping[str, Any],
    *,
    tenant: str,
    now: datetime,
    index: int = 0,
    idempotency_key: str | None = None,
    limits: Limits = DEFAULT_LIMITS,
    random_bytes: Callable[[int], bytes] = os.urandom,
) -> RestItem | Rejection:
    """Read one event of a request, in either spelling.

    Prefer bytes to a mapping: a mapping's floats no longer hold all the digits that were sent. `tenant` is the API
    key's: an item that names another is rejected, one that names none gets it. A missing event_id is derived from
    `idempotency_key` and the item's `index` in the batch, else assigned as a UUIDv7 of the event's timestamp. A
    rejection's field is a path in the item as sent; its tenant is always the key's.
    """
    if not isinstance(item, bytes):
        try:
            item = json.dumps(dict(item), allow_nan=False).encode()
        except RecursionError:
            return reject("too_deep", WHOLE_RECORD, "nests deeper than can be written", tenant)
        except ValueError as error:
            return reject("malformed_json", WHOLE_RECORD, f"cannot be written as JSON: {error}", tenant)

    def new_id(sent_timestamp: msgspec.Raw | None) -> UUID:
        if idempotency_key is not None:
            return uuid5(_IDEMPOTENCY_NAMESPACE, json.dumps([tenant, idempotency_key, index]))
        return _uuid7(_readable_timestamp(sent_timestamp) or now, random_bytes(10))

    filled = _fill(item, tenant, new_id) if len(item) <= limits.max_bytes else _Filled(item, False, True)
    event = decode(filled.raw, now=now, limits=limits, topic_tenant=tenant)
    if isinstance(event, Rejection):
        return msgspec.structs.replace(event, tenant=tenant)
    raw = _as_flat(filled.raw, event) if filled.is_nested else filled.raw
    return RestItem(event.event_id, raw, filled.is_retry_safe or idempotency_key is not None, event)


def _fill(item: bytes, tenant: str, new_id: Callable[[msgspec.Raw | None], UUID]) -> _Filled:
    """The item with id and tenant, in its own spelling; what cannot be read is left for `decode` to explain."""
    message = _members(item) or {}
    is_nested = "common" in message and "event_type" not in message
    envelope = _members(message["common"]) if is_nested else message
    if not envelope:
        return _Filled(item, is_nested, True)
    added: dict[str, Any] = {}
    has_id = "event_id" in envelope and bytes(envelope["event_id"]) != b"null"
    if not has_id:
        added["event_id"] = new_id(envelope.get("timestamp"))
    tags = _members(envelope["tags"]) if "tags" in envelope else {}
    if tags is not None and "tenant" not in tags:
        added["tags"] = {**tags, "tenant": tenant}
    if not added:
        return _Filled(item, is_nested, has_id)
    filled: dict[str, Any] = {**envelope, **added}
    raw = msgspec.json.encode({**message, "common": filled} if is_nested else filled)
    return _Filled(raw, is_nested, has_id)


def _as_flat(nested: bytes, event: Event) -> bytes:
    message = _MEMBERS.decode(nested)
    payload = {"payload_type": event.payload_type, "data": msgspec.Raw(event.payload_json)}
    return msgspec.json.encode({**_MEMBERS.decode(message["common"]), "payload": payload})


def _members(document: bytes | msgspec.Raw) -> dict[str, msgspec.Raw] | None:
    try:
        return _MEMBERS.decode(document)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _readable_timestamp(sent: msgspec.Raw | None) -> datetime | None:
    try:
        return None if sent is None else _TIMESTAMP.decode(sent)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _uuid7(moment: datetime, random: bytes) -> UUID:
    """A UUIDv7 (RFC 9562) of the moment, so that an event can be found by its id without an index of its own."""
    unix_ms = max(0, int((moment - _UNIX_EPOCH).total_seconds() * 1000))
    bits = (unix_ms & 0xFFFF_FFFF_FFFF) << 80 | int.from_bytes(random)
    bits &= ~(0xF << 76 | 0b11 << 62)
    return UUID(int=bits | 0x7 << 76 | 0b10 << 62)
