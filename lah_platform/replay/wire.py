"""Spelling one event as the catalog's JSON, and giving it an identity that a repeated run reproduces.

Belongs here: event ids, the flat and the nested envelope, `Draft` and `ReplayMessage`. Does not: what the events
say (see `traces`, `synthetic`).
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from hashlib import sha1
from typing import NamedTuple
from uuid import UUID

import msgspec

__all__ = ["NAMESPACE", "Draft", "Identity", "ReplayMessage", "Source", "draft", "encode", "instant"]

NAMESPACE = UUID("6d4ad4c2-5b1c-5b1e-9d51-3f7a3c0c9a10")  # of every replayed event's uuid5; never changes
SCHEMA_VERSION = "1.0.0"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ENCODER = msgspec.json.Encoder(decimal_format="number")  # money leaves as digits, never through a float

# Older producers nest the envelope, and spell the latency itself differently. Only subtypes they know.
_NESTABLE = frozenset({"latency", "throughput", "error_rate", "token_usage", "token_cost"})
_NESTED_NAMES = {"total_latency_ms": "latency_ms"}


class ReplayMessage(NamedTuple):
    """One message to produce: `timestamp` (UTC) is when it is sent, which for a duplicate is after its event time."""

    key: bytes
    value: bytes
    timestamp: datetime


class Draft(NamedTuple):
    """An event before it is spelled: `at_us` is its time in microseconds since 1970 UTC, `kind` is type/subtype."""

    at_us: int
    kind: str
    key: str
    envelope: dict[str, object]
    payload_type: str
    data: dict[str, object]


class Source(NamedTuple):
    """What all events of one stream share. `tags` holds tenant, service, team, region and whatever else is fixed."""

    module: str
    tags: Mapping[str, str]
    environment: str = "production"


class Identity(NamedTuple):
    """Ids of one run: the same run repeats them, another run shares none. Runs must keep their `end` too, because
    the same id under another timestamp is a conflict and not a retry."""

    run_id: str

    def uuid(self, trace: str, row: int | str, role: str) -> str:
        """uuid5 of (trace, row, role, run id), as text; spelled out because uuid.uuid5 takes three times as long."""
        digest = sha1(NAMESPACE.bytes + f"{trace}/{row}/{role}/{self.run_id}".encode(), usedforsecurity=False)
        text = digest.hexdigest()
        variant = "89ab"[int(text[16], 16) & 3]
        return f"{text[:8]}-{text[8:12]}-5{text[13:16]}-{variant}{text[17:20]}-{text[20:32]}"


def draft(
    source: Source,
    at_us: int,
    event_id: str,
    kind: str,
    data: dict[str, object],
    *,
    event_type: str | None = None,
    severity: str = "info",
    correlation_id: str | None = None,
    parent_event_id: str | None = None,
    tags: Mapping[str, str] | None = None,
) -> Draft:
    """An event of `kind` "payload_type/subtype" with the payload fields `data`; event_type defaults to the type.

    The key is tenant, service and two digits of the correlation (else event) id: events of one operation share a
    partition, a busy service does not fill one.
    """
    payload_type, subtype = kind.split("/")
    envelope: dict[str, object] = {
        "event_id": event_id,
        "timestamp": instant(at_us),
        "source_module": source.module,
        "event_type": event_type or payload_type,
        "severity": severity,
        "environment": source.environment,
        "schema_version": SCHEMA_VERSION,
    }
    if correlation_id is not None:
        envelope["correlation_id"] = correlation_id
    if parent_event_id is not None:
        envelope["parent_event_id"] = parent_event_id
    envelope["tags"] = {**source.tags, **tags} if tags else source.tags
    key = f"{source.tags['tenant']}/{source.tags.get('service', '')}/{(correlation_id or event_id)[:2]}"
    return Draft(at_us, kind, key, envelope, payload_type, {f"{payload_type}_type": subtype, **data})


def instant(at_us: int) -> datetime:
    """The UTC instant of microseconds since 1970."""
    return _EPOCH + timedelta(microseconds=at_us)


def encode(event: Draft, *, nested: bool = False) -> bytes:
    """The event's JSON; `nested` asks for the older spelling where the subtype has one."""
    subtype = event.kind.partition("/")[2]
    if nested and subtype in _NESTABLE:
        fields = {_NESTED_NAMES.get(name, name): value for name, value in event.data.items()}
        del fields[f"{event.payload_type}_type"]
        return _ENCODER.encode({"common": event.envelope, "payload": {"type": subtype, **fields}})
    payload = {"payload_type": event.payload_type, "data": event.data}
    return _ENCODER.encode({**event.envelope, "payload": payload})
