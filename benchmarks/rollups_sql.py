"""The same windows as a user would write them: plain SQL, and TimescaleDB's hierarchical continuous aggregates.

Belongs here: their statements, and how long they take. Beside what they run is in `rollups`.
"""

from psycopg import errors

from benchmarks.report import progress, seconds_of
from lah_platform.rollups.windows import WINDOWS, Window
from lah_platform.stores.postgres import Connection

__all__ = ["continuous_aggregates", "plain_sql"]

_MEASURES = {
    "latency_ms": "",
    "ttft_ms": "",
    "input_tokens": " filter (where subtype = 'token_usage')",
    "output_tokens": " filter (where subtype = 'token_usage')",
    "total_tokens": " filter (where subtype = 'token_usage')",
    "cost_usd": "",
}
_BUCKETS = {
    "1w": "date_trunc('week', ts, 'UTC')",
    "1M": "date_trunc('month', ts, 'UTC')",
}
_INTERVALS = {
    "1m": "1 minute",
    "5m": "5 minutes",
    "15m": "15 minutes",
    "1h": "1 hour",
    "6h": "6 hours",
    "1d": "1 day",
    "1w": "1 week",
    "1M": "1 month",
}


def plain_sql(connection: Connection) -> float:
    """Seconds of all windows as tables."""
    with connection.transaction():
        connection.execute("set local work_mem = '256MB'")
        connection.execute("set local jit = off")
        taken = 0.0
        for each in WINDOWS:
            taken += seconds_of(lambda of=each: connection.execute(_group_by(of).encode()))  # type: ignore[misc]
            progress(f"plain SQL {each.name}: {taken:.1f} s so far")
    return taken


def continuous_aggregates(connection: Connection) -> tuple[float, bool]:
    """Seconds to fill all levels, and whether they have percentiles."""
    try:
        connection.execute("create extension if not exists timescaledb_toolkit")
        has_toolkit = True
    except errors.Error:
        has_toolkit = False
    for each in WINDOWS:
        connection.execute(_continuous_aggregate(each, has_toolkit=has_toolkit).encode())
    taken = 0.0
    for each in WINDOWS:
        call = f"call refresh_continuous_aggregate('{_name_of(each)}', null, null)"
        taken += seconds_of(lambda statement=call: connection.execute(statement.encode()))  # type: ignore[misc]
        progress(f"continuous aggregate {each.name}: {taken:.1f} s so far")
    return taken, has_toolkit


def _group_by(of: Window) -> str:
    """One window as a table, exact percentiles and all."""
    bucket = _BUCKETS.get(of.name, f"date_bin('{_INTERVALS[of.name]}', ts, timestamptz '1970-01-05 00:00Z')")
    parts = ", ".join(
        f"count({name}){only}, sum({name}){only}, min({name}){only}, max({name}){only}, stddev({name}){only},"
        f" percentile_cont(array[0.5, 0.95, 0.99]) within group (order by {name}){only}"
        for name, only in _MEASURES.items()
    )
    names = ", ".join(f"{name}_{part}" for name in _MEASURES for part in ("count", "sum", "min", "max", "stddev", "p"))
    return (
        f"create unlogged table public.by_{of.every} (bucket_start, series_id, events, {names}) as"
        f" select {bucket}, series_id, count(*), {parts} from lah.events group by 1, 2"
    )


def _name_of(of: Window) -> str:
    return f"public.continuous_{of.every}"


def _continuous_aggregate(of: Window, *, has_toolkit: bool) -> str:
    """One level, not filled yet: of the events, or of the level that the window's rows are made of.

    With the toolkit its mergeable sketch (200 buckets, 0.1 %); without it there are no percentiles.
    """
    size = f"interval '{_INTERVALS[of.name]}'"
    if of.source is None:
        bucket, source = f"time_bucket({size}, ts)", "lah.events"
        events = "count(*)"
        measure = "stats_agg({0}::float8){1} as {0}_stats, min({0}){1} as {0}_min, max({0}){1} as {0}_max"
        sketch = ", uddsketch(200, 0.001, {0}::float8){1} as {0}_sketch"
    else:
        bucket, source = f"time_bucket({size}, bucket)", _name_of(of.source)
        events = "sum(events)"
        measure = "rollup({0}_stats) as {0}_stats, min({0}_min) as {0}_min, max({0}_max) as {0}_max"
        sketch = ", rollup({0}_sketch) as {0}_sketch"
    if not has_toolkit:
        first = "sum({0}){1} as {0}_sum, count({0}){1} as {0}_count, min({0}){1} as {0}_min, max({0}){1} as {0}_max"
        later = "sum({0}_sum) as {0}_sum, sum({0}_count) as {0}_count, min({0}_min) as {0}_min, max({0}_max) as {0}_max"
        measure, sketch = (first if of.source is None else later), ""
    parts = ", ".join((measure + sketch).format(name, only) for name, only in _MEASURES.items())
    return (
        f"create materialized view {_name_of(of)} with (timescaledb.continuous) as"
        f" select {bucket} as bucket, series_id, {events} as events, {parts} from {source} group by 1, 2 with no data"
    )
