"""Rollups: whatever the batches, their order and the way upward, the tables equal a naive recomputation."""

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lah_platform.rollups.aggregate import AGGREGATE_SCHEMA, ROWS_SCHEMA, aggregate_minutes, merge, with_measures
from lah_platform.rollups.metrics import MAX_MAGNITUDE, MEASURES, METRICS, metric
from lah_platform.rollups.series import OTHER, SeriesKey, overflow_key
from lah_platform.rollups.windows import WINDOWS, window

from . import naive

Row = dict[str, Any]
# the turn of a year that is inside a week, with a leap day's month in reach
MIDNIGHT = datetime(2025, 1, 1, tzinfo=UTC)
OFFSETS_US = st.one_of(
    st.integers(-3_000_000, 3_000_000),
    st.integers(-(10**9), 10**9),
    st.integers(-40 * 86_400_000_000, 70 * 86_400_000_000),
)
MAGNITUDES = st.one_of(
    st.just(0.0),
    st.sampled_from([0.1, 1.0, 42.5, 1e9]),
    st.floats(1e-3, 1e4),
    st.floats(-1e4, -1e-3),
    st.integers(-140, 140)
    .flatmap(lambda e: st.floats(1.0, 9.9).map(lambda m: m * 10.0**e))
    .filter(lambda value: value <= MAX_MAGNITUDE),
    st.floats(-1e-300, 1e-300),
)
COUNTS = st.one_of(st.integers(0, 10), st.integers(0, 10**6), st.integers(0, 2**62))
MONEY = st.one_of(
    st.decimals(Decimal(0), Decimal(1), places=12), st.decimals(-(10**15), 10**15, places=12), st.just(Decimal(0))
)
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "series_id": st.integers(1, 2),
            "ts": OFFSETS_US.map(lambda us: MIDNIGHT + timedelta(microseconds=us)),
            "subtype": st.sampled_from(["latency", "token_usage", "token_cost"]),
        },
        optional={
            "latency_ms": MAGNITUDES,
            "score": MAGNITUDES,
            "requests_per_second": MAGNITUDES,
            "total_requests": COUNTS,
            "input_tokens": COUNTS,
            "cost_usd": MONEY,
        },
    ),
    max_size=25,
)


def as_rows(rows: list[Row]) -> pl.DataFrame:
    return pl.DataFrame([{name: row.get(name) for name in ROWS_SCHEMA} for row in rows], schema=ROWS_SCHEMA)


def of_one_metric(name: str, values: list[Any], every: timedelta = timedelta(0)) -> list[Row]:
    return [
        {"series_id": 1, "ts": MIDNIGHT + n * every, "subtype": "token_usage", name: value}
        for n, value in enumerate(values)
    ]


def all_levels(partials: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """Each window merged from its source, as the tick does."""
    levels: dict[str, pl.DataFrame] = {}
    for size in WINDOWS:
        levels[size.name] = merge(levels[size.source.name] if size.source else partials, size)
    return levels


def assert_equals_naive(aggregates: pl.DataFrame, rows: list[Row], name: str) -> None:
    expected = naive.recompute(rows, name)
    found = {
        (row["series_id"], row["metric"], row["bucket_start"]): row
        for row in with_measures(aggregates).iter_rows(named=True)
    }
    assert len(found) == aggregates.height
    assert found.keys() == expected.keys()
    for group, values in expected.items():
        assert_measures(found[group], values, is_exact=group[1] in naive.EXACT)


def assert_measures(row: Row, values: naive.Values, *, is_exact: bool) -> None:
    assert (row["count"], row["min"], row["max"]) == (values.count, values.min, values.max)
    if is_exact:
        assert row["sum"] is None
        assert Fraction(row["sum_exact"]) == values.sum
    else:
        assert row["sum_exact"] is None
        assert abs(Fraction(row["sum"]) - values.sum) <= values.magnitudes * Fraction(1, 10**12)
    largest = max(abs(values.min), abs(values.max))
    assert abs(row["avg"] - float(values.avg)) <= 1e-14 * largest
    if values.stddev is None:
        assert row["stddev"] is None
    elif values.min == values.max:
        assert row["stddev"] == 0.0
    else:
        # below a millionth of the values the doubles of the means themselves are the limit
        floor = 1e-9 * 1e-6 * largest if values.stddev < 1e-6 * largest else 0.0
        # squares of smaller differences are no doubles
        assert abs(row["stddev"] - values.stddev) <= 1e-9 * values.stddev + floor + 1e-150
    for percent in (50, 95, 99):
        exact = float(values.percentile(percent))
        assert abs(row[f"p{percent}"] - exact) <= 0.0109 * abs(exact) + 1e-9 * abs(exact) + 5e-324
        assert row["min"] <= row[f"p{percent}"] <= row["max"]


@settings(max_examples=40, deadline=None)
@given(ROWS, st.lists(st.integers(0, 25), max_size=4), st.randoms(use_true_random=False))
@example([], [], random.Random(0))
def test_any_batching_in_any_order_merged_upward_equals_a_naive_recomputation(
    rows: list[Row], cuts: list[int], shuffle: random.Random
) -> None:
    arrived = list(rows)
    shuffle.shuffle(arrived)
    bounds = [0, *sorted(cuts), len(arrived)]
    batches = [arrived[start:end] for start, end in pairwise(bounds)]
    partials = pl.concat([aggregate_minutes(as_rows(batch)) for batch in batches])
    for name, aggregates in all_levels(partials).items():
        assert_equals_naive(aggregates, rows, name)


@settings(max_examples=20, deadline=None)
@given(ROWS)
def test_eight_levels_are_no_worse_than_one(rows: list[Row]) -> None:
    minutes = aggregate_minutes(as_rows(rows))
    lasting = ["series_id", "metric", "bucket_start", "count", "sum_exact", "min", "max", "hist_keys", "hist_counts"]
    for name, aggregates in all_levels(minutes).items():
        at_once = merge(minutes, window(name))
        assert aggregates.select(lasting).equals(at_once.select(lasting))
        percentiles = [*lasting, "p50", "p95", "p99"]
        assert with_measures(aggregates).select(percentiles).equals(with_measures(at_once).select(percentiles))


@settings(max_examples=20, deadline=None)
@given(ROWS, ROWS)
def test_a_late_delta_merged_into_stored_rows_equals_recomputing_them(early: list[Row], late: list[Row]) -> None:
    stored, delta = all_levels(aggregate_minutes(as_rows(early))), all_levels(aggregate_minutes(as_rows(late)))
    for size in WINDOWS:
        updated = merge(pl.concat([stored[size.name], delta[size.name]]), size)
        assert_equals_naive(updated, early + late, size.name)


@settings(max_examples=20, deadline=None)
@given(ROWS, st.randoms(use_true_random=False))
def test_the_order_of_arrival_does_not_show_in_the_result(rows: list[Row], shuffle: random.Random) -> None:
    arrived = list(rows)
    shuffle.shuffle(arrived)
    exact = pl.all().exclude("sum", "mean", "m2")
    a, b = aggregate_minutes(as_rows(rows)), aggregate_minutes(as_rows(arrived))
    assert a.select(exact).equals(b.select(exact))
    assert a.equals(a.sort("series_id", "metric", "bucket_start"))


def _noise(seed: random.Random) -> list[float]:
    return [1e9 + seed.gauss(0, 1e3) for _ in range(600)]


def _heavy_tail(seed: random.Random) -> list[float]:
    return [seed.paretovariate(0.7) for _ in range(600)]


def _mostly_zero(seed: random.Random) -> list[float]:
    return [seed.choice([0.0] * 19 + [seed.uniform(-5, 5)]) for _ in range(600)]


def _negative(seed: random.Random) -> list[float]:
    return [-seed.lognormvariate(3, 2) for _ in range(600)]


@pytest.mark.parametrize("shape", [_noise, _heavy_tail, _mostly_zero, _negative])
@pytest.mark.parametrize("every", [timedelta(0), timedelta(seconds=7), timedelta(minutes=19)], ids=str)
def test_awkward_distributions_keep_their_promises(
    shape: Callable[[random.Random], list[float]], every: timedelta
) -> None:
    rows = of_one_metric("latency_ms", shape(random.Random(7)), every)
    for name, aggregates in all_levels(aggregate_minutes(as_rows(rows))).items():
        assert_equals_naive(aggregates, rows, name)


@pytest.mark.parametrize("value", [0.1, 0.0, -7.3, 1e9 + 1 / 3, 1e-200])
def test_a_constant_has_itself_as_mean_and_no_deviation(value: float) -> None:
    rows = of_one_metric("latency_ms", [value] * 1237, timedelta(seconds=11))
    for aggregates in all_levels(aggregate_minutes(as_rows(rows))).values():
        measured = with_measures(aggregates.filter(pl.col("metric") == "latency_ms"))
        assert measured.get_column("avg").unique().to_list() == [value]
        assert measured.filter(pl.col("count") > 1).get_column("stddev").unique().to_list() == [0.0]


def test_a_million_values_of_one_minute_do_not_drift() -> None:
    # one after the other, a million times 0.1 is off by 9e-12 of the sum; so is a mean made of it
    missing = [pl.lit(None, dtype).alias(name) for name, dtype in ROWS_SCHEMA.items() if name not in ("score", "ts")]
    half = 500_000
    for low, high in ((0.1, 0.1), (1e9 - 1, 1e9 + 1)):
        rows = pl.DataFrame({"score": [low, high] * half}).select("score", *missing, ts=pl.lit(MIDNIGHT))
        minutes = aggregate_minutes(rows.with_columns(series_id=pl.lit(1, pl.Int64)))
        row = with_measures(minutes.filter(pl.col("metric") == "score")).row(0, named=True)
        exact = half * (Fraction(low) + Fraction(high))
        assert abs(Fraction(row["sum"]) - exact) <= exact / 10**12
        assert row["avg"] == pytest.approx((low + high) / 2, rel=1e-15)
        assert row["stddev"] == pytest.approx((high - low) / 2 * (2 * half / (2 * half - 1)) ** 0.5, rel=1e-9, abs=0.0)


def test_the_extremes_of_money_are_the_nearest_doubles() -> None:
    # above 9007 a twelfth decimal place is beyond 2^53, and a quarter of polars' own casts are one off
    digits = random.Random(11)
    money = [Decimal(digits.randrange(-(10**27), 10**27)).scaleb(-12) for _ in range(60)]
    rows = of_one_metric("cost_usd", money, timedelta(minutes=1))
    assert_equals_naive(aggregate_minutes(as_rows(rows)), rows, "1m")


def test_money_and_tokens_add_up_to_the_last_digit() -> None:
    money = [Decimal("9999999999999999.999999999999"), Decimal("0.000000000001"), Decimal("-0.1")]
    month = all_levels(aggregate_minutes(as_rows(of_one_metric("cost_usd", money, timedelta(hours=5)))))["1M"]
    assert month.filter(pl.col("metric") == "cost_usd").get_column("sum_exact").to_list() == [sum(money)]
    tokens = [2**62, 2**62, 2**62 + 1, 1]
    month = all_levels(aggregate_minutes(as_rows(of_one_metric("input_tokens", tokens, timedelta(hours=5)))))["1M"]
    assert month.filter(pl.col("metric") == "input_tokens").get_column("sum_exact").to_list() == [sum(tokens)]


def test_tokens_that_a_cost_event_repeats_are_counted_once() -> None:
    request = {"series_id": 1, "ts": MIDNIGHT, "input_tokens": 100, "output_tokens": 20, "total_tokens": 120}
    rows = [request | {"subtype": "token_usage"}, request | {"subtype": "token_cost", "cost_usd": Decimal("0.02")}]
    sums = dict(aggregate_minutes(as_rows(rows)).select("metric", "sum_exact").iter_rows())
    assert sums == {
        "events": 2,
        "input_tokens": 100,
        "output_tokens": 20,
        "total_tokens": 120,
        "cost_usd": Decimal("0.02"),
    }


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), 1.1e140, -1.7e308])
@pytest.mark.parametrize("name", sorted(naive.FLOAT))
def test_a_value_whose_moments_no_double_holds_is_refused_by_name(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{name} holds NaN, an infinity or a value beyond"):
        aggregate_minutes(as_rows(of_one_metric(name, [1.0, value])))


def test_the_largest_allowed_values_keep_finite_measures() -> None:
    rows = of_one_metric("score", [MAX_MAGNITUDE, -MAX_MAGNITUDE, 0.0], timedelta(hours=1))
    for name, aggregates in all_levels(aggregate_minutes(as_rows(rows))).items():
        assert_equals_naive(aggregates, rows, name)


def test_exact_and_rounded_sums_of_one_metric_are_not_mixed() -> None:
    exact = aggregate_minutes(as_rows(of_one_metric("input_tokens", [5])))
    rounded = exact.with_columns(sum=pl.lit(5.0), sum_exact=pl.lit(None, AGGREGATE_SCHEMA["sum_exact"]))
    with pytest.raises(ValueError, match="recompute the bucket from its events"):
        merge(pl.concat([exact, rounded]), window("1h"))


def test_nothing_in_nothing_out() -> None:
    empty = aggregate_minutes(as_rows([]))
    assert empty.is_empty()
    assert empty.schema == AGGREGATE_SCHEMA
    for aggregates in all_levels(empty).values():
        assert aggregates.is_empty()
        assert aggregates.schema == AGGREGATE_SCHEMA
    assert with_measures(empty).columns == [*AGGREGATE_SCHEMA, "avg", "stddev", "p50", "p95", "p99"]


def test_the_result_has_the_columns_of_the_table_of_partials() -> None:
    rows = as_rows(of_one_metric("latency_ms", [1.0, 2.0]))
    assert aggregate_minutes(rows).schema == AGGREGATE_SCHEMA
    assert merge(aggregate_minutes(rows), window("1d")).schema == AGGREGATE_SCHEMA


def test_the_registry_and_the_oracle_know_the_same_metrics() -> None:
    assert {known.name for known in METRICS if known.is_exact} == naive.EXACT
    assert {known.name for known in METRICS if not known.is_exact} == naive.FLOAT
    assert {known.name for known in METRICS if known.subtype} == naive.ONLY_FROM_TOKEN_USAGE
    assert all(metric(known.name) is known and known.unit and known.description for known in METRICS)
    assert tuple(MEASURES) == ("count", "sum", "avg", "min", "max", "stddev", "p50", "p95", "p99")


def test_an_unknown_metric_is_refused_with_the_names_that_exist() -> None:
    with pytest.raises(ValueError, match="use one of events, latency_ms, "):
        metric("latency")


def test_combinations_beyond_the_limit_share_one_series_of_their_tenant() -> None:
    assert overflow_key("acme") == SeriesKey("acme", *[OTHER] * 9, tags="{}")
    assert overflow_key("acme") != overflow_key("globex")
