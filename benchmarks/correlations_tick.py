"""The assets `correlations` and `incidents` as a whole, reading, computing and writing on a real PostgreSQL.

    python -m benchmarks.correlations_tick [--json] [--quick]

As many series of a metric each as three sizes say, of one tenant: four weeks of hours, the last day's minutes of all,
two weeks of five minutes of a quarter (latency), one series in five related to others; events and anomalies in
proportion. One run of each asset for the last day, as Dagster's daemon would start it, less the start of its process:
each ran before, on nothing. The reference is the goal of ten seconds.
"""

import argparse
import json
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import numpy as np
import polars as pl

from assets import signals as assets
from assets.resources import Hub
from benchmarks.report import machine, progress, seconds_of
from lah_platform.stores.embedded.ports import unused_port
from lah_platform.stores.embedded.postgres import EmbeddedPostgres
from lah_platform.stores.frames import copy_frame
from lah_platform.stores.migrations import migrate
from lah_platform.stores.postgres import Connection, connect

__all__: list[str] = []

_END = datetime(2026, 3, 30, tzinfo=UTC)
_GOAL_SECONDS = 10.0
_METRICS = ("latency_ms", "total_tokens", "cost_usd", "events")
_SUBTYPES = {"latency_ms": "latency", "total_tokens": "token_usage", "cost_usd": "token_cost", "events": "deployed"}
_EXACT = frozenset({"total_tokens", "cost_usd", "events"})
_SERIES_A_SERVICE = 40
_COPIED_SERIES = 100  # at a time: a frame of a day's minutes of them is 30 MB


def main() -> None:
    """Fill and time each size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a quarter of the sizes: under a minute")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    sizes = (125, 250, 500) if asked.quick else (500, 1000, 2000)
    print(f"correlations_tick on {machine()}")
    scores: dict[str, dict[str, float]] = {}
    for size in sizes:
        with tempfile.TemporaryDirectory() as folder:
            server = EmbeddedPostgres(Path(folder), port=unused_port())
            server.start()
            try:
                scores[f"series_{size}"] = _timed(server.url, size)
            finally:
                server.destroy()
        each = scores[f"series_{size}"]
        print(f"  {size:>5} series  " + "  ".join(f"{name} {value:9.2f}" for name, value in each.items()))
    ours = scores[f"series_{sizes[-1]}"]["tick_seconds"]
    growth = ours / scores[f"series_{sizes[0]}"]["tick_seconds"]
    print(f"  {sizes[-1] / sizes[0]:.0f} times the series: {growth:.1f} times the seconds; goal: {_GOAL_SECONDS:.0f} s")
    if asked.json:
        references = {"goal_seconds": _GOAL_SECONDS}
        ratios = {"goal_seconds": ours / _GOAL_SECONDS}
        body = {"name": "correlations_tick", "ours": ours, "references": references, "ratios": ratios, "scores": scores}
        print(json.dumps(body))


def _timed(url: str, size: int) -> dict[str, float]:
    with connect(url) as connection:
        migrate(connection)
        for asset in (assets.correlations, assets.incidents):
            _run(asset, url)
        progress(f"filling {size} series")
        _fill(connection, size)
        connection.execute("analyze")
    found: dict[str, float] = {}
    for name, asset in (("correlations", assets.correlations), ("incidents", assets.incidents)):
        progress(f"{name} of {size} series")
        found[f"{name}_seconds"] = seconds_of(lambda asset=asset: _run(asset, url))  # type: ignore[misc]
    with connect(url) as connection:
        for table in ("correlations", "incidents"):
            (found[table],) = connection.execute(f"select count(*)::float8 from {table}".encode()).fetchone() or (0.0,)
    return {"tick_seconds": found["correlations_seconds"] + found["incidents_seconds"], **found}


def _run(asset: dg.AssetsDefinition, url: str) -> None:
    day = (_END - timedelta(days=1)).date().isoformat()
    result = dg.materialize([asset], resources={"hub": Hub(database_url=url, home="")}, partition_key=day)
    if not result.success:
        raise RuntimeError(f"the run of {asset.key} failed")


def _fill(connection: Connection, size: int) -> None:
    generator = np.random.default_rng(size)
    series = _series(connection, size)
    shared = {step: generator.normal(size=(size // 10, length)) for step, length in _LENGTHS.items()}
    for begin in range(0, size, _COPIED_SERIES):
        part = series.slice(begin, _COPIED_SERIES)
        for table, (step, length) in _TABLES.items():
            rows = part.filter(pl.col("metric") == "latency_ms") if table == "rollup_5m" else part
            values = _values(generator, rows["number"].to_numpy(), shared[step])
            _copy(connection, table, rows, values[:, -length:], step)
    _fill_anomalies(connection, series, generator)
    _fill_events(connection, series)


_TABLES = {
    "rollup_1h": (timedelta(hours=1), 28 * 24),
    "rollup_5m": (timedelta(minutes=5), 15 * 288),
    "rollup_1m": (timedelta(minutes=1), 1440),
}
_LENGTHS = {step: length + 30 for step, length in _TABLES.values()}


def _series(connection: Connection, size: int) -> pl.DataFrame:
    rows = pl.DataFrame({"number": range(size)}).with_columns(
        metric=pl.Series([_METRICS[number % 4] for number in range(size)]),
        service=pl.format("service-{}", pl.col("number") // _SERIES_A_SERVICE),
        model=pl.format("model-{}", pl.col("number") // 4 % 12),
        team=pl.format("team-{}", pl.col("number")),
        tenant=pl.lit("acme"),
        event_type=pl.lit("telemetry"),
        environment=pl.lit("production"),
        region=pl.lit(""),
    )
    rows = rows.with_columns(subtype=pl.col("metric").replace_strict(_SUBTYPES))
    columns = ["tenant", "event_type", "subtype", "model", "environment", "service", "region", "team"]
    copy_frame(connection, "series", rows, columns)
    known = dict(connection.execute("select team, series_id from series").fetchall())
    return rows.with_columns(series_id=pl.col("team").replace_strict(known, return_dtype=pl.Int64))


def _values(generator: np.random.Generator, numbers: np.ndarray, shared: np.ndarray) -> np.ndarray:
    """One series in five follows one of the shared courses, some steps late."""
    values = np.exp(0.3 * generator.normal(size=(len(numbers), shared.shape[1])))
    for row, number in enumerate(numbers):
        if number % 5 == 0:
            course = shared[number % len(shared)]
            values[row] *= np.exp(0.5 * np.roll(course, number % 4))
    return np.asarray(100.0 * values)


def _copy(connection: Connection, table: str, series: pl.DataFrame, values: np.ndarray, step: timedelta) -> None:
    length = values.shape[1]
    starts = pl.datetime_range(_END - length * step, _END - step, step, time_unit="us", eager=True)
    flat = np.round(values.ravel(), 3)
    is_exact = np.isin(series["metric"].to_numpy(), list(_EXACT)).repeat(length)
    frame = pl.DataFrame(
        {
            "bucket_start": pl.concat([starts] * len(series)),
            "series_id": series["series_id"].to_numpy().repeat(length),
            "metric": pl.concat([pl.repeat(metric, length, eager=True) for metric in series["metric"]]),
            "sum": np.where(is_exact, np.nan, flat * 10),
            "sum_exact": np.where(is_exact, np.round(flat * 10, 2), np.nan),
            **dict.fromkeys(("min", "max", "mean", "p50", "p95", "p99"), flat),
        }
    ).with_columns(
        pl.col("sum", "sum_exact").fill_nan(None),
        count=10,
        m2=1.0,
        hist_keys=pl.lit("{}"),
        hist_counts=pl.lit("{}"),
        revision=1,
        computed_at=_END,
    )
    copy_frame(connection, table, frame, frame.columns)


def _fill_anomalies(connection: Connection, series: pl.DataFrame, generator: np.random.Generator) -> None:
    """Two episodes a series in two weeks, and an hour of yesterday in which a fiftieth of all are odd."""
    count = 2 * series.height
    picked = generator.integers(0, series.height, count)
    hours = generator.integers(0, 14 * 24 - 2, count)
    hours[: count // 100] = 13 * 24 + 5
    rows = series[picked].select("tenant", "series_id", "metric")
    started = pl.Series([_END - timedelta(days=14) + timedelta(hours=int(hour)) for hour in hours])
    frame = rows.with_columns(
        anomaly_id=pl.Series([f"00000000-0000-4000-9000-{number:012}" for number in range(count)]),
        window_name=pl.lit("1h"),
        anomaly_type=pl.lit("spike"),
        method=pl.lit("surprise"),
        started_at=started,
        peak_at=started,
        ended_at=started.dt.offset_by("1h"),
        score=0.7,
        baseline=100.0,
        observed=300.0,
        deviation=8.0,
        impact=pl.lit("high"),
        explanation=pl.lit("It is high."),
        detected_at=_END,
    )
    copy_frame(connection, "anomalies", frame, frame.columns)


def _fill_events(connection: Connection, series: pl.DataFrame) -> None:
    """Twenty linked events a series in two weeks, half of them children, some of them security's and governance's."""
    for day in range(15):
        connection.execute("select ensure_event_partition(%s)", [(_END - timedelta(days=14 - day)).date()])
    connection.execute(
        """
        insert into events (ts, tenant, event_id, series_id, received_at, source_module, event_type, payload_type,
                            subtype, severity, environment, schema_version, correlation_id, parent_event_id, model,
                            tags, payload, topic, partition, record_offset)
        select %(end)s::timestamptz - interval '14 days' * ((n * 7919) %% %(count)s + 0.5) / %(count)s, 'acme',
               ('00000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid,
               (select min(series_id) from series) + n %% %(size)s, %(end)s, 'module-' || n %% 4,
               kind, kind, subtype, severity::severity, 'production', '1.0.0', null,
               case when n %% 2 = 1 then ('00000000-0000-4000-8000-' || lpad((n - 1)::text, 12, '0'))::uuid end,
               null, '{}', '{}', 'lah.events', 0, n
        from generate_series(1, %(count)s) n
        cross join lateral (select
            case n %% 20 when 0 then 'security' when 1 then 'governance' else 'telemetry' end as kind,
            case n %% 20 when 0 then 'threat' when 1 then 'policy_violation' else 'error_rate' end as subtype,
            case n %% 10 when 0 then 'error' else 'info' end as severity) of_kind
        """,
        {"end": _END, "count": 20 * series.height, "size": series.height},
    )


if __name__ == "__main__":
    main()
