"""What the serving benchmark reads: 90 days of 200 series in every rollup table, as ticks would have left them.

Belongs here: making the rows. What is asked of them is in `serving_queries`.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt

from lah_platform.rollups.aggregates import Aggregates
from lah_platform.rollups.combine import merge
from lah_platform.rollups.metrics import metric
from lah_platform.rollups.values import MetricValues, aggregate
from lah_platform.rollups.windows import WINDOWS
from lah_platform.stores.postgres import Connection
from lah_platform.stores.rollup_rows import copy_rows

__all__ = ["MODELS", "SERVICES_A_TENANT", "TENANTS", "fill"]

TENANTS = 4
SERVICES_A_TENANT = 10
MODELS = ("m-small", "m-large", "deepseek-r1", "embed", "rerank")
_EVENTS_AN_HOUR = 24
_DAY_US = 86_400_000_000
_HOUR_US = 3_600_000_000
_MINUTE_DAYS = 2
_FROM_HOURS = [each for each in WINDOWS if each.name in ("1h", "6h", "1d", "1w", "1M")]
_BELOW = [each for each in WINDOWS if each.name in ("1m", "5m", "15m")]


def fill(
    connection: Connection, *, start: datetime, days: int, tenants: int, seed: int, on_day: Callable[[int], None]
) -> int:
    """Rows of `days` from `start` (UTC) on in the tables of one hour and longer, of the last two in the shorter ones.

    One series for each tenant, service and model, with the values of 24 events an hour at a daily rhythm: latencies
    (log-normal, so histograms of about 20 buckets) and output tokens. Returns how many events that stands for.
    """
    rng = np.random.default_rng(seed)
    series = _series(connection, tenants)
    start_us = round(start.timestamp()) * 1_000_000
    hours, events = [], 0
    for day in range(days):
        first_us = start_us + day * _DAY_US
        found = _day(rng, series, first_us, is_by_minute=day >= days - _MINUTE_DAYS)
        events += int(found.counts.sum()) // 2
        if day >= days - _MINUTE_DAYS:
            for each in _BELOW:
                found = merge(found, each)
                copy_rows(connection, each.table, found, None, start)
        of_hours = merge(found, _FROM_HOURS[0])
        copy_rows(connection, _FROM_HOURS[0].table, of_hours, None, start)
        hours.append(merge(of_hours, _FROM_HOURS[2]))
        copy_rows(connection, _FROM_HOURS[1].table, merge(of_hours, _FROM_HOURS[1]), None, start)
        on_day(day)
    of_days = Aggregates.concat(hours)
    for each in _FROM_HOURS[2:]:
        copy_rows(connection, each.table, merge(of_days, each), None, start)
    end = start + timedelta(days=days)
    connection.execute("update rollup_state set final_before = %s", [end])
    connection.execute("vacuum (analyze)")
    return events


def _series(connection: Connection, tenants: int) -> npt.NDArray[np.int64]:
    names = [
        (f"tenant-{tenant}", model, f"service-{service}", "abcde"[service % 5])
        for tenant in range(tenants)
        for service in range(SERVICES_A_TENANT)
        for model in MODELS
    ]
    with connection.cursor() as cursor:
        cursor.executemany(
            "insert into series (tenant, event_type, subtype, model, environment, service, region, team, source_module,"
            " provider, tags) values (%s, 'telemetry', 'latency', %s, 'production', %s, 'eu', %s, 'llm-gateway',"
            " 'own', '{}')",
            names,
        )
    found = connection.execute("select series_id from series order by 1").fetchall()
    return np.array([series_id for (series_id,) in found], np.int64)


def _day(rng: np.random.Generator, series: npt.NDArray[np.int64], first_us: int, *, is_by_minute: bool) -> Aggregates:
    """A day's groups by hour, or by minute."""
    count = _EVENTS_AN_HOUR * 24
    within = rng.integers(0, 60, (len(series), count)) * (_HOUR_US // 60) if is_by_minute else 0
    of_hour = np.repeat(np.arange(24), _EVENTS_AN_HOUR)
    times = (first_us + of_hour * _HOUR_US + within + np.zeros((len(series), count), np.int64)).ravel()
    ids = np.repeat(series, count)
    rhythm = 1 + 0.3 * np.sin(of_hour / 24 * 2 * np.pi)
    latency = rng.lognormal(np.log(800), 0.5, (len(series), count)) * rhythm
    tokens = rng.poisson(300 * rhythm, (len(series), count))
    return aggregate(
        [
            MetricValues(metric("latency_ms"), ids, times, latency.ravel()),
            MetricValues(metric("output_tokens"), ids, times, tokens.ravel().astype(np.int64)),
        ]
    )
