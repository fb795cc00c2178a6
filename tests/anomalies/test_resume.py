"""Going on from what is remembered tells what judging from the first bucket on tells, however time is cut."""

from dataclasses import fields, replace
from datetime import datetime
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lah_platform.anomalies import DetectorConfig, detect
from lah_platform.anomalies.memory import SeriesMemory, version
from lah_platform.anomalies.resume import Key, Resumed, resume
from lah_platform.anomalies.surprise import Memory

from .points import HOUR, MONDAY, points
from .test_causality import CONFIG as SHORT
from .test_causality import eventful

_SIZE = 360
# shorter than the series, so that what leaves a memory is seen to leave it
CONFIG = replace(SHORT, memory=Memory(values=150, level=80, recent=40, days=9))


def several(seed: int, size: int = _SIZE) -> pl.DataFrame:
    """Series with several metrics, one that begins late, one that falls silent, and counts beside latencies."""
    frames = [eventful(seed + at, size, series_id=at).with_columns(metric=pl.lit("latency_ms")) for at in (1, 2)]
    ends = pl.col("bucket_start") < MONDAY + (size // 2) * HOUR
    counted = eventful(seed + 7, size, series_id=1).with_columns(pl.col("count").cast(pl.Float64).alias("value"))
    late = eventful(seed + 9, size, series_id=3).filter(~ends)
    return pl.concat([frames[0], frames[1].filter(ends), counted.with_columns(metric=pl.lit("events")), late])


def between(frame: pl.DataFrame, since: datetime, until: datetime) -> pl.DataFrame:
    return frame.filter((pl.col("bucket_start") >= since) & (pl.col("bucket_start") < until))


def tick(memories: dict[Key, SeriesMemory], frame: pl.DataFrame, since: datetime, until: datetime) -> Resumed:
    new = between(frame, since, until)
    return resume(memories, new, window="1h", step=HOUR, since=since, until=until, config=CONFIG)


def restarted(memories: dict[Key, SeriesMemory]) -> dict[Key, SeriesMemory]:
    return {key: SeriesMemory.from_bytes(memory.to_bytes()) for key, memory in memories.items()}


def plain(value: Any) -> Any:
    """A memory as something that can be compared, to the last bit."""
    if hasattr(value, "__dataclass_fields__"):
        return {each.name: plain(getattr(value, each.name)) for each in fields(value)}
    return value.tobytes() if isinstance(value, np.ndarray) else value


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    cuts=st.sets(st.integers(1, _SIZE - 1), max_size=5),
    restarts=st.booleans(),
)
def test_any_split_into_ticks_tells_what_judging_in_one_go_tells(seed: int, cuts: set[int], restarts: bool) -> None:
    frame = several(seed)
    memories: dict[Key, SeriesMemory] = {}
    borders = [MONDAY + at * HOUR for at in sorted({0, _SIZE, *cuts})]
    for since, until in pairwise(borders):
        done = tick(restarted(memories) if restarts else memories, frame, since, until)
        memories = done.memories
        whole = detect(between(frame, MONDAY, until), window="1h", step=HOUR, config=CONFIG, until=until)
        assert done.found.rows() == whole.filter(pl.col("ended_at") > since).rows()
    in_one_go = tick({}, frame, MONDAY, borders[-1]).memories
    assert {key: plain(memory) for key, memory in memories.items()} == {
        key: plain(memory) for key, memory in in_one_go.items()
    }


def test_the_split_series_do_hold_every_type_of_anomaly() -> None:
    told = pl.concat([tick({}, several(seed), MONDAY, MONDAY + _SIZE * HOUR).found for seed in range(3)])
    assert told["anomaly_type"].n_unique() == 5


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 10**6), late=st.integers(10, 290))
def test_after_late_data_judging_anew_and_going_on_tells_what_one_go_over_the_corrected_past_tells(
    seed: int, late: int
) -> None:
    end, cut = MONDAY + _SIZE * HOUR, MONDAY + 300 * HOUR
    at = MONDAY + late * HOUR
    corrected = several(seed).with_columns(
        value=pl.when(pl.col("bucket_start") == at).then(pl.col("value") * 3).otherwise(pl.col("value"))
    )
    rebuilt = tick({}, corrected, MONDAY, cut).memories
    went_on = tick(restarted(rebuilt), corrected, cut, end).found
    whole = detect(corrected, window="1h", step=HOUR, config=CONFIG, until=end)
    assert went_on.rows() == whole.filter(pl.col("ended_at") > cut).rows()


def test_an_episode_goes_on_over_ticks_in_which_nothing_new_surprises() -> None:
    values = [100.0 + at % 3 for at in range(50)] + [400.0] * 7 + [100.0] * 9  # before its hours are known
    frame, memories = points(values), tick({}, points(values), MONDAY, MONDAY + 53 * HOUR).memories
    for since, until, ends in ((53, 55, 55), (55, 66, 57)):
        done = tick(restarted(memories), frame, MONDAY + since * HOUR, MONDAY + until * HOUR)
        memories = done.memories
        (told,) = done.found.filter(pl.col("anomaly_type") == "spike").rows(named=True)
        assert (told["started_at"], told["ended_at"]) == (MONDAY + 50 * HOUR, MONDAY + ends * HOUR)


def test_a_memory_survives_its_bytes_to_the_last_bit_and_an_empty_one_too() -> None:
    memories = tick({}, several(4), MONDAY, MONDAY + _SIZE * HOUR).memories
    for memory in [*memories.values(), SeriesMemory.beginning(7)]:
        assert plain(SeriesMemory.from_bytes(memory.to_bytes())) == plain(memory)


def test_a_series_of_missing_values_alone_is_remembered_and_told_nothing_of() -> None:
    frame = points([float("nan")] * 60)
    done = tick({}, frame, MONDAY, MONDAY + 60 * HOUR)
    assert done.found.is_empty()
    assert len(done.memories[1, "latency_ms"].bucket) == 60


def test_points_outside_the_tick_are_refused() -> None:
    with pytest.raises(ValueError, match="do not lie in"):
        resume({}, points([1.0]), window="1h", step=HOUR, since=MONDAY + HOUR, until=MONDAY + 2 * HOUR)


def test_another_configuration_is_another_version() -> None:
    assert version(CONFIG) == version(CONFIG)
    assert version(CONFIG) != version(DetectorConfig())
