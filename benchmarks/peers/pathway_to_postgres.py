"""Pathway, as its documentation shows it: `pw.io.kafka.read` of JSON into `pw.io.postgres.write`.

Runs in the peers' own environment, until it is stopped: a stream has no end.
"""

import json
import os

import pathway as pw


class EventSchema(pw.Schema):  # type: ignore[misc]
    """The top-level fields of an event; what nests becomes jsonb."""

    event_id: str
    timestamp: str
    source_module: str
    event_type: str
    severity: str
    environment: str
    correlation_id: str | None = pw.column_definition(default_value=None)
    tags: pw.Json
    payload: pw.Json


def main() -> None:
    """Land the topic into a new table of Pathway's own making."""
    told = json.loads(os.environ["PEER"])
    events = pw.io.kafka.read(
        {"bootstrap.servers": told["bootstrap"], "group.id": told["topic"], "auto.offset.reset": "earliest"},
        topic=told["topic"],
        format="json",
        schema=EventSchema,
        autocommit_duration_ms=round(told["batch_seconds"] * 1000),
    )
    pw.io.postgres.write(
        events,
        told["database"],
        told["table"],
        max_batch_size=told["batch_rows"],
        init_mode="create_if_not_exists",
    )
    pw.run(monitoring_level=pw.MonitoringLevel.NONE)


if __name__ == "__main__":
    main()
