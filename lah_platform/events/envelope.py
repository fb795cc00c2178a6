"""The envelope: what every event says about itself, as it arrives (`Envelope`) and as the hub knows it (`Event`).

The payloads are in `payloads/`; how bytes become these structs is in `decode.py`.
"""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from lah_platform.events.payloads import Payload, PayloadType
from lah_platform.events.payloads.quantities import Name

DEFAULT_SCHEMA_VERSION = "1.0.0"
SUPPORTED_MAJOR = 1
DEFAULT_TENANT = "default"

SourceModule = Literal[
    "llm-observatory",
    "llm-sentinel",
    "llm-costops",
    "llm-cost-ops",
    "llm-governance-dashboard",
    "llm-registry",
    "llm-policy-engine",
    "llm-analytics-hub",
]
SOURCE_MODULE_ALIASES = {"llm-cost-ops": "llm-costops"}

EventType = Literal["telemetry", "security", "cost", "governance", "lifecycle", "audit", "alert"]

Severity = Literal["debug", "info", "warning", "error", "critical"]
SEVERITY_RANK: dict[str, int] = {"debug": 0, "info": 1, "warning": 2, "error": 3, "critical": 4}
"""Order of severities, mildest first; the same order as the database's enum."""

# semver.org's own expression, without the groups that are not needed here
SEMVER_PATTERN = (
    r"^(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)"
    r"(-((0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*)(\.(0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*))*))?"
    r"(\+([0-9a-zA-Z-]+(\.[0-9a-zA-Z-]+)*))?$"
)
SchemaVersion = Annotated[str, Meta(max_length=64, extra_json_schema={"pattern": SEMVER_PATTERN})]

Timestamp = Annotated[datetime, Meta(tz=True, description="RFC 3339 with an offset.")]


class Envelope(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The envelope's fields on the wire, without the payload."""

    event_id: UUID
    timestamp: Timestamp
    source_module: SourceModule
    event_type: EventType
    severity: Severity
    environment: Name
    schema_version: SchemaVersion = DEFAULT_SCHEMA_VERSION
    correlation_id: UUID | None = None
    parent_event_id: UUID | None = None
    tags: dict[str, str] = {}


class FlatPayload(msgspec.Struct, frozen=True, gc=False):
    payload_type: PayloadType
    data: msgspec.Raw


class FlatMessage(Envelope, frozen=True, kw_only=True, gc=False):
    """The flat spelling: envelope fields at the top, `payload: {"payload_type": ..., "data": {...}}`."""

    payload: FlatPayload


class NestedMessage(msgspec.Struct, frozen=True, gc=False):
    """The nested spelling: `{"common": {envelope}, "payload": {"type": subtype, ...}}`."""

    common: Envelope
    payload: dict[str, msgspec.Raw]


class Event(msgspec.Struct, frozen=True, gc=False):
    """One accepted event.

    `timestamp` is UTC with microseconds (finer digits are rounded). `source_module` is the canonical name.
    `payload_json` is the payload's `data` object as sent, unknown fields kept, in the flat shape whichever spelling it
    came in; `jsonb` is known to take it. Money in `payload` is exact as sent.
    """

    tenant: str
    event_id: UUID
    timestamp: datetime
    source_module: str
    event_type: str
    severity: str
    environment: str
    schema_version: str
    correlation_id: UUID | None
    parent_event_id: UUID | None
    tags: dict[str, str]
    payload_type: str
    subtype: str
    payload: Payload
    payload_json: bytes
