"""An event as a row of the table `events`: the columns that come from the event itself, in COPY order.

What landing adds (series_id, received_at, topic, partition, record_offset) is not here; which payload field fills which
column is in `measures.py`.
"""

from typing import Any

import msgspec

from lah_platform.events.envelope import Event
from lah_platform.events.measures import Measured, measured

_encode_json = msgspec.json.Encoder().encode

EVENT_COLUMNS: tuple[str, ...] = (
    "ts",
    "tenant",
    "event_id",
    "source_module",
    "event_type",
    "payload_type",
    "subtype",
    "severity",
    "environment",
    "schema_version",
    "correlation_id",
    "parent_event_id",
    *Measured._fields,
    "tags",
    "payload",
)
"""Names in the order of `event_row`."""


def event_row(event: Event) -> tuple[Any, ...]:
    """The event's values in the order of `EVENT_COLUMNS`; `tags` and `payload` are JSON as bytes."""
    return (
        event.timestamp,
        event.tenant,
        event.event_id,
        event.source_module,
        event.event_type,
        event.payload_type,
        event.subtype,
        event.severity,
        event.environment,
        event.schema_version,
        event.correlation_id,
        event.parent_event_id,
        *measured(event.payload),
        _encode_json(event.tags),
        event.payload_json,
    )
