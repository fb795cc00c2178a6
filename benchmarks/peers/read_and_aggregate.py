"""Reading the measures of all events once, and one pass over them in DuckDB and in ClickHouse, each timed on its own.

The job is JSON in PEER: the database's URL, a folder, the query. Prints one JSON object of seconds by name. Events come
through ADBC into Arrow and are written to one Parquet file, which the two engines read: minute by minute and series by
series, count, sum, extremes, deviation and three percentiles of each measure.
"""

import json
import os
import time
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
    taken = []
    with postgresql.connect(job["url"]) as connection, connection.cursor() as cursor:
        for _ in range(TURNS):
            started = time.perf_counter()
            cursor.execute(job["query"])
            table = cursor.fetch_arrow_table()
            taken.append(time.perf_counter() - started)
    cost = pc.cast(table["cost_usd"].combine_chunks().cast(pa.string()), pa.float64())
    place = table.schema.get_field_index("cost_usd")
    pq.write_table(table.set_column(place, "cost_usd", cost), file, compression="zstd", row_group_size=1_000_000)
    return taken


def duckdb_pass(file: Path) -> list[float]:
    import duckdb

    parts = ", ".join(
        f"count({m}), sum({m}), min({m}), max({m}), stddev({m}), approx_quantile({m}, [0.5, 0.95, 0.99])"
        for m in MEASURES
    )
    query = f"select date_trunc('minute', ts), series_id, count(*), {parts} from '{file}' group by 1, 2"
    taken = []
    for _ in range(TURNS):
        started = time.perf_counter()
        duckdb.sql(query).arrow()
        taken.append(time.perf_counter() - started)
    return taken


def chdb_pass(file: Path) -> list[float]:
    import chdb

    parts = ", ".join(
        f"count({m}), sum({m}), min({m}), max({m}), stddevSamp({m}), quantilesTDigest(0.5, 0.95, 0.99)({m})"
        for m in MEASURES
    )
    query = f"select toStartOfMinute(ts), series_id, count(), {parts} from file('{file}', Parquet) group by 1, 2"
    taken = []
    for _ in range(TURNS):
        started = time.perf_counter()
        chdb.query(query, "Arrow")
        taken.append(time.perf_counter() - started)
    return taken


main()
