"""Rows of `events`: encoded beforehand, inserted once each, with the partial rollups of exactly what was inserted."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from uuid import UUID

import numpy as np
from psycopg import sql

from lah_platform.landing.columns import EventColumns, from_us
from lah_platform.landing.kinds import kinds, partials
from lah_platform.landing.records import Records
from lah_platform.landing.shapes import Shape
from lah_platform.stores.binary_arrays import text_array, timestamptz_array, uuid_array
from lah_platform.stores.event_copy import EventCopy, ShapeBytes, event_copy
from lah_platform.stores.frames import copy_rows
from lah_platform.stores.partial_sets import SET_COLUMNS, partial_copy
from lah_platform.stores.postgres import Connection
from lah_platform.stores.queries import queries

__all__ = ["EncodedRows", "EventRows"]

_Q = queries("landing")
_MORE_COLUMNS = ("subject_id", "ts", "tenant", "event_id")


@dataclass(frozen=True)
class EncodedRows:
    """Events as the streams that insert them; `partials` is that of `rollup_partial_sets`, empty without events."""

    events: EventColumns
    streams: Sequence[EventCopy]
    partials: bytes


class EventRows:
    """Encodes and inserts the events of one process; both may run in threads of their own."""

    def __init__(self) -> None:
        self._shapes = ShapeBytes()
        self._turn = threading.Lock()

    def encode(
        self, events: EventColumns, records: Records, received_at: datetime, series: Mapping[Shape, int]
    ) -> EncodedRows:
        """`records` is where the events' positions point; `series` has the id of each shape's series."""
        with self._turn:
            by_kind = kinds(events)
            streams = [event_copy(kind, records, received_at, series, self._shapes) for kind in by_kind]
            made = partials(by_kind, series)
            return EncodedRows(events, streams, partial_copy(made) if len(made) else b"")

    def insert(
        self,
        connection: Connection,
        rows: EncodedRows,
        doubtful: EventColumns,
        records: Records,
        received_at: datetime,
        series: Mapping[Shape, int],
    ) -> EventColumns:
        """Insert what `events` does not hold yet, inside a transaction, and return it.

        `rows` are copied straight in; `doubtful` probably are repeats and are looked up before. No identity may be in
        both, or twice in one. Raises UniqueViolation when one of `rows` is there already, or when another process
        inserts an event at this moment.
        """
        parts = [rows] if len(rows.events) else []
        if len(doubtful) and len(new := doubtful.take(_absent(connection, doubtful))):
            parts.append(self.encode(new, records, received_at, series))
        for part in parts:
            for stream in part.streams:
                _copy(connection, "events", stream.columns, stream.stream)
        more = [row for part in parts for row in _more_subjects(part.events)]
        if more:
            copy_rows(connection, "event_subjects", _MORE_COLUMNS, ("uuid", "timestamptz", "text", "uuid"), more)
        for part in parts:
            if part.partials:
                _copy(connection, "rollup_partial_sets", SET_COLUMNS, part.partials)
        return EventColumns.concat([part.events for part in parts]) if parts else rows.events


def _more_subjects(events: EventColumns) -> list[tuple[UUID, datetime, str, UUID]]:
    """The rows of `event_subjects`."""
    if not events.more_subjects:
        return []
    rows = []
    for row in np.flatnonzero(np.isin(events.positions, list(events.more_subjects))).tolist():
        moment, event_id = from_us(int(events.timestamps_us[row])), UUID(bytes=events.event_ids.octets[row].tobytes())
        persons = events.more_subjects[int(events.positions[row])]
        rows += [(person, moment, events.shape(row).tenant, event_id) for person in persons]
    return rows


def _absent(connection: Connection, events: EventColumns) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """Places of the events that the table does not hold."""
    found = connection.execute(
        _Q["stored_already"],
        {
            "timestamps": timestamptz_array(events.timestamps_us),
            "tenants": text_array(events.tenants()),
            "event_ids": uuid_array(np.ascontiguousarray(events.event_ids.octets).view("V16").ravel()),
            "first": from_us(int(events.timestamps_us.min())),
            "last": from_us(int(events.timestamps_us.max())),
        },
        prepare=False,
    ).fetchall()
    is_absent = np.ones(len(events), np.bool_)
    is_absent[[position - 1 for (position,) in found]] = False
    return np.flatnonzero(is_absent)


def _copy(connection: Connection, table: str, columns: tuple[str, ...], stream: bytes) -> None:
    with connection.cursor() as cursor, cursor.copy(_copy_statement(table, columns)) as copy:
        copy.write(stream)


@lru_cache(maxsize=256)
def _copy_statement(table: str, columns: tuple[str, ...]) -> bytes:
    statement = sql.SQL("copy {} ({}) from stdin (format binary)").format(
        sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    return statement.as_bytes(None)
