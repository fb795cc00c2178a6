"""Windows: every instant lies in exactly one bucket of each size, and buckets follow the UTC calendar."""

from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lah_platform.landing.columns import at_us, from_us
from lah_platform.rollups.windows import WINDOWS, Window, window

from . import naive

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
INSTANTS = st.timedeltas(timedelta(days=-140_000), timedelta(days=2_500_000)).map(lambda age: EPOCH + age)
each_window = pytest.mark.parametrize("size", WINDOWS, ids=lambda size: size.name)


def test_there_are_eight_windows_from_a_minute_to_a_month() -> None:
    assert tuple(size.name for size in WINDOWS) == naive.WINDOWS
    assert [size.table for size in WINDOWS] == [
        *("rollup_1m", "rollup_5m", "rollup_15m", "rollup_1h", "rollup_6h", "rollup_1d", "rollup_1w", "rollup_1mo")
    ]
    assert [size.source and size.source.name for size in WINDOWS] == [
        *(None, "1m", "5m", "15m", "1h", "6h", "1d", "1d")
    ]


@each_window
@given(INSTANTS)
@example(datetime(2024, 2, 29, 23, 59, 59, 999999, tzinfo=UTC))
@example(datetime(2023, 2, 28, 23, 59, 59, 999999, tzinfo=UTC))
@example(datetime(2100, 2, 28, 23, 59, tzinfo=UTC))
@example(datetime(2024, 12, 31, 23, 59, 59, 999999, tzinfo=UTC))
@example(datetime(2024, 12, 30, tzinfo=UTC))
@example(datetime(2025, 1, 1, tzinfo=UTC))
@example(datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC))
@example(datetime(1970, 1, 1, tzinfo=UTC))
def test_a_bucket_starts_and_ends_where_walking_the_calendar_says(size: Window, ts: datetime) -> None:
    start = naive.floor(ts, size.name)
    assert size.floor(ts) == start
    assert size.end(start) == naive.end(start, size.name)
    assert start <= ts < size.end(start)


@each_window
@given(st.lists(INSTANTS, min_size=1, max_size=20))
@example([datetime(2024, 2, 29, 12, tzinfo=UTC), datetime(2024, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)])
@example([datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)])
def test_columns_are_floored_like_single_instants(size: Window, instants: list[datetime]) -> None:
    starts_us = size.floor_us(np.array([at_us(ts) for ts in instants], np.int64))
    assert [from_us(start) for start in starts_us.tolist()] == [size.floor(ts) for ts in instants]


@each_window
@given(INSTANTS)
def test_a_bucket_of_the_source_never_straddles_two_buckets(size: Window, ts: datetime) -> None:
    source = size.source
    if source is None:
        return
    inner = source.floor(ts)
    assert size.floor(inner) == size.floor(ts)
    assert source.end(inner) <= size.end(size.floor(ts))


@each_window
@given(INSTANTS, st.integers(-23 * 60, 23 * 60))
def test_the_time_zone_of_a_timestamp_does_not_move_its_bucket(size: Window, ts: datetime, minutes: int) -> None:
    elsewhere = ts.astimezone(timezone(timedelta(minutes=minutes)))
    start = size.floor(elsewhere)
    assert start == size.floor(ts)
    assert start.utcoffset() == size.end(start).utcoffset() == timedelta(0)


@each_window
def test_a_timestamp_without_time_zone_is_refused(size: Window) -> None:
    with pytest.raises(ValueError, match="no time zone"):
        size.floor(datetime(2024, 1, 1, tzinfo=UTC).replace(tzinfo=None))
    with pytest.raises(ValueError, match="no time zone"):
        size.end(datetime(2024, 1, 1, tzinfo=UTC).replace(tzinfo=None))


@each_window
def test_only_the_start_of_a_bucket_has_an_end(size: Window) -> None:
    with pytest.raises(ValueError, match=f"no {size.name} bucket starts at"):
        size.end(datetime(2024, 1, 1, 0, 0, 1, tzinfo=UTC))


def test_a_month_has_two_names_and_a_minute_is_not_one_of_them() -> None:
    assert window("1M") is window("1mo") is WINDOWS[-1]
    assert window("1m") is WINDOWS[0]
    assert all(window(size.name) is size for size in WINDOWS)


@pytest.mark.parametrize("name", ["2m", "", "1H", "1MO", "1month"])
def test_an_unknown_window_is_refused_with_the_names_that_exist(name: str) -> None:
    with pytest.raises(ValueError, match="use one of 1m, 5m, 15m, 1h, 6h, 1d, 1w, 1M, 1mo"):
        window(name)
