"""Every verdict rests on the past: what the future brings, the order of rows and other series change nothing."""

from datetime import timedelta

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from lah_platform.anomalies import DEFAULT, DetectorConfig, anomaly_id, detect

from .points import HOUR, MONDAY, points

# short memories, so that few buckets exercise phases, refits and retired series
CONFIG = DetectorConfig(
    history=30,
    min_history=6,
    min_bucket_count=5,
    surprise=1.5,
    enter=3.5,
    exit=2.5,
    distribution_enter=4.0,
    distribution_exit=3.0,
)


def eventful(seed: int, size: int, step: timedelta = HOUR, series_id: int = 1) -> pl.DataFrame:
    """A daily wave with level shifts, outliers, gaps short and long, missing values and moving tails."""
    rng = np.random.default_rng(seed)
    hours = np.arange(size) * (step / HOUR)
    level = (100 + 60 * np.sin(hours / 24 * 2 * np.pi)) * rng.lognormal(0, 0.1, size)
    level *= np.where(rng.random(size) < 0.03, rng.choice([0.02, 4.0]), 1.0)
    level *= np.where(np.arange(size) > rng.integers(size), rng.choice([0.5, 1.0, 2.0]), 1.0)
    values: list[float | None] = [float("nan") if rng.random() < 0.02 else v for v in level.tolist()]
    for _ in range(rng.integers(5)):
        begin = int(rng.integers(size))
        values[begin : begin + int(rng.integers(1, 50))] = []
        values = (values + [100.0] * size)[:size]
        gap = int(rng.integers(1, 50))
        values[begin : begin + gap] = [None] * len(values[begin : begin + gap])
    counts = rng.poisson(level).tolist()
    samples = [rng.lognormal(rng.choice([6.0, 6.0, 6.0, 8.0]), 0.5, 8) for _ in range(size)]
    return points(values, counts=counts, samples=samples, step=step, series_id=series_id)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    size=st.integers(40, 600),
    share=st.floats(0.1, 1.0),
    minutes=st.sampled_from([30, 60, 360]),
)
def test_appending_future_data_never_changes_a_closed_episode(seed: int, size: int, share: float, minutes: int) -> None:
    step = timedelta(minutes=minutes)
    whole = eventful(seed, size, step)
    cut = MONDAY + int(size * share) * step
    end = MONDAY + size * step
    before = detect(whole.filter(pl.col("bucket_start") < cut), window="1h", step=step, config=CONFIG, until=cut)
    after = detect(whole, window="1h", step=step, config=CONFIG, until=end)
    is_closed = pl.col("ended_at") + CONFIG.max_gap * step < cut
    assert before.filter(is_closed).rows() == after.filter(is_closed).rows()


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), size=st.integers(60, 300))
def test_an_open_episode_keeps_its_id_while_it_grows(seed: int, size: int) -> None:
    whole = eventful(seed, size)
    cut = MONDAY + size // 2 * HOUR

    def ids(frame: pl.DataFrame) -> set[object]:
        told = detect(frame, window="1h", step=HOUR, config=CONFIG).filter(pl.col("started_at") < cut)
        keys = told.select("series_id", "metric", "window_name", "anomaly_type", "started_at").rows()
        assert len(set(keys)) == len(keys)
        return {anomaly_id(*key) for key in keys}

    known = whole.filter(pl.col("bucket_start") < cut)
    if not known.is_empty() and known["bucket_start"].max() == cut - HOUR:
        assert ids(known) == ids(whole)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_the_order_of_rows_and_other_series_change_nothing(seed: int) -> None:
    until = MONDAY + 300 * HOUR
    one, other = eventful(seed, 300), eventful(seed + 1, 300, series_id=2)
    alone = detect(one, window="1h", step=HOUR, config=CONFIG, until=until)
    mixed = pl.concat([one, other]).sample(fraction=1.0, shuffle=True, seed=seed)
    together = detect(mixed, window="1h", step=HOUR, config=CONFIG, until=until)
    assert alone.rows() == together.filter(pl.col("series_id") == 1).rows()


def test_the_eventful_series_do_hold_every_type_of_anomaly() -> None:
    told = pl.concat([detect(eventful(s, 600), window="1h", step=HOUR, config=CONFIG) for s in range(12)])
    assert set(told["anomaly_type"]) == {
        "spike",
        "drop",
        "pattern_deviation",
        "frequency_anomaly",
        "distribution_shift",
    }
    assert (told["started_at"] <= told["peak_at"]).all()
    assert (told["peak_at"] < told["ended_at"]).all()
    assert told["score"].is_between(0, 1).all()
    assert DEFAULT.history > CONFIG.history
