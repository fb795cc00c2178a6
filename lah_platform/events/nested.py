"""The nested spelling's payload, turned into the flat spelling's `payload_type` and `data`."""

from typing import Any, NamedTuple

import msgspec

from lah_platform.events.payloads import CUSTOM, PAYLOAD_TYPE_OF, TAG_FIELD
from lah_platform.events.rejection import RejectionCode

LATENCY_ALIAS = "latency_ms"
LATENCY_FIELD = "total_latency_ms"


class FlatData(NamedTuple):
    """`data` holds the members byte for byte as sent; `renamed` maps a flat name to the name that was sent."""

    payload_type: str
    data: bytes
    renamed: dict[str, str]


class NestedProblem(NamedTuple):
    code: RejectionCode
    field: str
    reason: str


def flatten(payload: dict[str, msgspec.Raw]) -> FlatData | NestedProblem:
    """Read `{"type": subtype, ...}`; type `custom` takes its subtype from `custom_type`."""
    subtype = _text(payload.get("type"))
    if "type" not in payload:
        return NestedProblem("missing_field", "payload.type", "is missing")
    if subtype is None:
        return NestedProblem("invalid_field", "payload.type", "must be text")
    members: dict[str, Any] = {name: raw for name, raw in payload.items() if name != "type"}
    if subtype == CUSTOM:
        return FlatData(CUSTOM, msgspec.json.encode(members), {})
    payload_type = PAYLOAD_TYPE_OF.get(subtype)
    if payload_type is None:
        known = ", ".join((*PAYLOAD_TYPE_OF, CUSTOM))
        return NestedProblem("unknown_payload", "payload.type", f"{subtype!r} is not one of {known}")
    tag_field = TAG_FIELD[payload_type]
    if _text(members.get(tag_field)) not in (None, subtype):
        return NestedProblem("invalid_field", f"payload.{tag_field}", f"contradicts the type {subtype!r}")
    renamed: dict[str, str] = {}
    if subtype == "latency" and LATENCY_ALIAS in members and LATENCY_FIELD not in members:
        members[LATENCY_FIELD] = members.pop(LATENCY_ALIAS)
        renamed = {LATENCY_FIELD: LATENCY_ALIAS}
    return FlatData(payload_type, msgspec.json.encode({**members, tag_field: subtype}), renamed)


def _text(raw: msgspec.Raw | None) -> str | None:
    if raw is None:
        return None
    value = msgspec.json.decode(raw)
    return value if isinstance(value, str) else None
