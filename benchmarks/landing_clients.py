"""The client's side of landing: what is done before the server sees a byte, as shipped and by other means.

Belongs here: the steps as shipped, and what parses or sums instead. Rows made one by one are in `landing_one_by_one`,
encoders that take Arrow in `landing_arrow`.
"""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import duckdb
import numpy as np
import polars as pl

from benchmarks.landing_arrow import Encoders
from benchmarks.landing_one_by_one import one_by_one
from benchmarks.landing_prepared import BATCH_ROWS, MINUTE_US, Workload
from benchmarks.landing_spent import Alternative, Spent, spent_by_client
from benchmarks.landing_variant_server import Server
from lah_platform.landing.kinds import Kind, kinds, partials
from lah_platform.landing.repeats import RecentEvents, first_of_each
from lah_platform.landing.shapes import Shape
from lah_platform.rollups.metrics import METRICS
from lah_platform.stores.partial_sets import partial_copy

__all__ = ["client_alternatives"]


def client_alternatives(server: Server, work: Workload, folder: Path) -> list[Alternative]:
    client = _Client(work, folder)
    return [
        client.as_shipped,
        partial(one_by_one, server, work),
        client.parsers,
        client.group_by,
        *Encoders(server, work).alternatives(),
    ]


class _Client:
    def __init__(self, work: Workload, folder: Path) -> None:
        self._work = work
        self._file = folder / "events.ndjson"
        self._file.write_bytes(b"\n".join(work.values))

    def _spent(self, spend: Callable[[], object], note: str = "") -> Spent:
        return spent_by_client(len(self._work.values), spend, note)

    def as_shipped(self) -> Mapping[str, Spent]:
        work, batches, by_kind = self._work, self._work.batches, self._work.kinds
        recent = RecentEvents()
        made: list[pl.DataFrame] = []

        def read() -> None:
            for at in range(0, len(work.values), BATCH_ROWS):
                work.batch(at)

        def find_repeats() -> None:
            for batch in batches:
                recent.seen(batch.events.take(first_of_each(batch.events)))

        found = {
            "shipped: read": self._spent(read, "the fast lane, by the column"),
            "shipped: find repeats": self._spent(find_repeats, "fingerprints"),
            "shipped: sort by kind and time": self._spent(
                lambda: [kinds(batch.events) for batch in batches], "with the payloads' measures as arrays"
            ),
            "shipped: encode": self._spent(
                lambda: [work.copies(*each) for each in zip(batches, by_kind, strict=True)], "COPY bytes from arrays"
            ),
            "shipped: partials": self._spent(
                lambda: made.extend(partials(each, work.series) for each in by_kind),
                "numpy: count, sum, exact sum, min, max, mean, m2, histogram",
            ),
        }
        found["shipped: encode partials"] = self._spent(lambda: [partial_copy(each) for each in made if each])
        return found

    def parsers(self) -> Mapping[str, Spent]:
        """References: these parse, and check, name and refuse nothing."""
        together = b"\n".join(self._work.values)

        def by_duckdb() -> None:
            with duckdb.connect(config={"threads": 1}) as database:
                query = "create table t as select * from read_json(?, format = 'newline_delimited')"
                database.execute(query, [str(self._file)])

        return {
            "polars.read_ndjson": self._spent(lambda: pl.read_ndjson(together), "parsing only"),
            "DuckDB read_json": self._spent(by_duckdb, "parsing only, into a table in memory"),
        }

    def group_by(self) -> Mapping[str, Spent]:
        def by_polars() -> None:
            for by_kind in self._work.kinds:
                frame = pl.concat(frame for kind in by_kind for frame in _long(kind, self._work.series))
                value = pl.col("value")
                made = (pl.len(), value.sum().alias("sum"), value.min().alias("min"), value.max().alias("max"))
                frame.group_by("series", "minute", "metric").agg(*made, value.mean().alias("mean"))

        note = "count, sum, min, max, mean only: no exact sums, no m2, no histogram"
        return {"partials by polars group_by": self._spent(by_polars, note)}


def _long(kind: Kind, series: Mapping[Shape, int]) -> list[pl.DataFrame]:
    subtype = kind.events.shape(0).subtype
    ids = kind.events.by_shape(series.__getitem__, np.int64)
    minutes = kind.events.timestamps_us // MINUTE_US
    frames = []
    for at, metric in enumerate(METRICS):
        if metric.column is None:
            values, there = np.ones(len(ids)), np.ones(len(ids), np.bool_)
        elif metric.subtype in (None, subtype) and metric.column in kind.numbers:
            numbers = kind.numbers[metric.column]
            values, there = numbers.values.astype(np.float64), ~numbers.is_null
        else:
            continue
        columns = {"series": ids[there], "minute": minutes[there], "value": values[there]}
        frames.append(pl.DataFrame(columns).with_columns(metric=pl.lit(at, pl.Int8)))
    return frames
