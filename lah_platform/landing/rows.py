"""Events as rows of the table `events`, and the partial rollups of the rows that were really inserted."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import polars as pl

from lah_platform.events.columns import EVENT_COLUMNS, event_row
from lah_platform.events.envelope import Event
from lah_platform.landing.records import Record
from lah_platform.rollups.aggregate import ROWS_SCHEMA, aggregate_minutes
from lah_platform.rollups.series import SeriesKey

__all__ = ["IDENTITY", "ROW_COLUMNS", "event_rows", "identity", "partials", "series_key"]

_LANDING_COLUMNS = ("series_id", "received_at", "topic", "partition", "record_offset")
ROW_COLUMNS: tuple[str, ...] = (*_LANDING_COLUMNS, *EVENT_COLUMNS)
IDENTITY = ("ts", "tenant", "event_id")

Row = tuple[Any, ...]
_IDENTITY_AT = tuple(ROW_COLUMNS.index(name) for name in IDENTITY)
_MEASURED_AT = {name: ROW_COLUMNS.index(name) for name in ROWS_SCHEMA}


def series_key(event: Event) -> SeriesKey:
    """The dimensions an event is rolled up by; absent ones are empty."""
    tags = event.tags
    return SeriesKey(
        tenant=event.tenant,
        event_type=event.event_type,
        subtype=event.subtype,
        model=getattr(event.payload, "model_id", None) or "",
        environment=event.environment,
        service=tags.get("service", ""),
        region=tags.get("region", ""),
        team=tags.get("team", ""),
    )


def event_rows(
    accepted: Sequence[tuple[Record, Event]], series: Mapping[SeriesKey, int], received_at: datetime
) -> list[Row]:
    """One row of ROW_COLUMNS per event, in the order given."""
    return [
        (
            series[series_key(event)],
            received_at,
            record.partition.topic,
            record.partition.number,
            record.offset,
            *event_row(event),
        )
        for record, event in accepted
    ]


def identity(row: Row) -> Row:
    """(ts, tenant, event_id) of a row: what makes a repeat a repeat."""
    return tuple(row[at] for at in _IDENTITY_AT)


def partials(rows: Sequence[Row]) -> pl.DataFrame:
    """The rows' aggregates by minute, series and metric, as an aggregate frame."""
    return aggregate_minutes(
        pl.DataFrame({name: [row[at] for row in rows] for name, at in _MEASURED_AT.items()}, schema=ROWS_SCHEMA)
    )
