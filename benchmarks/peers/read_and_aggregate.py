"""Reading the measures of all events once, and one pass over them in DuckDB and in ClickHouse, each timed on its own.

The job is JSON in PEER: the database's URL, a folder, the query. Prints one JSON object of seconds by name. Events come
through ADBC into Arrow and are written to one Parquet file, which the two engines read: minute by minute and series by
series, count, sum, extremes, deviation and three percentiles of each measure.
"""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import adbc_driver_postgresql.dbapi as postgresql
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

MEASURES = ("latency_ms", "ttft_ms", "input_tokens", "output_tokens", "total_tokens", "cost_usd")
TURNS = 3


def main() -> None:
    job = json.loads(os.environ["PEER"])
    file = Path(job["folder"]) / "events.parquet"
    seconds = {"read": read(job, file)}
    seconds |= {"duckdb": duckdb_pass(file), "chdb": chdb_pass(file)}
    print(json.dumps(seconds))


def read(job: dict[str, str], file: Path) -> list[float]:
    tables = []

    def once() -> None:
        tables.clear()
        cursor.execute(job["query"])
        tables.append(cursor.fetch_arrow_table())

    with postgresql.connect(job["url"]) as connection, connection.cursor() as cursor:
        taken = timed(once)
    (table,) = tables
    cost = pc.cast(table["cost_usd"].combine_chunks().cast(pa.string()), pa.float64())
    place = table.schema.get_field_index("cost_usd")
    pq.write_table(table.set_column(place, "cost_usd", cost), file, compression="zstd", row_group_size=1_000_000)
    return taken


def duckdb_pass(file: Path) -> list[float]:
    import duckdb

    parts = "count({0}), sum({0}), min({0}), max({0}), stddev({0}), approx_quantile({0}, [0.5, 0.95, 0.99])"
    query = f"select date_trunc('minute', ts), series_id, count(*), {of_all(parts)} from '{file}' group by 1, 2"
    return timed(lambda: duckdb.sql(query).arrow())


def chdb_pass(file: Path) -> list[float]:
    import chdb

    parts = "count({0}), sum({0}), min({0}), max({0}), stddevSamp({0}), quantilesTDigest(0.5, 0.95, 0.99)({0})"
    query = (
        f"select toStartOfMinute(ts), series_id, count(), {of_all(parts)} from file('{file}', Parquet) group by 1, 2"
    )
    return timed(lambda: chdb.query(query, "Arrow"))


def of_all(parts: str) -> str:
    return ", ".join(parts.format(measure) for measure in MEASURES)


def timed(query: Callable[[], object]) -> list[float]:
    taken = []
    for _ in range(TURNS):
        started = time.perf_counter()
        query()
        taken.append(time.perf_counter() - started)
    return taken


main()
