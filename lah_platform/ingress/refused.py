"""What is handed to landing for an item that REST has refused: it must become a dead letter, and never an event.

Sent on as it came it could: an event that names another tenant decodes where no key says whose it is, and one dated
ahead of the clock is fine an hour later.
"""

import hashlib
from datetime import datetime
from uuid import NAMESPACE_OID, uuid5

import msgspec

from lah_platform.events.decode import decode
from lah_platform.events.limits import DEFAULT_LIMITS, Limits
from lah_platform.events.rejection import UNKNOWN_TENANT, Rejection

__all__ = ["refused_record", "sent_event_id", "sent_tenant"]

_TURNS_GOOD_WITH_TIME = frozenset({"future_timestamp"})
_MAX_ID_CHARS = 64
_NULL = b"null"
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class _Tags(msgspec.Struct, gc=False):
    tags: msgspec.Raw = msgspec.Raw(b"{}")
    event_id: msgspec.Raw = msgspec.Raw(b"null")


class _Head(_Tags, gc=False):
    common: _Tags | None = None


_HEAD = msgspec.json.Decoder(_Head)
_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_TAGS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_TEXT = msgspec.json.Decoder(str)


def refused_record(
    item: bytes, rejection: Rejection, *, tenant: str, now: datetime, limits: Limits = DEFAULT_LIMITS
) -> bytes:
    """The message that stands for `item` on the topic; landing books it as a dead letter of `tenant`.

    As sent, or with the tenant's name and an id put in, where landing will refuse it for the same reason; else wrapped
    in a message that says why it was refused and that can never decode. Unreadable bytes belong to tenant `unknown`.
    """
    if rejection.code not in _TURNS_GOOD_WITH_TIME:
        for candidate in (item, _completed(item, tenant)):
            found = decode(candidate, now=now, limits=limits) if candidate is not None else None
            if (
                isinstance(found, Rejection)
                and found.code == rejection.code
                and found.tenant in (tenant, UNKNOWN_TENANT)
            ):
                return candidate or item
    why = {"code": rejection.code, "field": rejection.field, "reason": rejection.reason}
    sent = item.decode("utf-8", "replace")
    return msgspec.json.encode({"tags": {"tenant": tenant}, "refused_by": "rest", **why, "sent": sent})


def sent_event_id(item: bytes) -> str | None:
    """The event_id as sent in either spelling, for telling the sender which item is meant; None when unreadable."""
    try:
        head = _HEAD.decode(item)
        return _TEXT.decode(head.common.event_id if head.common else head.event_id)[:_MAX_ID_CHARS]
    except _UNREADABLE:
        return None


def sent_tenant(item: bytes) -> str | None:
    """`tags.tenant` as sent in either spelling; None when there is none or it cannot be read."""
    try:
        head = _HEAD.decode(item)
        return _TEXT.decode(_TAGS.decode(head.common.tags if head.common else head.tags)["tenant"])
    except (*_UNREADABLE, KeyError):
        return None


def _completed(item: bytes, tenant: str) -> bytes | None:
    """The item with `tags.tenant` set and an id where it has none; None when it is not an object with such tags."""
    try:
        members = _MEMBERS.decode(item)
        is_nested = "common" in members and "event_type" not in members
        head = _MEMBERS.decode(members["common"]) if is_nested else members
        tags = _TAGS.decode(head["tags"]) if "tags" in head else {}
    except _UNREADABLE:
        return None
    head["tags"] = msgspec.Raw(msgspec.json.encode({**tags, "tenant": tenant}))
    if bytes(head.get("event_id", _NULL)) == _NULL:
        head["event_id"] = msgspec.Raw(msgspec.json.encode(uuid5(NAMESPACE_OID, hashlib.sha256(item).hexdigest())))
    if is_nested:
        members["common"] = msgspec.Raw(msgspec.json.encode(head))
    return msgspec.json.encode(members)
