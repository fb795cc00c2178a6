"""A database in which every promise is kept, small enough to see. Rollups come from a naive query, not from the hub."""

from datetime import UTC, datetime
from pathlib import Path

from lah_platform.rollups.metrics import METRICS, Metric
from lah_platform.rollups.windows import WINDOWS, Window
from lah_platform.stores.postgres import Connection

DAY = datetime(2026, 3, 2, tzinfo=UTC)
NEXT_DAY = datetime(2026, 3, 3, tzinfo=UTC)

_BUCKETS = {
    "1m": "date_trunc('minute', ts)",
    "5m": "to_timestamp(floor(extract(epoch from ts) / 300) * 300)",
    "15m": "to_timestamp(floor(extract(epoch from ts) / 900) * 900)",
    "1h": "date_trunc('hour', ts)",
    "6h": "to_timestamp(floor(extract(epoch from ts) / 21600) * 21600)",
    "1d": "date_trunc('day', ts, 'UTC')",
    "1w": "date_trunc('week', ts, 'UTC')",
    "1M": "date_trunc('month', ts, 'UTC')",
}


def fill(connection: Connection) -> None:
    connection.execute((Path(__file__).parent / "sample.sql").read_bytes())
    for window in WINDOWS:
        connection.execute(_rollup(window).encode())


def _rollup(window: Window) -> str:
    values = ", ".join(f"('{m.name}', ({_value(m)})::numeric, {m.is_exact})" for m in METRICS)
    return f"""
        insert into {window.table}
        select {_BUCKETS[window.name]}, series_id, metric, count(*), case when not exact then sum(value)::float8 end,
               case when exact then sum(value) end, min(value), max(value), avg(value), coalesce(var_pop(value), 0),
               percentile_disc(0.5) within group (order by value), percentile_disc(0.95) within group (order by value),
               percentile_disc(0.99) within group (order by value), array[1, 2], array[1, count(*) - 1], 1,
               '2026-03-03 01:00Z'
        from events cross join lateral (values {values}) measured (metric, value, exact)
        where value is not null
        group by 1, 2, 3, exact
    """


def _value(metric: Metric) -> str:
    value = metric.column or "1"
    return f"case when subtype = '{metric.subtype}' then {value} end" if metric.subtype else value
