"""The daily refresh as a whole: the asset `forecasts` on a database of its own, reading, forecasting hours and days,
judging yesterday's and writing included.

1,000 series of 42 days of hours and 400 of days, each with every metric that is forecast (`--metrics` takes fewer):
Poisson counts about a shape of day and week. A second run follows, which judges what the first has said.
"""

import argparse
import json
import resource
import signal
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import psutil

from assets.resources import Hub
from assets.signals import ForecastConfig, forecasts
from benchmarks.report import machine, progress, seconds_of
from lah_platform.forecasts.metrics import FORECAST
from lah_platform.stores.embedded.ports import unused_port
from lah_platform.stores.embedded.postgres import EmbeddedPostgres
from lah_platform.stores.migrations import migrate
from lah_platform.stores.postgres import Connection, connect

_MOST_SECONDS = 580
_ROLLUPS = """
insert into {table} (bucket_start, series_id, metric, count, sum, sum_exact, mean, m2, min, max, p50, p95, p99,
                     hist_keys, hist_counts, revision, computed_at)
select b.at, s.series_id, m.metric, greatest(v.value, 0)::bigint, v.value, null, v.value, 0, v.value, v.value, v.value,
       v.value, v.value, '{{}}', '{{}}', 1, now()
from generate_series(%(start)s::timestamptz, %(end)s::timestamptz, %(step)s::interval) as b (at)
cross join (select series_id, row_number() over (order by series_id) as n from series) as s
cross join unnest(%(metrics)s::text[]) as m (metric)
cross join lateral (
    select round(30 * (1 + 0.6 * sin(extract(epoch from b.at) * 2 * pi() / 86400 + s.n))
                 * (1 + 0.2 * sin(extract(epoch from b.at) * 2 * pi() / 604800)) * (0.8 + 0.4 * random())) as value
) as v
"""


def _fill(connection: Connection, series: int, metrics: list[str], now: datetime) -> None:
    connection.execute(
        "insert into series (tenant, event_type, subtype, model, environment, service, region, team)"
        " select 'acme', 'telemetry', 'latency', 'model-' || n, 'production', '', '', '' from generate_series(1, %s) n",
        (series,),
    )
    hour, day = now.replace(minute=0, second=0, microsecond=0), now.replace(hour=0, minute=0, second=0, microsecond=0)
    for table, end, step, buckets in (
        ("rollup_1h", hour, timedelta(hours=1), 42 * 24),
        ("rollup_1d", day, timedelta(days=1), 400),
    ):
        asked = {"start": end - buckets * step, "end": end - step, "step": step, "metrics": metrics}
        connection.execute(_ROLLUPS.format(table=table).encode(), asked)
        connection.execute(f"analyze {table}".encode())


def _run(url: str, home: str) -> tuple[float, float, int]:
    """Seconds of the wall and of this and its child processes' CPU of one run, and how many rows it wrote."""
    hub = Hub(database_url=url, home=home)
    started, used = time.perf_counter(), _cpu_seconds()
    done = dg.materialize(
        [forecasts],
        resources={"hub": hub},
        run_config=dg.RunConfig({"compute_forecasts": ForecastConfig()}),
        instance=dg.DagsterInstance.ephemeral(),
    )
    seconds = time.perf_counter() - started
    (made,) = done.asset_materializations_for_node("compute_forecasts")
    return seconds, _cpu_seconds() - used, int(made.metadata["dagster/row_count"].value)  # type: ignore[arg-type]


def _cpu_seconds() -> float:
    return sum(
        each.ru_utime + each.ru_stime
        for each in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


def main() -> None:
    """Run it and print it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.forecasts_run", description=__doc__)
    parser.add_argument("--series", type=int, default=1000, help="how many series (default 1,000)")
    parser.add_argument("--metrics", type=int, default=len(FORECAST), help="of how many metrics each (default all)")
    parser.add_argument("--quick", action="store_true", help="within a minute: 15 series, once")
    parser.add_argument("--once", action="store_true", help="without the second run")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    chosen = parser.parse_args()
    series = 15 if chosen.quick else chosen.series
    metrics = list(FORECAST)[: chosen.metrics]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGALRM, lambda *_: sys.exit("not done in time: take fewer series or metrics"))
    signal.alarm(_MOST_SECONDS)
    with tempfile.TemporaryDirectory(prefix="lah-benchmark-") as home:
        server = EmbeddedPostgres(Path(home) / "postgres", port=unused_port())
        server.start()
        try:
            with connect(server.url) as connection:
                migrate(connection)
                filled = seconds_of(lambda: _fill(connection, series, metrics, datetime.now(UTC)))
            progress(f"{series} series of {len(metrics)} metrics filled in {filled:.0f} s")
            runs = [_run(server.url, home) for _ in range(1 if chosen.once or chosen.quick else 2)]
        finally:
            server.destroy()
    memory = psutil.Process().memory_info().rss / 1e6
    each = series * len(metrics)
    print(f"the asset `forecasts` on {machine()}: {series} series x {len(metrics)} metrics, hours and days")
    for name, (seconds, cpu, rows) in zip(("first run", "second run, judging"), runs, strict=False):
        print(f"  {name:<22}{seconds:>9.1f} s {cpu:>9.1f} s of CPU, {cpu / each:.4f} s a series and metric {rows:>10,}")
    print(f"  memory at the end {memory:.0f} MB")
    if chosen.json:
        scores = {"seconds": runs[0][0], "cpu_seconds_per_series_and_metric": runs[0][1] / each, "rows": runs[0][2]}
        print(
            json.dumps({"name": "forecasts_run", "ours": runs[0][0], "references": {}, "ratios": {}, "scores": scores})
        )


if __name__ == "__main__":
    main()
