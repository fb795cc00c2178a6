"""temporal, below an hour: who leads by how many seconds, and nothing where there is nothing."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from benchmarks.root_cause_links import false_minute_links
from lah_platform.correlations import Correlation, CorrelationConfig, correlate
from lah_platform.correlations.hourly import SeriesKey
from lah_platform.correlations.minutes import minute_matrix

from .inputs import HOUR, MONDAY, POINTS, inputs, series

DAYS = 14
END = MONDAY + timedelta(days=DAYS)
MINUTE = timedelta(minutes=1)


class Minutes:
    """What a database would answer: rows of minutes that end with the period, and what it was asked for."""

    def __init__(self, rows: dict[int, np.ndarray]) -> None:
        self.rows, self.asked = rows, [(0, "", MONDAY, MONDAY)]

    def __call__(
        self, series_ids: Sequence[int], metrics: Sequence[str], start: datetime, end: datetime
    ) -> pl.DataFrame:
        self.asked += [(each, metric, start, end) for each in series_ids for metric in metrics]
        rows = [
            ("acme", each, "latency_ms", "latency", "", END - (len(self.rows[each]) - i) * MINUTE, float(value))
            for each in series_ids
            for i, value in enumerate(self.rows[each])
        ]
        return pl.DataFrame(rows, schema=POINTS, orient="row").filter(
            pl.col("bucket_start").is_between(start, end, "left")
        )


def pair(
    rng: np.random.Generator, lag: int, sign: float = 1.0, noise: float = 0.5, count: int = 2
) -> tuple[list[tuple[object, ...]], Minutes]:
    """Hours of two series of which the second follows the first by `lag` minutes, and their minutes."""
    size = DAYS * 24 * 60
    leader = np.exp(
        0.5 * rng.normal(size=(count, size)) + 0.5 * rng.normal(size=(count, size // 60)).repeat(60, axis=1)
    )
    follower = sign * np.roll(leader[0], lag) + noise * rng.normal(size=size)
    rows = {1: leader[0], 2: follower, **{i + 1: leader[i] for i in range(2, count)}}
    hours = [p for i, row in rows.items() for p in series(row.reshape(-1, 60).mean(axis=1), i)]
    return hours, Minutes({i: row[-24 * 60 :] for i, row in rows.items()})


def links(points: list[tuple[object, ...]], minutes: Minutes | None) -> list[Correlation]:
    given = inputs(points=points)
    frames = (given.events, given.anomalies, given.points, given.covered_from, given.covered_to)
    return [c for c in correlate(type(given)(*frames, minutes)) if c.correlation_type == "temporal"]


@settings(max_examples=15, deadline=None)
@given(lag=st.integers(-20, 20), sign=st.sampled_from([-1.0, 1.0]), seed=st.integers(0, 99))
def test_who_leads_by_how_many_seconds_is_told_with_its_sign(lag: int, sign: float, seed: int) -> None:
    points, minutes = pair(np.random.default_rng(seed), lag, sign)
    (found,) = links(points, minutes)
    first, second = found.members
    assert found.evidence["lag_seconds"] == abs(lag) * 60
    assert found.evidence["resolution_seconds"] == 60
    assert float(found.evidence["rank_correlation"] or 0) * sign > 0.3
    assert (second.at - first.at).total_seconds() == abs(lag) * 60
    if lag:
        assert (first.member_id, second.member_id) == (("1", "2") if lag > 0 else ("2", "1"))
        assert (first.role, second.role) == ("contributor", "effect")
        assert f"{abs(lag) * 60} s before" in found.explanation
    else:
        assert {first.role, second.role} == {"related"}


def test_two_minutes_are_no_lead_by_the_hour_and_120_seconds_with_minutes() -> None:
    points, minutes = pair(np.random.default_rng(1), 2)
    (by_hour,) = links(points, None)
    (by_minute,) = links(points, minutes)
    assert (by_hour.evidence["lag_seconds"], by_hour.evidence["resolution_seconds"]) == (0, 3600)
    assert by_minute.evidence["lag_seconds"] == 120
    assert "latency_ms of series 1 changes 120 s before latency_ms of series 2" in by_minute.explanation
    assert by_minute.ended_at - by_minute.started_at == CorrelationConfig().minute_span


@pytest.mark.parametrize("minutes", [300, 24 * 60])
def test_independent_series_are_linked_by_the_minute_no_more_often_than_stated(minutes: int) -> None:
    runs, rate = 10, CorrelationConfig().false_positive_rate
    for law, (share, _) in false_minute_links(runs, minutes).items():
        assert share * runs <= stats.binom.isf(1e-3, runs, rate), law


@pytest.mark.parametrize("gone", ["no minutes", "few minutes", "constant minutes"])
def test_where_minutes_say_nothing_the_hours_stand(gone: str) -> None:
    points, minutes = pair(np.random.default_rng(2), 2)
    kept = {"no minutes": 0, "few minutes": CorrelationConfig().min_minutes - 1, "constant minutes": 1440}[gone]
    minutes.rows = {i: (row * (gone != "constant minutes"))[:kept] for i, row in minutes.rows.items()}
    (found,) = links(points, minutes)
    assert (found.evidence["lag_seconds"], found.evidence["resolution_seconds"]) == (0, 3600)


def test_a_lead_of_hours_is_the_hours_affair_and_minutes_are_read_for_the_screened_alone() -> None:
    rng = np.random.default_rng(3)
    points, minutes = pair(rng, 240, count=6)
    (found,) = links(points, minutes)
    assert (found.evidence["lag_seconds"], found.evidence["resolution_seconds"]) == (4 * 3600, 3600)
    asked = {each for each, *_ in minutes.asked[1:]}
    assert len(asked) < 6
    assert {(start, end) for _, _, start, end in minutes.asked[1:]} <= {(END - 24 * HOUR, END)}


def test_a_step_between_two_that_follow_by_minutes_is_no_link_of_its_own() -> None:
    rng = np.random.default_rng(4)
    one = np.exp(rng.normal(size=DAYS * 1440))
    two = np.roll(one, 2) + 0.7 * rng.normal(size=len(one))
    three = np.roll(two, 3) + 0.7 * rng.normal(size=len(one))
    rows = {1: one, 2: two, 3: three}
    points = [p for i, row in rows.items() for p in series(row.reshape(-1, 60).mean(axis=1), i)]
    found = links(points, Minutes({i: row[-1440:] for i, row in rows.items()}))
    told = {(c.members[0].member_id, c.members[1].member_id, c.evidence["lag_seconds"]) for c in found}
    assert told == {("1", "2", 120), ("2", "3", 180)}


def test_minutes_stand_where_they_belong_and_what_is_beyond_the_span_is_left_out() -> None:
    rows = [("acme", 7, "a", "", "", MONDAY + i * MINUTE, float(i)) for i in (-1, 0, 2, 5)]
    rows.append(("acme", 8, "a", "", "", MONDAY, float("nan")))
    points = pl.DataFrame(rows, schema=POINTS, orient="row")
    keys = [SeriesKey(8, "a", "", ""), SeriesKey(7, "a", "", ""), SeriesKey(7, "b", "", "")]
    values = minute_matrix(points, keys, MONDAY, MONDAY + 5 * MINUTE)
    expected = np.full((3, 5), np.nan)
    expected[1, [0, 2]] = [0.0, 2.0]
    np.testing.assert_array_equal(values, expected)
