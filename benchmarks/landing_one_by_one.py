"""Landing as it was before columns: an object, a tuple and a call for every event.

Belongs here: that way from message to COPY; it looks for no repeats and makes no rollups.
"""

from collections.abc import Mapping
from typing import Any

from psycopg import sql

from benchmarks.landing_prepared import BATCH_ROWS, PARTITION, Workload
from benchmarks.landing_spent import Spent, spent_by_client
from benchmarks.landing_variant_server import Server
from lah_platform.events.envelope import Event
from lah_platform.events.measures import MEASURE_TYPES
from lah_platform.events.money import round_to_column
from lah_platform.events.payloads.cost import TokenCost
from lah_platform.events.payloads.telemetry import Latency
from lah_platform.events.token_buckets import token_buckets
from lah_platform.landing.columns import encode_tags
from lah_platform.stack.landing_process import decode_now

__all__ = ["STEPS", "one_by_one"]

_DECODE = "one by one: decode"
_ROW_TUPLES = "one by one: row tuples"
_COPY = "one by one: COPY with write_row and set_types"
STEPS = (_DECODE, _ROW_TUPLES, _COPY)
_ROW_TYPES = (
    {"series_id": "int8", "received_at": "timestamptz", "topic": "text", "partition": "int4", "record_offset": "int8"}
    | {"ts": "timestamptz", "tenant": "text", "event_id": "uuid"}
    | dict.fromkeys(("source_module", "event_type", "payload_type", "subtype"), "text")
    | dict.fromkeys(("severity", "environment", "schema_version"), "text")
    | {"correlation_id": "uuid", "parent_event_id": "uuid"}
    | {
        name: {"text": "text", "float": "float8", "integer": "int8", "decimal": "numeric"}[kind]
        for name, kind in MEASURE_TYPES.items()
    }
    | {"tags": "bytea", "payload": "bytea"}
)
_KEY_AT = slice(list(_ROW_TYPES).index("ts"), list(_ROW_TYPES).index("event_id") + 1)


def one_by_one(server: Server, work: Workload) -> Mapping[str, Spent]:
    size = len(work.values)
    events: list[Event] = []
    rows: list[tuple[Any, ...]] = []

    def read() -> None:
        events.extend(decode_now(value, work.received_at) for value in work.values)  # type: ignore[misc]

    def make_rows() -> None:
        rows.extend(_row(event, offset, work) for offset, event in enumerate(events))
        rows.sort(key=lambda row: row[_KEY_AT])

    found = {_DECODE: spent_by_client(size, read), _ROW_TUPLES: spent_by_client(size, make_rows)}
    server.empty("shipped")
    connection = server.connection("shipped")
    statement = sql.SQL("copy events ({}) from stdin (format binary)").format(
        sql.SQL(", ").join(map(sql.Identifier, _ROW_TYPES))
    )
    with server.metering(len(rows), [connection.info.backend_pid]) as spent:
        for at in range(0, len(rows), BATCH_ROWS):
            with connection.transaction(), connection.cursor() as cursor, cursor.copy(statement) as copy:
                copy.set_types(list(_ROW_TYPES.values()))
                for row in rows[at : at + BATCH_ROWS]:
                    copy.write_row(row)
    return found | {_COPY: spent[0]}


def _row(event: Event, offset: int, work: Workload) -> tuple[Any, ...]:
    shape = work.lane.shapes.known[work.lane.shapes.place(event)]
    payload = event.payload
    if isinstance(payload, Latency):
        filled = dict[str, Any](
            model=payload.model_id,
            request_id=payload.request_id,
            latency_ms=payload.total_latency_ms,
            ttft_ms=payload.ttft_ms,
            tokens_per_second=payload.tokens_per_second,
        )
    else:
        fresh, read, write, visible, reasoning, derivation = token_buckets(payload)  # type: ignore[arg-type]
        filled = dict[str, Any](
            model=payload.model_id,  # type: ignore[union-attr]
            request_id=payload.request_id,  # type: ignore[union-attr]
            input_tokens=payload.prompt_tokens,  # type: ignore[union-attr]
            output_tokens=payload.completion_tokens,  # type: ignore[union-attr]
            total_tokens=payload.total_tokens,  # type: ignore[union-attr]
            input_fresh_tokens=fresh,
            input_cache_read_tokens=read,
            input_cache_write_tokens=write,
            output_visible_tokens=visible,
            output_reasoning_tokens=reasoning,
            token_derivation=derivation,
            cost_usd=round_to_column(payload.total_cost_usd) if isinstance(payload, TokenCost) else None,
        )
    return (
        (work.series[shape], work.received_at, PARTITION.topic, PARTITION.number, offset)
        + (event.timestamp, event.tenant, event.event_id, event.source_module, event.event_type, event.payload_type)
        + (event.subtype, event.severity, event.environment, event.schema_version)
        + (event.correlation_id, event.parent_event_id, *map(filled.get, MEASURE_TYPES))
        + (b"\x01" + encode_tags(event.tags), b"\x01" + event.payload_json)
    )  # fmt: skip
