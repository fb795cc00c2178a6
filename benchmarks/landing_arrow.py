"""Encoders that take Arrow and are not ours: pgpq and ADBC.

Belongs here: the Arrow tables they are given and one run of each.
"""

import sys
import sysconfig
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.landing_prepared import PARTITION, Workload
from benchmarks.landing_replays import CopyVariant
from benchmarks.landing_spent import Alternative, Spent, check_rows, spent_by_client
from benchmarks.landing_variant_server import Server
from lah_platform.events.measures import MEASURE_TYPES
from lah_platform.landing.batch import Batch
from lah_platform.landing.columns import at_us
from lah_platform.landing.kinds import Kind

__all__ = ["Encoders"]

_PEERS_HOME = Path(__file__).resolve().parent.parent / ".venv-peers"
_SHAPE_TEXTS = (
    *("tenant", "source_module", "event_type", "payload_type", "subtype"),
    *("severity", "environment", "schema_version", "model"),
)


class Encoders:
    """pgpq and ADBC, imported when they are run; without the peers' environment that is an ImportError."""

    def __init__(self, server: Server, work: Workload) -> None:
        self._server = server
        self._work = work
        self._tables: list[list[pa.Table]] = []

    def alternatives(self) -> list[Alternative]:
        # behind everything that our own environment holds
        sys.path.append(sysconfig.get_path("purelib", vars={"base": str(_PEERS_HOME), "platbase": str(_PEERS_HOME)}))
        return [self.arrow, self.pgpq, self.adbc]  # in this order: the first builds what the others are given

    def arrow(self) -> Mapping[str, Spent]:
        def build() -> None:
            pairs = zip(self._work.kinds, self._work.batches, strict=True)
            self._tables = [[_arrow(kind, self._work, batch) for kind in by_kind] for by_kind, batch in pairs]

        note = "what pgpq and ADBC are given; kinds are made already"
        return {"columns to Arrow": spent_by_client(len(self._work.values), build, note)}

    def pgpq(self) -> Mapping[str, Spent]:
        from pgpq import ArrowToPostgresBinaryEncoder  # type: ignore[import-not-found]

        streams: list[list[tuple[Sequence[str], bytes]]] = []

        def encode() -> None:
            for tables in self._tables:
                streams.append([])
                for table in tables:
                    encoder = ArrowToPostgresBinaryEncoder(table.schema)
                    pieces = [encoder.write_header(), *map(encoder.write_batch, table.to_batches()), encoder.finish()]
                    streams[-1].append((table.column_names, b"".join(pieces)))

        spent = spent_by_client(len(self._work.values), encode, "Arrow to COPY bytes; after `columns to Arrow`")
        name = "pgpq"
        sent = CopyVariant(name, self._server, "shipped", streams, spent.events).run()[name]
        return {name: Spent(spent.events, sent.backend_seconds, spent.client_seconds, sent.wal_bytes, spent.note)}

    def adbc(self) -> Mapping[str, Spent]:
        from adbc_driver_postgresql import dbapi  # type: ignore[import-not-found]

        self._server.empty("shipped")
        with dbapi.connect(self._server.url("shipped")) as connection, connection.cursor() as cursor:
            cursor.execute("select pg_backend_pid()")
            ((pid,),) = cursor.fetchall()
            with self._server.metering(
                len(self._work.values), [pid], "ingests and sends; after `columns to Arrow`"
            ) as spent:
                rows = 0
                for tables in self._tables:
                    for table in tables:
                        rows += cursor.adbc_ingest("events", table, mode="append", db_schema_name="lah")
                    connection.commit()
        check_rows("ADBC", rows, len(self._work.values))
        return {"ADBC ingest": spent[0]}


def _arrow(kind: Kind, work: Workload, batch: Batch) -> pa.Table:
    """The columns that `event_copy` writes, in Arrow types whose COPY bytes the table's columns take."""
    events = kind.events
    size = len(events)
    shapes, of_shape = events.shapes, pa.array(events.shape_of)

    def of_shapes(values: Sequence[Any]) -> pa.Array:
        return pa.DictionaryArray.from_arrays(of_shape, pa.array(values)).dictionary_decode()

    def ids(octets: np.ndarray[Any, Any], is_null: np.ndarray[Any, Any]) -> pa.Array:
        valid = pa.py_buffer(np.packbits(~is_null, bitorder="little").tobytes())
        return pa.Array.from_buffers(pa.binary(16), size, [valid, pa.py_buffer(np.ascontiguousarray(octets))])

    def moments(microseconds: np.ndarray[Any, Any]) -> pa.Array:
        return pa.array(microseconds.astype("datetime64[us]"), pa.timestamp("us", "UTC"))

    columns = {"series_id": of_shapes([work.series[shape] for shape in shapes])}
    columns |= {name: of_shapes([getattr(shape, name) for shape in shapes]) for name in _SHAPE_TEXTS}
    columns |= {
        "received_at": moments(np.full(size, at_us(work.received_at), np.int64)),
        "topic": pa.repeat(PARTITION.topic, size),
        "partition": pa.repeat(pa.scalar(PARTITION.number, pa.int32()), size),
        "record_offset": pa.array(batch.records.offsets[events.positions]),
        "ts": moments(events.timestamps_us),
        "event_id": ids(events.event_ids.octets, events.event_ids.is_null),
    }
    if not events.correlation_ids.is_null.all():
        columns["correlation_id"] = ids(events.correlation_ids.octets, events.correlation_ids.is_null)
    for name, numbers in kind.numbers.items():
        columns[name] = pa.array(numbers.values, mask=numbers.is_null)
        if MEASURE_TYPES[name] == "decimal":
            wide = np.stack([numbers.values, numbers.values >> 63], axis=1)  # to 128 bits, the sign carried on
            columns[name] = pa.Array.from_buffers(pa.decimal128(28, 12), size, [None, pa.py_buffer(wide)])
    columns["payload"] = pa.array([b"\x01" + bytes(each) for each in events.payload_json], pa.binary())
    columns["tags"] = pa.array([b"\x01" + each for each in events.tags_json], pa.binary())
    return pa.table(columns | {name: pa.array(values) for name, values in kind.texts.items()})
