"""Whatever is asked of whatever happened: an answer from stored windows is what a recount of the events says."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lah_platform.rollups.aggregates import Aggregates
from lah_platform.rollups.combine import roll_up
from lah_platform.rollups.metrics import metric
from lah_platform.rollups.values import MetricValues, aggregate
from lah_platform.timeseries.evaluate import Groups, StoredRows, answer, complete
from lah_platform.timeseries.pages import page
from lah_platform.timeseries.plan import plan
from lah_platform.timeseries.query import Query, make_query
from lah_platform.timeseries.refusal import QueryError
from tests.timeseries.asking import NEWEST, WINDOWS, queries, ranges
from tests.timeseries.naive import EPOCH, Happening, assert_is_field, end_of, start_of, values_of

_SERIES = [{"service": service, "region": region} for service in ("chat", "rag") for region in ("eu", "us")]
_COMPUTED = datetime(2026, 3, 5, tzinfo=UTC)
_values = st.integers(1, 10**7).map(lambda thousandths: Fraction(thousandths, 1000))
_SPANS = st.sampled_from([timedelta(minutes=5), timedelta(hours=9), timedelta(100)])


@st.composite
def happenings(draw: st.DrawFn) -> list[Happening]:
    span = draw(_SPANS)
    seconds = int(span.total_seconds())
    drawn = draw(st.lists(st.tuples(st.integers(1, seconds), st.sampled_from(_SERIES), _values), max_size=30))
    return [
        Happening(NEWEST - timedelta(seconds=ago), series, {"latency_ms": Fraction(float(value))})
        for ago, series, value in drawn
    ]


def _us(at: datetime) -> int:
    return (at - EPOCH) // timedelta(microseconds=1)


def _stored(events: list[Happening]) -> Mapping[str, Aggregates]:
    """The rows of every window."""
    values = MetricValues(
        metric("latency_ms"),
        np.array([_SERIES.index(dict(each.dimensions)) for each in events], np.int64),
        np.array([_us(each.at) for each in events], np.int64),
        np.array([float(each.values["latency_ms"]) for each in events]),
    )
    return roll_up(aggregate([values]))


def _answered(query: Query, events: list[Happening]) -> pl.DataFrame:
    groups = _groups(query)
    if not events:
        return answer(query, [], groups, None)
    windows = _stored(events)
    parts = []
    for segment in plan(query):
        rows = windows[segment.window.name]
        rows = rows.take(np.flatnonzero((rows.starts_us >= segment.from_us) & (rows.starts_us < segment.to_us)))
        revisions = rows.starts_us // 60_000_000 % 7 + rows.series_ids
        stored = StoredRows(rows, revisions, _us(_COMPUTED) + revisions)
        middle = int(np.median(rows.starts_us)) if len(rows) else segment.to_us
        parts.append((stored.take(np.flatnonzero(rows.starts_us < middle)), middle))
        parts.append((stored.take(np.flatnonzero(rows.starts_us >= middle)), segment.to_us))
    return answer(query, list(complete(query, parts, groups)), groups, None)


def _groups(query: Query) -> Groups:
    series = pl.DataFrame({"series_id": range(len(_SERIES))}).hstack(pl.DataFrame(_SERIES))
    return Groups.of(series, query.group_by)


@st.composite
def _around_the_events(draw: st.DrawFn) -> dict[str, Any]:
    """Queries of ranges and groups that have values and gaps."""
    window, span = draw(
        st.sampled_from([("1m", timedelta(hours=1)), ("15m", timedelta(hours=9)), ("3d", timedelta(100))])
    )
    return {
        "metric": "latency_ms",
        "from_": NEWEST - span,
        "to": NEWEST,
        "window": window,
        "fields": ["stddev", *draw(st.lists(st.sampled_from(["count", "max", "p95"]), max_size=2, unique=True))],
        "group_by": draw(st.sampled_from([[], ["service"], ["region", "service"]])),
    }


def _only_known(asked: dict[str, Any]) -> dict[str, Any]:
    return asked | {
        "metric": "latency_ms",
        "filters": [],
        "group_by": [d for d in asked["group_by"] if d in _SERIES[0]],
    }


@given(events=happenings(), asked=queries().map(_only_known))
@settings(max_examples=150, deadline=None)
def test_an_answer_from_any_windows_is_what_a_recount_says(events: list[Happening], asked: dict[str, Any]) -> None:
    rows = _answered(make_query(**asked), events)
    wanted = values_of(events, asked)
    found = {(row["bucket_start"], tuple(row[name] for name in asked["group_by"])): row for row in rows.to_dicts()}
    assert len(found) == rows.height
    assert set(found) == set(wanted)
    for (start, group), row in found.items():
        end = end_of(start, asked["window"], asked["to"])
        assert (row["bucket_end"], row["is_filled"]) == (end, False)
        assert row["computed_at"] == _COMPUTED + timedelta(microseconds=row["revision"])
        seconds = Fraction(int((min(end, asked["to"]) - max(start, asked["from_"])).total_seconds()))
        for name in asked["fields"]:
            assert_is_field(name, row[name], wanted[start, group], seconds, "latency_ms")


@given(span=ranges(), size=st.sampled_from(WINDOWS))
@settings(max_examples=200, deadline=None)
def test_a_plan_covers_the_range_once_with_windows_of_which_whole_ones_make_every_bucket(
    span: tuple[datetime, datetime], size: str | None
) -> None:
    query = make_query(metric="events", from_=span[0], to=span[1], window=size, fields=["count"])
    segments = plan(query)
    assert [segments[0].from_us, *(each.to_us for each in segments)] == [
        *(each.from_us for each in segments),
        _us(span[1]),
    ]
    assert segments[0].from_us == _us(span[0])
    for each in segments:
        assert each.window.floor_us(np.array([each.from_us, each.to_us])).tolist() == [each.from_us, each.to_us]
        starts = query.bucket.starts_us(each.from_us, each.to_us)[1:]
        assert (each.window.floor_us(starts) == starts).all()


@pytest.mark.parametrize(
    ("from_", "to", "size", "read"),
    [
        ("2026-01-01T00:00", "2026-02-01T00:00", "1d", ["1d"]),
        ("2026-01-01T00:00", "2026-02-01T00:00", "36h", ["6h"]),
        ("2026-01-01T00:00", "2026-02-01T00:00", "45m", ["15m"]),
        ("2026-01-01T00:00", "2026-02-01T00:00", "7m", ["1m"]),
        ("2026-01-01T00:00", "2026-02-01T00:00", "3M", ["1M"]),
        ("2026-01-05T00:00", "2026-01-19T00:00", "2w", ["1w"]),
        ("2026-01-05T00:00", "2026-01-19T00:00", "7d", ["1d"]),
        ("2026-01-01T00:00", "2026-03-10T00:00", None, ["1M", "1d", "1w", "1d"]),
        ("2026-01-01T10:31", "2026-01-03T00:05", "1d", ["1m", "5m", "15m", "1h", "6h", "1d", "5m"]),
        ("2026-01-31T00:00", "2026-02-01T00:00", "1h", ["1h"]),
    ],
)
def test_the_coarsest_windows_that_are_exact_are_read(from_: str, to: str, size: str | None, read: list[str]) -> None:
    ends = [datetime.fromisoformat(each).replace(tzinfo=UTC) for each in (from_, to)]
    query = make_query(metric="events", from_=ends[0], to=ends[1], window=size, fields=["count"])
    assert [each.window.name for each in plan(query)] == read


@given(
    events=happenings(),
    asked=_around_the_events(),
    fill=st.sampled_from(["null", "zero", "previous", "linear", 7]),
)
@settings(max_examples=100, deadline=None)
def test_a_fill_makes_a_row_for_every_bucket_and_changes_none_that_has_values(
    events: list[Happening], asked: dict[str, Any], fill: str | int
) -> None:
    query = make_query(**asked)
    bare = {_place(row, asked): row for row in _answered(query, events).to_dicts()}
    rows = _answered(make_query(**asked, fill=fill), events).to_dicts()
    groups = {group for _, group in bare} or (set() if asked["group_by"] else {()})
    starts = _all_starts(asked)
    assert sorted(_place(row, asked) for row in rows) == sorted((at, group) for at in starts for group in groups)
    by_place = {_place(row, asked): row for row in rows}
    for place, row in by_place.items():
        assert row["is_filled"] == (place not in bare)
        if place in bare:
            assert row == bare[place]
            continue
        assert row["revision"] is None
        for name in asked["fields"]:
            known = [(at, bare[at, place[1]][name]) for at in starts if (at, place[1]) in bare]
            wanted = _made(place[0], [(at, value) for at, value in known if value is not None], fill)
            wanted = round(wanted) if name == "count" and wanted is not None else wanted
            assert row[name] == (wanted if wanted is None else pytest.approx(wanted, rel=1e-9, abs=1e-12))


def _place(row: Mapping[str, Any], asked: Mapping[str, Any]) -> tuple[datetime, tuple[str, ...]]:
    return row["bucket_start"], tuple(row[name] for name in asked["group_by"])


def _all_starts(asked: Mapping[str, Any]) -> list[datetime]:
    at = start_of(asked["from_"], asked["window"], asked["from_"])
    found = []
    while at < asked["to"]:
        found.append(at)
        at = end_of(at, asked["window"], asked["to"])
    return found


def _made(at: datetime, known: list[tuple[datetime, float]], fill: str | int) -> float | None:
    before = [each for each in known if each[0] < at]
    after = [each for each in known if each[0] > at]
    match fill:
        case "null":
            return None
        case "zero":
            return 0
        case "previous":
            return before[-1][1] if before else None
        case "linear":
            if not before or not after:
                return None
            (x0, y0), (x1, y1) = before[-1], after[0]
            return y0 + (y1 - y0) * ((at - x0) / (x1 - x0))
    assert isinstance(fill, int)
    return fill


@given(events=happenings(), asked=_around_the_events(), limit=st.integers(1, 9), data=st.data())
@settings(max_examples=100, deadline=None)
def test_pages_by_cursor_or_by_offset_give_every_row_once_and_in_order(
    events: list[Happening], asked: dict[str, Any], limit: int, data: st.DataObject
) -> None:
    columns = ["time", *asked["fields"], *asked["group_by"]]
    signed = st.sampled_from([sign + name for name in columns for sign in ("", "-")])
    order = data.draw(st.lists(signed, max_size=3, unique_by=lambda each: each.lstrip("-")))
    asked |= {"order": order, "limit": limit}
    rows = _answered(make_query(**asked), events)
    whole = rows.to_dicts()
    named = {each.lstrip("-") for each in order}
    for column in reversed([*order, *(each for each in ("time", *asked["group_by"]) if each not in named)]):
        name = {"time": "bucket_start"}.get(column.lstrip("-"), column.lstrip("-"))
        some = [row for row in whole if row[name] is not None]
        some.sort(key=lambda row: row[name], reverse=column.startswith("-"))
        whole = some + [row for row in whole if row[name] is None]
    by_cursor, cursor = [], None
    while True:
        found = page(rows.sample(fraction=1, shuffle=True, seed=1), make_query(**asked, cursor=cursor))
        by_cursor += found.rows.to_dicts()
        assert len(by_cursor) <= len(whole)
        if (cursor := found.next_cursor) is None:
            break
    by_offset = []
    for offset in range(0, max(1, len(whole)), limit):
        by_offset += page(rows, make_query(**asked, offset=offset)).rows.to_dicts()
    assert by_offset == by_cursor == whole


def test_a_revision_is_the_newest_of_those_that_were_merged() -> None:
    events = [
        Happening(NEWEST - timedelta(minutes=i + 1), _SERIES[i % 4], {"latency_ms": Fraction(1)}) for i in range(7)
    ]
    query = make_query(
        metric="latency_ms", from_=NEWEST - timedelta(minutes=7), to=NEWEST, fields=["count"], window="7m"
    )
    minutes = _stored(events)["1m"]
    (bucket,) = {each.window.name for each in plan(query)}
    assert bucket == "1m"
    rows = _answered(query, events)
    assert rows.get_column("revision").max() == (minutes.starts_us // 60_000_000 % 7 + minutes.series_ids).max()


def test_a_line_goes_by_time_and_months_differ_in_length() -> None:
    ends = [datetime(2025, 12, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC)]
    events = [
        Happening(at, _SERIES[0], {"latency_ms": Fraction(value)})
        for at, value in [(datetime(2026, 1, 9, tzinfo=UTC), 59), (datetime(2026, 3, 9, tzinfo=UTC), 118)]
    ]
    query = make_query(metric="latency_ms", from_=ends[0], to=ends[1], fields=["max"], window="1M", fill="linear")
    assert _answered(query, events).get_column("max").to_list() == [None, 59.0, 59.0 + 31, 118.0]


def test_groups_of_one_bucket_are_told_apart_by_a_cursor() -> None:
    at = NEWEST - timedelta(minutes=1)
    events = [Happening(at, series, {"latency_ms": Fraction(5)}) for series in _SERIES]
    asked: dict[str, Any] = {"metric": "latency_ms", "from_": at, "to": NEWEST, "fields": ["max"], "limit": 1}
    asked |= {"group_by": ["service", "region"], "order": ["-max"]}
    found, cursor = [], None
    for _ in _SERIES:
        given = page(_answered(make_query(**asked), events), make_query(**asked, cursor=cursor))
        found += given.rows.select("service", "region").rows(named=True)
        cursor = given.next_cursor
    assert (found, cursor) == (_SERIES, None)


def test_percentiles_are_the_nearest_ranks() -> None:
    at = NEWEST - timedelta(minutes=1)
    events = [Happening(at, _SERIES[0], {"latency_ms": Fraction(2**power)}) for power in range(20)]
    fields = ["p0", "p5", "p5.1", "median", "p95", "p95.1", "p100"]
    query = make_query(metric="latency_ms", from_=at, to=NEWEST, fields=fields)
    (row,) = _answered(query, events).to_dicts()
    ranks = [0, 0, 1, 9, 18, 19, 19]
    assert [row[name] for name in fields] == [pytest.approx(2**power, rel=0.0109) for power in ranks]


def test_a_cursor_of_another_query_or_of_none_is_refused() -> None:
    asked = {"metric": "latency_ms", "from_": NEWEST - timedelta(1), "to": NEWEST, "fields": ["max"], "window": "1m"}
    events = [Happening(NEWEST - timedelta(minutes=i + 1), _SERIES[0], {"latency_ms": Fraction(i)}) for i in range(5)]
    query = make_query(**asked, limit=2)
    cursor = page(_answered(query, events), query).next_cursor
    other = make_query(**asked | {"window": "5m"})
    for text, against in [(cursor, other), ("x", query), ("", query), ("bm90IGEgY3Vyc29y", query), ("é", query)]:
        with pytest.raises(QueryError, match="cursor is not one of this query"):
            page(_answered(against, events), replace(against, cursor=text))


def test_a_fill_of_more_rows_than_are_answered_is_refused() -> None:
    query = make_query(
        metric="events", from_=NEWEST - timedelta(1000), to=NEWEST, window="1m", fields=["count"], fill="zero"
    )
    with pytest.raises(QueryError, match="more than 1000000 rows"):
        _answered(query, [])
