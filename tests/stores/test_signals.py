"""Signals on the real database: what is written is read back, and writing again replaces exactly its own period."""

import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any
from uuid import UUID

import polars as pl
import pytest
from polars.testing import assert_series_equal

from lah_platform.anomalies.detect import ANOMALY_SCHEMA
from lah_platform.anomalies.identity import anomaly_id
from lah_platform.correlations.correlate import correlate
from lah_platform.correlations.model import Correlation, CorrelationInputs, Member, correlation_id
from lah_platform.costs.price_book import PriceRow
from lah_platform.forecasts import Forecasts, forecast_with_reasons
from lah_platform.forecasts.judged import judged
from lah_platform.rollups.aggregate import ROWS_SCHEMA, aggregate_minutes, merge, with_measures
from lah_platform.rollups.windows import window
from lah_platform.stores.costs import load_price_book
from lah_platform.stores.frames import copy_frame
from lah_platform.stores.points import read_points
from lah_platform.stores.postgres import Connection, connect
from lah_platform.stores.signals import (
    read_anomalies,
    read_linked_events,
    read_unjudged_forecasts,
    read_usage,
    write_anomalies,
    write_correlations,
    write_forecasts,
    write_judged_forecasts,
)
from tests.stores.event_rows import add_event, add_series

START = datetime(2026, 3, 2, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
NOW = datetime(2026, 3, 9, tzinfo=UTC)


def anomaly_frame(*rows: tuple[int, datetime, str], window_name: str = "1h") -> pl.DataFrame:
    """Spikes of (series_id, started_at, metric), two hours long."""
    records = [
        (
            series_id,
            metric,
            window_name,
            "spike",
            "mad",
            at,
            at + HOUR,
            at + 2 * HOUR,
            0.7,
            5.0,
            None,
            4.5,
            "high",
            'a "b", c',
        )
        for series_id, at, metric in rows
    ]
    return pl.DataFrame(records, schema=ANOMALY_SCHEMA, orient="row")


def save_anomalies(connection: Connection, frame: pl.DataFrame, window_name: str = "1h") -> int:
    return write_anomalies(
        connection, frame, period_from=START, period_to=START + DAY, window=window_name, detected_at=NOW
    )


def rows_of(connection: Connection, query: str) -> list[dict[str, Any]]:
    cursor = connection.execute(query.encode())
    names = [column.name for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor]


def fill_rollup(connection: Connection, series_id: int, window_name: str, latencies: list[float]) -> pl.DataFrame:
    """Aggregates of one latency an hour and one cost an hour, stored in the window's table."""
    rows = pl.DataFrame(
        {
            "series_id": [series_id] * len(latencies),
            "ts": [START + i * HOUR / 2 for i in range(len(latencies))],
            "subtype": ["latency"] * len(latencies),
            "latency_ms": latencies,
            "cost_usd": [value / 3 for value in latencies],
        }
    )
    missing = [pl.lit(None, dtype).alias(name) for name, dtype in ROWS_SCHEMA.items() if name not in rows.columns]
    each = window(window_name)
    aggregates = with_measures(merge(aggregate_minutes(rows.with_columns(missing)), each))
    stored = aggregates.with_columns(revision=pl.lit(1), computed_at=pl.lit(NOW)).drop("avg", "stddev")
    copy_frame(connection, each.table, stored, stored.columns)
    return aggregates


@pytest.mark.parametrize("measure", ["count", "sum", "avg", "min", "max", "stddev", "p50", "p95", "p99"])
def test_points_hold_the_measure_asked_for(connection: Connection, measure: str) -> None:
    series_id = add_series(connection, tenant="acme", event_type="telemetry", subtype="latency", model="m")
    aggregates = fill_rollup(connection, series_id, "1h", [3.0, 1.5, 100.0, 7.0, 9.0])
    for metric in ("latency_ms", "cost_usd"):
        points = read_points(connection, "1h", measure, [metric], START, START + DAY).sort("bucket_start")
        wanted = aggregates.filter(pl.col("metric") == metric).sort("bucket_start")
        total = pl.coalesce(pl.col("sum_exact").cast(pl.Float64), pl.col("sum"))
        value = wanted.select(total if measure == "sum" else pl.col(measure).cast(pl.Float64)).to_series()
        assert_series_equal(points["value"], value, check_names=False, rel_tol=1e-15, abs_tol=0)
        for name in ("bucket_start", "count", "hist_keys", "hist_counts"):
            assert points[name].to_list() == wanted[name].to_list()
        assert points.select("tenant", "event_type", "subtype", "model").unique().rows() == [
            ("acme", "telemetry", "latency", "m")
        ]


def test_points_without_histograms_are_the_same_but_for_these(connection: Connection) -> None:
    fill_rollup(connection, add_series(connection), "1h", [3.0, 1.5, 100.0])
    period = (["latency_ms", "cost_usd"], START, START + DAY)
    full = read_points(connection, "1h", "avg", *period).sort("metric", "bucket_start")
    plain = read_points(connection, "1h", "avg", *period, with_histograms=False).sort("metric", "bucket_start")
    assert plain["hist_keys"].null_count() == plain["hist_counts"].null_count() == full.height == 4
    assert plain.schema == full.schema
    assert plain.drop("hist_keys", "hist_counts").equals(full.drop("hist_keys", "hist_counts"))


def test_points_come_from_the_window_the_metrics_and_the_half_open_period_asked_for(connection: Connection) -> None:
    series_id = add_series(connection)
    fill_rollup(connection, series_id, "1h", [1.0] * 10)
    fill_rollup(connection, series_id, "1mo", [1.0] * 10)
    hours = read_points(connection, "1h", "count", ["latency_ms"], START + HOUR, START + 3 * HOUR)
    assert hours["bucket_start"].sort().to_list() == [START + HOUR, START + 2 * HOUR]
    assert hours["metric"].unique().to_list() == ["latency_ms"]
    for name in ("1M", "1mo"):
        months = read_points(connection, name, "count", ["latency_ms", "cost_usd"], START.replace(day=1), NOW)
        assert months.sort("metric").select("metric", "value").rows() == [("cost_usd", 10.0), ("latency_ms", 10.0)]
    assert read_points(connection, "1m", "count", ["latency_ms"], START, NOW).is_empty()


@pytest.mark.parametrize(
    ("name", "measure"), [("1h; drop table series", "avg"), ("2h", "avg"), ("1h", "median"), ("1h", "1")]
)
def test_windows_and_measures_that_do_not_exist_are_refused(connection: Connection, name: str, measure: str) -> None:
    with pytest.raises(ValueError, match="is called"):
        read_points(connection, name, measure, ["latency_ms"], START, NOW)


def test_anomalies_are_read_back_with_their_series(connection: Connection) -> None:
    series_id = add_series(connection, tenant="globex", event_type="telemetry", subtype="latency", model="m")
    assert save_anomalies(connection, anomaly_frame((series_id, START, "latency_ms"))) == 1
    (row,) = read_anomalies(connection, START, START + DAY).to_dicts()
    assert row == {
        "anomaly_id": str(anomaly_id(series_id, "latency_ms", "1h", "spike", START)),
        "tenant": "globex",
        "series_id": series_id,
        "metric": "latency_ms",
        "window_name": "1h",
        "anomaly_type": "spike",
        "started_at": START,
        "peak_at": START + HOUR,
        "ended_at": START + 2 * HOUR,
        "score": 0.7,
        "deviation": 4.5,
        "event_type": "telemetry",
        "subtype": "latency",
        "model": "m",
    }
    (stored,) = rows_of(
        connection, "select baseline, observed, impact, method, explanation, detected_at from anomalies"
    )
    assert stored == {
        "baseline": 5.0,
        "observed": None,
        "impact": "high",
        "method": "mad",
        "explanation": 'a "b", c',
        "detected_at": NOW,
    }
    assert read_anomalies(connection, START + HOUR, START + DAY).height == 1, "it was still open in the second hour"
    assert read_anomalies(connection, START + 2 * HOUR, START + DAY).is_empty()


def test_detecting_again_replaces_the_period_of_its_window_and_nothing_else(connection: Connection) -> None:
    series_id = add_series(connection)
    save_anomalies(connection, anomaly_frame((series_id, START, "a"), (series_id, START + HOUR, "gone")))
    save_anomalies(connection, anomaly_frame((series_id, START, "other window"), window_name="1d"), "1d")
    later = anomaly_frame((series_id, START + DAY, "next day"))
    write_anomalies(connection, later, period_from=START + DAY, period_to=START + 2 * DAY, window="1h", detected_at=NOW)
    kept = rows_of(connection, "select anomaly_id from anomalies where metric = 'a'")
    again = anomaly_frame((series_id, START, "a"), (series_id, START + 5 * HOUR, "new"))
    assert save_anomalies(connection, again) == 2
    assert rows_of(connection, "select anomaly_id from anomalies where metric = 'a'") == kept
    metrics = [row["metric"] for row in rows_of(connection, "select metric from anomalies order by metric")]
    assert metrics == ["a", "new", "next day", "other window"]
    assert save_anomalies(connection, anomaly_frame()) == 0
    metrics = [row["metric"] for row in rows_of(connection, "select metric from anomalies order by metric")]
    assert metrics == ["next day", "other window"]


def test_episodes_are_written_when_they_touch_the_period_and_only_then(connection: Connection) -> None:
    series_id = add_series(connection)
    frame = anomaly_frame(*((series_id, START + hours * HOUR, f"{hours}") for hours in (-2, -1, 0, 23, 24)))
    assert save_anomalies(connection, frame) == 3
    assert sorted(read_anomalies(connection, START - DAY, START + 2 * DAY)["metric"]) == ["-1", "0", "23"]


def forecasts_of(series_id: int, metric: str, values: list[float], *, start: datetime = START) -> Forecasts:
    points = pl.DataFrame(
        {
            "series_id": [series_id] * len(values),
            "metric": [metric] * len(values),
            "bucket_start": [start + i * HOUR for i in range(len(values))],
            "value": values,
        },
        schema_overrides={"bucket_start": pl.Datetime("us", "UTC")},
    )
    return forecast_with_reasons(points, step=HOUR, horizon=3)


def save_forecasts(connection: Connection, made: Forecasts, *, window: str = "1h", at: datetime = NOW) -> int:
    return write_forecasts(connection, made.frame, made.models, window=window, computed_at=at)


def test_forecasts_are_stored_to_the_last_bit_with_their_tenant(connection: Connection) -> None:
    series_id = add_series(connection, tenant="globex")
    made = forecasts_of(series_id, "cost_usd", [0.1, 1 / 3, 2.7e-9, 5.0, 1e9 / 7])
    assert save_forecasts(connection, made) == 3
    stored = rows_of(connection, "select * from forecasts order by target_start")
    extra = {"tenant": "globex", "window_name": "1h", "computed_at": NOW}
    assert stored == [row | extra for row in made.frame.sort("target_start").to_dicts()]
    (model,) = rows_of(connection, "select * from forecast_models")
    (told,) = made.models.to_dicts()
    assert model["judged_buckets"] == 0
    assert model == model | told | extra | {"weights": json.loads(told["weights"])}


def test_forecasting_again_replaces_the_same_origin_and_keeps_the_others(connection: Connection) -> None:
    series_id, other_id = add_series(connection, model="a"), add_series(connection, model="b")
    rising = [float(5 + i + (i * 7) % 5) for i in range(30)]
    save_forecasts(connection, forecasts_of(series_id, "events", rising))
    save_forecasts(connection, forecasts_of(series_id, "events", rising), window="1d")
    save_forecasts(connection, forecasts_of(series_id, "cost_usd", rising))
    save_forecasts(connection, forecasts_of(other_id, "events", rising))
    assert save_forecasts(connection, forecasts_of(series_id, "events", [7.0] * 30), at=NOW + HOUR) == 3
    assert save_forecasts(connection, forecasts_of(series_id, "events", [7.0] * 31), at=NOW + 2 * HOUR) == 3
    counted = rows_of(
        connection,
        "select series_id, metric, window_name, count(*) as rows, count(distinct trained_through) as origins,"
        " min(value) = max(value) as is_flat from forecasts group by 1, 2, 3",
    )
    assert {(r["series_id"], r["metric"], r["window_name"]): (r["rows"], r["origins"]) for r in counted} == {
        (series_id, "events", "1h"): (6, 2),
        (series_id, "events", "1d"): (3, 1),
        (series_id, "cost_usd", "1h"): (3, 1),
        (other_id, "events", "1h"): (3, 1),
    }
    assert {r["series_id"] for r in counted if r["is_flat"]} == {series_id}
    assert len(rows_of(connection, "select from forecast_models")) == 5
    made = forecasts_of(series_id, "events", rising)
    nothing = Forecasts(made.frame.clear(), made.models.clear(), made.not_fitted)
    assert save_forecasts(connection, nothing) == 0
    assert len(rows_of(connection, "select from forecasts")) == 15


def test_after_an_upgrade_nothing_of_the_old_method_is_still_to_come(connection: Connection) -> None:
    """Also of a series that the new run left out; what has come about stays, to be judged, as do other metrics."""
    series_id, left_out = add_series(connection, model="a"), add_series(connection, model="b")
    by_old, later = pl.lit("combination_0"), START + 33 * HOUR
    for each, metric in ((series_id, "events"), (left_out, "events"), (left_out, "cost_usd")):
        made = forecasts_of(each, metric, [7.0] * 30)
        old = Forecasts(
            made.frame.with_columns(method=by_old), made.models.with_columns(method=by_old), made.not_fitted
        )
        save_forecasts(connection, old, at=START + 30 * HOUR)
    save_forecasts(connection, forecasts_of(series_id, "events", [7.0] * 31), at=START + 31 * HOUR)
    stored = rows_of(connection, "select series_id, metric, method, target_start from forecasts")
    assert {r["method"] for r in stored if r["metric"] == "cost_usd"} == {"combination_0"}
    kept = {
        (r["series_id"], r["target_start"]) for r in stored if (r["method"], r["metric"]) == ("combination_0", "events")
    }
    assert kept == {(each, START + hours * HOUR) for each in (series_id, left_out) for hours in (30, 31)}
    assert len(rows_of(connection, "select from forecast_models")) == 4
    assert later - HOUR in {r["target_start"] for r in stored if r["method"] != "combination_0"}


def test_forecasts_are_forgotten_after_45_days_and_how_they_came_out_is_not(connection: Connection) -> None:
    series_id = add_series(connection)
    save_forecasts(connection, forecasts_of(series_id, "events", [7.0] * 30))
    late = START + 60 * DAY
    save_forecasts(connection, forecasts_of(series_id, "events", [7.0] * 30, start=late), at=late + 2 * DAY)
    assert len(rows_of(connection, "select from forecasts")) == 3
    assert len(rows_of(connection, "select from forecast_models")) == 2


def test_what_was_forecast_is_judged_until_all_of_it_has_come_about(connection: Connection) -> None:
    series_id = add_series(connection)
    made = forecasts_of(series_id, "events", [7.0] * 30)
    save_forecasts(connection, made)
    end = START + 30 * HOUR
    came = pl.DataFrame(
        [(series_id, "events", end + i * HOUR, 14.0) for i in range(3)],
        schema={
            "series_id": pl.Int64,
            "metric": pl.String,
            "bucket_start": pl.Datetime("us", "UTC"),
            "value": pl.Float64,
        },
        orient="row",
    )
    for hours in (2, 3):
        until = end + hours * HOUR
        earlier = read_unjudged_forecasts(connection, "1h", ["events"], START, until)
        found = judged(earlier, came, until=until, gap="zero")
        assert write_judged_forecasts(connection, found, window="1h", judged_at=until) == 1
        (model,) = rows_of(connection, "select judged_buckets, wape, coverage_95, judged_at from forecast_models")
        assert model == {"judged_buckets": hours, "wape": 0.5, "coverage_95": 0.0, "judged_at": until}
    assert read_unjudged_forecasts(connection, "1h", ["events"], START, end + 3 * HOUR).is_empty()
    assert read_unjudged_forecasts(connection, "1h", ["latency_ms"], START, end).is_empty()


def correlation(name: str, at: datetime, *, explanation: str = "together") -> Correlation:
    members = (
        Member("contributor", "anomaly", name, "latency_ms", at),
        Member("related", "series", "7", "", at + HOUR),
        Member("effect", "event", str(UUID(int=1)), "", at + HOUR),
    )
    return Correlation(
        correlation_id=correlation_id("anomaly", "acme", members[:1]),
        tenant="acme",
        correlation_type="anomaly",
        started_at=at,
        ended_at=at + HOUR,
        strength=1 / 3,
        confidence=0.95,
        explanation=explanation,
        members=members,
        evidence={"lag_seconds": 3600.0, "drivers": "tokens", "nothing": None},
    )


def save_correlations(connection: Connection, *found: Correlation, first: datetime = START, days: int = 1) -> int:
    return write_correlations(connection, found, period_from=first, period_to=first + days * DAY, detected_at=NOW)


def stored_correlations(connection: Connection) -> list[Correlation]:
    members = rows_of(connection, "select * from correlation_members order by correlation_id, position")
    return [
        Correlation(
            **{name: value for name, value in row.items() if name != "detected_at"},
            members=tuple(
                Member(*(m[name] for name in ("role", "member_type", "member_id", "metric", "at")))
                for m in members
                if m["correlation_id"] == row["correlation_id"]
            ),
        )
        for row in rows_of(connection, "select * from correlations order by started_at")
    ]


def test_correlations_are_read_back_with_their_members_in_order(connection: Connection) -> None:
    found = [correlation("a", START), correlation("b", START + HOUR)]
    assert save_correlations(connection, *found) == 2
    assert stored_correlations(connection) == found


def test_correlating_again_replaces_the_period_and_leaves_no_member_behind(connection: Connection) -> None:
    tomorrow = correlation("c", START + DAY)
    save_correlations(connection, tomorrow, first=START + DAY)
    save_correlations(connection, correlation("a", START), correlation("b", START))
    again = [correlation("a", START, explanation="seen again"), correlation("late", START + 2 * DAY)]
    assert save_correlations(connection, *again) == 1
    assert stored_correlations(connection) == [again[0], tomorrow]


def test_a_correlation_found_from_a_later_start_replaces_the_one_of_the_same_id(connection: Connection) -> None:
    """Two series that move together keep their id while the period that is looked at moves on."""
    save_correlations(connection, correlation("pair", START), first=START, days=5)
    moved = correlation("pair", START + 2 * DAY)
    assert save_correlations(connection, moved, first=START + 2 * DAY, days=5) == 1
    assert stored_correlations(connection) == [moved]


def test_linked_events_and_anomalies_are_what_correlating_takes(connection: Connection) -> None:
    violation = {"payload_type": "governance", "event_type": "governance", "subtype": "policy_violation"}
    series_id = add_series(connection, event_type="governance", subtype="policy_violation")
    first = add_event(
        connection, 1, START, severity="error", payload='{"resource_id": "db"}', series_id=series_id, **violation
    )
    child = add_event(connection, 2, START + HOUR, parent_event_id=first, correlation_id=UUID(int=9), **violation)
    add_event(connection, 3, START + HOUR, model="m")
    add_event(connection, 4, START + DAY, **violation)
    events = read_linked_events(connection, START, START + DAY).sort("ts")
    assert events["event_id"].to_list() == [str(first), str(child)]
    assert events.row(0, named=True) == {
        "event_id": str(first),
        "ts": START,
        "tenant": "acme",
        "event_type": "governance",
        "subtype": "policy_violation",
        "severity": "error",
        "correlation_id": None,
        "parent_event_id": None,
        "series_id": series_id,
        "resource": "db",
        "lineage": None,
        "source_module": events["source_module"][0],
    }
    points = read_points(connection, "1h", "count", ["events"], START, START + DAY)
    report = correlate(CorrelationInputs(events, read_anomalies(connection, START, START + DAY), points))
    assert [each.correlation_type for each in report] == ["causal_chain", "compliance_cascade"]
    assert save_correlations(connection, *report) == 2


@pytest.mark.parametrize(
    ("payload", "path"),
    [
        ({"lineage_path": ["raw", "clean"], "source": "raw", "destination": "clean"}, ["raw", "raw", "clean", "clean"]),
        ({"data_asset_id": "ds", "source": "raw", "destination": "out", "lineage_path": []}, ["raw", "ds", "out"]),
        ({"data_asset_id": "b", "lineage_path": ["a", "b"]}, ["a", "b"]),
        ({"data_asset_id": "b", "lineage_path": "a"}, None),
    ],
)
def test_lineage_events_tell_the_way_data_went(
    connection: Connection, payload: dict[str, Any], path: list[str] | None
) -> None:
    kind = {"payload_type": "governance", "event_type": "governance", "subtype": "data_lineage"}
    add_event(connection, 1, START, payload=json.dumps(payload), **kind)
    (row,) = read_linked_events(connection, START, START + DAY).rows(named=True)
    assert (row["lineage"], row["resource"]) == (path, payload.get("data_asset_id"))


def test_what_requests_used_is_summed_by_hour_service_and_model_with_the_prices_of_that_hour(
    connection: Connection,
) -> None:
    load_price_book(connection, [price("m", START), price("m", START + 2 * HOUR, dearer=2)])
    series_id = add_series(connection, model="m", service="chat")
    split = {"input_fresh_tokens": 10, "input_cache_read_tokens": 90, "output_visible_tokens": 4}
    for number, (minutes, tokens, usd) in enumerate(
        [(0, split, "0.000000000001"), (59, {"input_tokens": 7, "output_tokens": 2}, "0.5"), (120, split, "1")]
    ):
        at = START + timedelta(minutes=minutes)
        add_event(connection, number + 1, at, series_id=series_id, model="m", cost_usd=Decimal(usd), **tokens)
    add_event(connection, 8, START + HOUR, series_id=series_id, model="m", cost_usd=Decimal(9))  # between the spans
    error = {"payload_type": "telemetry", "event_type": "telemetry", "subtype": "error_rate"}
    failing = add_series(connection, event_type="telemetry", subtype="error_rate", model="m", service="chat")
    add_event(connection, 9, START, series_id=failing, failed_requests=3, total_requests=5, **error)
    rival = add_series(connection, tenant="rival", model="m")
    add_event(connection, 10, START, tenant="rival", series_id=rival, cost_usd=Decimal(7))
    spans = [(START, START + HOUR), (START + 2 * HOUR, START + 3 * HOUR)]
    first, last = read_usage(connection, "acme", spans).sort("at").iter_rows(named=True)
    assert (first["at"], first["service"], first["model"], first["requests"]) == (START, "chat", "m", 2)
    counted = ("fresh_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens", "failed_requests")
    assert [first[name] for name in counted] == [17, 90, 0, 6, 3]
    assert Decimal(first["usd"]) == Decimal("0.500000000001")
    prices = ("fresh_price", "cache_read_price", "cache_write_price", "output_price")
    assert [Decimal(first[name]) * 1_000_000 for name in prices] == [3, Decimal("0.3"), 3, 15]
    assert Decimal(last["fresh_price"]) == 2 * Decimal(first["fresh_price"])


def test_a_lost_cache_among_stored_requests_is_what_the_cost_was_for(connection: Connection) -> None:
    load_price_book(connection, [price("m", START, lasts=30 * DAY)])
    series_id, odd = add_series(connection, model="m", service="chat"), START + 7 * DAY
    for days in range(8):
        is_odd = START + days * DAY == odd
        fresh, cached = (100_000, 0) if is_odd else (10_000, 90_000)
        usd = (Decimal(fresh) * 3 + Decimal(cached) * Decimal("0.3") + 1_000 * 15) / 1_000_000
        tokens = {"input_fresh_tokens": fresh, "input_cache_read_tokens": cached, "output_visible_tokens": 1_000}
        at = START + days * DAY + timedelta(minutes=5)
        add_event(connection, days + 1, at, series_id=series_id, model="m", cost_usd=usd, **tokens)
    connection.execute(
        "insert into anomalies values (%s, 'acme', %s, 'cost_usd', '1h', 'spike', 'mad', %s, %s, %s, 0.9, 1, 2, 9,"
        " 'high', 'It is dear.', %s)",
        [UUID(int=1), series_id, odd, odd, odd + HOUR, odd],
    )
    period = (START, odd + DAY)
    frames = read_linked_events(connection, *period), read_anomalies(connection, *period)
    points = read_points(connection, "1h", "sum", ["cost_usd"], *period)
    (found,) = correlate(CorrelationInputs(*frames, points, *period, usage=partial(read_usage, connection)))
    assert (found.correlation_type, found.evidence["main_cause"]) == ("cost_impact", "cache")
    assert found.evidence["cost_usd"] == found.evidence["cache_usd"] == 0.243
    assert (found.evidence["usual_cache_read_share"], found.evidence["cache_read_share"]) == (0.9, 0.0)


def price(model: str, since: datetime, dearer: int = 1, lasts: timedelta = 2 * HOUR) -> PriceRow:
    return PriceRow(
        model=model,
        provider="p",
        valid_from=since,
        valid_to=since + lasts,
        input_usd_per_mtok=Decimal(3 * dearer),
        cache_read_usd_per_mtok=Decimal("0.3") * dearer,
        cache_write_usd_per_mtok=None,
        output_usd_per_mtok=Decimal(15 * dearer),
        source="test",
    )


@pytest.mark.parametrize(
    "write",
    [
        lambda c: save_anomalies(c, anomaly_frame((1, START, "a"))),
        lambda c: save_correlations(c, correlation("a", START)),
        lambda c: save_forecasts(c, forecasts_of(1, "events", [1.0, 2.0, 3.0])),
    ],
)
def test_writing_the_same_period_twice_at_once_succeeds_twice(
    connection: Connection, database: str, write: Callable[[Connection], int]
) -> None:
    assert add_series(connection) == 1
    failures: list[BaseException] = []

    def run() -> None:
        try:
            with connect(database) as other:
                for _ in range(10):
                    write(other)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_an_episode_that_was_open_yesterday_is_one_row_that_has_grown_today(connection: Connection) -> None:
    series_id = add_series(connection)
    began = START - 3 * HOUR
    yesterday = anomaly_frame((series_id, began, "latency_ms"))  # two hours long as of yesterday
    assert (
        write_anomalies(connection, yesterday, period_from=START - DAY, period_to=START, window="1h", detected_at=START)
        == 1
    )
    today = yesterday.with_columns(ended_at=pl.lit(START + 5 * HOUR).cast(yesterday.schema["ended_at"]))
    assert save_anomalies(connection, today) == 1
    assert rows_of(connection, "select started_at, ended_at from anomalies") == [
        {"started_at": began, "ended_at": START + 5 * HOUR}
    ]
