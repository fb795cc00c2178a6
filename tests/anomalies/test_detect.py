"""What a user sees: which episodes are told for which series."""

from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest

from lah_platform.anomalies import ANOMALY_SCHEMA, DEFAULT, detect, impact_level, score01

from .points import HOUR, MONDAY, noise, points, working_day


def found(frame: pl.DataFrame, *, until: datetime | None = None, step: timedelta = HOUR) -> pl.DataFrame:
    return detect(frame, window="1h", step=step, until=until)


def types(frame: pl.DataFrame) -> list[str]:
    return frame["anomaly_type"].to_list()


@pytest.mark.parametrize(("anomaly_type", "values"), [("spike", [180, 240, 170]), ("drop", [40, 10, 60])])
def test_a_spike_or_drop_is_one_episode_with_start_peak_and_end(anomaly_type: str, values: list[float]) -> None:
    series = noise(1, 100)
    series[60:63] = values
    (row,) = found(points(series)).rows(named=True)
    assert (row["anomaly_type"], row["metric"], row["window_name"]) == (anomaly_type, "latency_ms", "1h")
    assert row["started_at"] == MONDAY + 60 * HOUR
    assert row["peak_at"] == MONDAY + 61 * HOUR
    assert row["ended_at"] == MONDAY + 63 * HOUR
    assert row["observed"] == values[1]
    assert row["baseline"] == pytest.approx(100, abs=3)
    assert np.sign(row["deviation"]) == (1 if anomaly_type == "spike" else -1)
    assert row["method"] == "zscore+mad+iqr"
    assert row["score"] == score01(row["deviation"], DEFAULT.enter)
    assert row["impact"] == impact_level(row["score"])
    assert row["explanation"].endswith(".")
    assert "3 buckets" in row["explanation"]


def test_a_robust_majority_sees_the_second_outlier_that_a_z_score_is_blind_to() -> None:
    series = noise(2, 100)
    series[40] = 5000.0
    series[70] = 180.0
    methods = dict(found(points(series)).select("peak_at", "method").rows())
    assert methods[MONDAY + 70 * HOUR] == "mad+iqr"


def test_alarms_a_few_quiet_buckets_apart_are_one_episode() -> None:
    series = noise(3, 100)
    series[60] = series[63] = 200.0
    (row,) = found(points(series)).rows(named=True)
    assert (row["started_at"], row["ended_at"]) == (MONDAY + 60 * HOUR, MONDAY + 64 * HOUR)


def test_soon_after_an_alarm_only_what_is_more_surprising_is_one_of_its_own() -> None:
    series = noise(3, 160)
    series[60] = 200.0
    series[66] = 200.5
    assert found(points(series)).height == 1
    series[66] = 900.0
    assert found(points(series))["started_at"].to_list() == [MONDAY + 60 * HOUR, MONDAY + 66 * HOUR]


def test_a_flat_series_is_no_reason_to_report_a_wiggle() -> None:
    flat = [100.0] * 60
    assert found(points([*flat, 101.0, 100.0, 98.0, 103.0])).is_empty()
    assert types(found(points([*flat, 150.0]))) == ["spike"]
    zeros = [0.0] * 60
    assert found(points([*zeros, 2.0, 0.0, 1.0], metric="failed_requests")).is_empty()
    assert types(found(points([*zeros, 40.0], metric="failed_requests"))) == ["spike"]


def test_a_series_is_not_judged_before_it_has_its_history() -> None:
    rng = np.random.default_rng(4)
    wild = rng.choice([1.0, 1e6], DEFAULT.min_history + 1).tolist()
    counts = rng.choice([0, 10**6], DEFAULT.min_history + 1).tolist()
    samples = [rng.lognormal(rng.normal(0, 5), 1, 50) for _ in wild]
    frame = points(wild[:-1], counts=counts, samples=samples)
    assert found(frame, until=MONDAY + 500 * HOUR).filter(pl.col("anomaly_type") != "frequency_anomaly").is_empty()
    assert found(frame).is_empty()
    steady = [100.0] * DEFAULT.min_history
    assert found(points([*steady[1:], 900.0])).is_empty()
    assert types(found(points([*steady, 900.0]))) == ["spike"]


def test_the_daily_rise_stops_being_a_spike_once_three_days_are_known() -> None:
    # at five-minute buckets the baseline of 14 hours sees nothing but night before every morning
    step = timedelta(minutes=5)
    series = working_day(5, 8, step=step)
    told = found(points(series, step=step), step=step)
    assert set(told.filter(pl.col("started_at") < MONDAY + timedelta(days=3))["anomaly_type"]) == {"spike"}
    assert told.filter(pl.col("started_at") >= MONDAY + timedelta(days=4)).is_empty()


def test_a_day_time_level_in_the_night_deviates_from_the_pattern() -> None:
    series = working_day(6, 10)
    series[8 * 24 + 2] = series[8 * 24 + 3] = 200.0
    (row,) = found(points(series)).rows(named=True)
    assert (row["anomaly_type"], row["method"]) == ("pattern_deviation", "same_hour_of_day_mad")
    assert row["started_at"] == MONDAY + timedelta(days=8, hours=2)
    assert row["ended_at"] == MONDAY + timedelta(days=8, hours=4)
    assert row["baseline"] == pytest.approx(20, rel=0.1)


def test_after_two_weeks_a_quiet_weekend_is_expected_and_a_busy_one_is_not() -> None:
    series = np.array(working_day(7, 28))
    day = np.arange(len(series)) // 24 % 7
    series[day >= 5] = 20.0 * np.random.default_rng(7).normal(1, 0.05, (day >= 5).sum())
    third_week = MONDAY + timedelta(days=14)
    quiet = found(points(series.tolist()))
    assert quiet.filter(pl.col("started_at") >= third_week).is_empty()
    saturday = 26 * 24
    series[saturday + 9 : saturday + 17] = 200.0
    busy = found(points(series.tolist())).filter(pl.col("started_at") >= third_week)
    assert busy["started_at"].min() == MONDAY + (saturday + 9) * HOUR
    assert busy["ended_at"].max() == MONDAY + (saturday + 17) * HOUR
    wednesday = 23 * 24
    series[wednesday + 9 : wednesday + 17] = 20.0
    # at nine a quiet hour is as usual as at eight, give or take an hour
    (holiday,) = (
        found(points(series.tolist())).filter(pl.col("anomaly_type") == "pattern_deviation")[-1:].rows(named=True)
    )
    assert (holiday["started_at"], holiday["method"]) == (MONDAY + (wednesday + 10) * HOUR, "same_hour_of_week_mad")
    assert holiday["deviation"] < 0


def test_silence_is_an_anomaly_from_the_first_missing_bucket_to_the_return() -> None:
    counts = np.random.default_rng(8).poisson(200, 220).tolist()
    series: list[float | None] = [50.0] * 220
    series[70:210] = [None] * 140
    (row,) = found(points(series, counts=counts)).rows(named=True)
    assert row["anomaly_type"] == "frequency_anomaly"
    assert (row["started_at"], row["ended_at"]) == (MONDAY + 70 * HOUR, MONDAY + 210 * HOUR)
    assert row["observed"] == 0
    assert row["baseline"] == pytest.approx(200, rel=0.1)
    assert row["explanation"].startswith("no events came")


def test_a_series_that_stops_is_silent_until_the_end_of_what_is_known() -> None:
    size = DEFAULT.min_history
    frame = points([50.0] * size, counts=200)
    assert found(frame).is_empty()
    (row,) = found(frame, until=MONDAY + (size + 5) * HOUR).rows(named=True)
    assert (row["started_at"], row["ended_at"]) == (MONDAY + size * HOUR, MONDAY + (size + 5) * HOUR)
    other = points([50.0] * (size + 6), counts=200, series_id=2)
    assert found(pl.concat([frame, other])).select("series_id").to_series().to_list() == [1]


def test_rare_events_are_not_missed_when_they_do_not_come() -> None:
    series: list[float | None] = [5.0] * 60 + [None] * 10
    assert found(points(series, counts=3), until=MONDAY + 70 * HOUR).is_empty()


def test_nightly_silence_is_expected_once_the_nights_are_known() -> None:
    rng = np.random.default_rng(9)
    hour = np.arange(24 * 14) % 24
    series = [50.0 if 8 <= h < 20 else None for h in hour]
    counts = rng.poisson(300, len(hour)).tolist()
    late = pl.col("started_at") >= MONDAY + timedelta(days=5)
    assert found(points(series, counts=counts)).filter(late).is_empty()
    ten_days = 24 * 10
    series[ten_days + 10 : ten_days + 15] = [None] * 5
    (row,) = found(points(series, counts=counts)).filter(late).rows(named=True)
    assert row["anomaly_type"] == "frequency_anomaly"
    assert row["started_at"] == MONDAY + timedelta(days=10, hours=10)


def test_a_burst_of_events_is_an_anomaly_of_frequency_and_one_silence_is_told_once_per_series() -> None:
    counts = np.random.default_rng(10).poisson(40, 100).tolist()
    counts[80] = 140
    frame = points([50.0] * 100, counts=counts)
    (row,) = found(frame).rows(named=True)
    assert (row["anomaly_type"], row["observed"]) == ("frequency_anomaly", 140)
    assert row["deviation"] > 0
    both = pl.concat([frame, points([9.0] * 100, counts=counts, metric="ttft_ms")])
    assert found(both).height == 1


def test_the_tail_moves_while_the_median_stands_still() -> None:
    rng = np.random.default_rng(11)
    samples = [rng.lognormal(6, 0.4, 300) for _ in range(120)]
    for i in range(90, 96):
        slow = rng.permutation(300)[:24]
        samples[i][slow] = np.quantile(samples[i], 0.9) * 8
    medians = [float(np.quantile(s, 0.4)) for s in samples]
    told = found(points(medians, samples=samples))
    (row,) = told.filter(pl.col("anomaly_type") == "distribution_shift").rows(named=True)
    assert (row["anomaly_type"], row["method"]) == ("distribution_shift", "wasserstein")
    assert (row["started_at"], row["ended_at"]) == (MONDAY + 90 * HOUR, MONDAY + 96 * HOUR)
    assert row["deviation"] > 0
    assert row["observed"] > 3 * row["baseline"]


def test_a_distribution_that_moves_down_has_a_negative_deviation() -> None:
    rng = np.random.default_rng(12)
    samples = [rng.lognormal(6 if i != 80 else 5, 0.4, 100) for i in range(100)]
    (row,) = found(points([1.0] * 100, samples=samples)).rows(named=True)
    assert row["deviation"] < 0
    assert " down by " in row["explanation"]


def test_small_samples_and_small_moves_are_no_shift() -> None:
    rng = np.random.default_rng(13)
    few = [rng.lognormal(6 if i != 80 else 9, 0.4, DEFAULT.min_bucket_count - 1) for i in range(100)]
    assert found(points([1.0] * 100, samples=few)).is_empty()
    slight = [rng.lognormal(6 if i != 80 else 6.05, 0.01, 2000) for i in range(100)]
    assert found(points([1.0] * 100, samples=slight)).is_empty()


@pytest.mark.parametrize("law", ["normal", "lognormal", "exponential", "poisson"])
def test_noise_gives_at_most_one_false_episode_in_two_weeks_of_a_series(law: str) -> None:
    rng = np.random.default_rng(14)
    draw = {
        "normal": lambda n: rng.normal(100, 5, n),
        "lognormal": lambda n: rng.lognormal(3, 0.5, n),
        "exponential": lambda n: rng.exponential(100, n),
        "poisson": lambda n: rng.poisson(3, n).astype(float),
    }[law]
    weeks, series = 4, 6
    size = weeks * 168
    frames = []
    for i in range(series):
        samples = [rng.lognormal(6, 0.7, n) for n in rng.poisson(60, size)]
        counts = rng.negative_binomial(5, 5 / 55, size).tolist()
        frames.append(points(draw(size).tolist(), counts=counts, samples=samples, series_id=i))
    assert found(pl.concat(frames)).height <= weeks * series / 2


def test_missing_and_infinite_values_are_passed_over() -> None:
    series: list[float] = noise(15, 100)
    series[50], series[55], series[58] = float("nan"), float("inf"), float("-inf")
    assert found(points(series)).is_empty()
    series[70] = 300.0
    with_null = points(series).with_columns(
        pl.when(pl.col("bucket_start") == MONDAY + 40 * HOUR).then(None).otherwise(pl.col("value")).alias("value")
    )
    assert types(found(with_null)) == ["spike"]


def test_constant_empty_and_single_row_frames_say_nothing() -> None:
    assert found(points([])).schema == pl.Schema(ANOMALY_SCHEMA)
    assert found(points([])).is_empty()
    assert found(points([7.0])).is_empty()
    assert found(points([7.0] * 400)).is_empty()
    null_histograms = points([7.0] * 60).with_columns(
        pl.lit(None, pl.List(pl.Int32)).alias("hist_keys"), pl.lit(None, pl.List(pl.Int64)).alias("hist_counts")
    )
    assert found(null_histograms).is_empty()


@pytest.mark.parametrize("step", [timedelta(minutes=1), timedelta(hours=6), timedelta(days=1), timedelta(days=7)])
def test_every_window_with_a_fixed_length_works(step: timedelta) -> None:
    series = noise(16, 120)
    series[100] = 400.0
    assert types(found(points(series, step=step), step=step)) == ["spike"]


def test_a_frame_that_is_not_what_it_says_is_refused() -> None:
    good = points([1.0] * 3)
    with pytest.raises(ValueError, match="hist_keys"):
        found(good.drop("hist_keys"))
    with pytest.raises(ValueError, match="repeats"):
        found(pl.concat([points([1.0] * 30)] * 2))
    with pytest.raises(ValueError, match="grid"):
        found(points([1.0] * 30, step=timedelta(minutes=90)))
    with pytest.raises(ValueError, match="time zone"):
        found(good.with_columns(pl.col("bucket_start").dt.replace_time_zone(None)))
    with pytest.raises(ValueError, match="step"):
        detect(good, window="1h", step=timedelta(0))
