"""The anomalies of days by the hour: what is remembered of each series is gone on from, what is stale made again.

A day is judged from a midnight four to eight weeks before it, the same for every run of it, so that a repetition tells
what the first run told.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import polars as pl

from lah_platform.anomalies import ANOMALY_SCHEMA
from lah_platform.anomalies.config import DEFAULT
from lah_platform.anomalies.memory import SeriesMemory, version
from lah_platform.anomalies.resume import Key, Resumed, resume
from lah_platform.stores.anomaly_memories import (
    Revisions,
    forget_outdated_memories,
    read_memories,
    read_revisions,
    write_memories,
)
from lah_platform.stores.points import read_points
from lah_platform.stores.postgres import Connection

__all__ = ["HISTORY", "Judged", "judge_days"]

HISTORY = timedelta(days=28)  # four weeks, at least: enough for the hour of week
_WINDOW, _STEP = "1h", timedelta(hours=1)
_EPOCH = datetime(1970, 1, 5, tzinfo=UTC)
_SERIES_AT_ONCE = 200  # their points and memories fit into some hundred MiB
_EPISODE = ["series_id", "metric", "anomaly_type", "started_at"]


@dataclass(frozen=True)
class Judged:
    """Episodes that touch the days; series and metrics judged, of them too new to be, and judged from the first bucket
    on because nothing, or something stale, was remembered."""

    found: pl.DataFrame
    series_ids: list[int]
    judged: int
    learning: int
    judged_anew: int


def judge_days(
    connection: Connection, measures: Mapping[str, str], start: datetime, end: datetime, *, after: datetime
) -> Judged:
    """Judge the whole hours of [start, end) UTC, midnights, that lie before `after`.

    From `end` to `after`, where that is later, only what had begun before is followed. Memories up to `end` are kept.
    """
    found, ids, judged, learning, anew = [], set[int](), 0, 0, 0
    for begin, until in _spans(start, end):
        span = _Span(connection, measures, _anchor(begin), begin, min(until, after), after)
        until_now = read_revisions(connection, list(measures), span.since, until)
        before = read_revisions(connection, list(measures), span.since, begin)
        series_ids = sorted({key[0] for key in until_now})
        ids.update(series_ids)
        for at in range(0, len(series_ids), _SERIES_AT_ONCE):
            chunk = series_ids[at : at + _SERIES_AT_ONCE]
            told, memories, made_again = span.judge(chunk, before)
            found.append(told)
            anew += made_again
            judged += len(memories)
            learning += sum(len(memory.bucket) <= DEFAULT.min_history for memory in memories.values())
            if span.until == until and _anchor(until) == span.since:
                span.keep(memories, until_now)
    forget_outdated_memories(connection, window=_WINDOW)
    whole = pl.concat([pl.DataFrame(schema=ANOMALY_SCHEMA), *found])
    return Judged(whole.unique(_EPISODE, keep="last", maintain_order=True), sorted(ids), judged, learning, anew)


def _anchor(day: datetime) -> datetime:
    return day - (day - _EPOCH) % HISTORY - HISTORY


def _spans(start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
    """The days cut where they are judged from another midnight."""
    while start < end:
        until = min(_anchor(start) + 2 * HISTORY, end)
        yield start, until
        start = until


@dataclass(frozen=True)
class _Span:
    """Days that are judged from the same midnight `since`."""

    connection: Connection
    measures: Mapping[str, str]
    since: datetime
    begin: datetime
    until: datetime
    after: datetime

    def judge(self, series_ids: Sequence[int], before: Revisions) -> tuple[pl.DataFrame, dict[Key, SeriesMemory], int]:
        """Episodes of some series, what is remembered of them, and how many series and metrics were judged anew."""
        known = read_memories(
            self.connection,
            series_ids,
            window=_WINDOW,
            since=self.since,
            through=self.begin,
            version=version(DEFAULT),
            revisions=before,
        )
        remembered = {key[0] for key in known}
        stale = sorted({key[0] for key in before} & set(series_ids) - remembered)
        made = self._resumed({}, stale, self.since, self.begin).memories if stale else {}
        done = self._resumed({**known, **made}, series_ids, self.begin, self.until)
        if self.after <= self.until:
            return done.found, done.memories, len(made)
        later = self._resumed(done.memories, series_ids, self.until, self.after).found
        grown = later.filter(pl.col("started_at") < self.until)
        told = pl.concat([done.found.join(grown, on=_EPISODE, how="anti"), grown])
        return told, done.memories, len(made)

    def keep(self, memories: Mapping[Key, SeriesMemory], revisions: Revisions) -> None:
        """Remember some series up to the end of the span."""
        write_memories(
            self.connection,
            memories,
            window=_WINDOW,
            since=self.since,
            through=self.until,
            version=version(DEFAULT),
            revisions=revisions,
        )

    def _resumed(
        self, memories: Mapping[Key, SeriesMemory], series_ids: Sequence[int], since: datetime, until: datetime
    ) -> Resumed:
        by_measure: dict[str, list[str]] = {}
        for metric, measure in self.measures.items():
            by_measure.setdefault(measure, []).append(metric)
        points = pl.concat(
            read_points(self.connection, _WINDOW, measure, names, since, until, series_ids=series_ids)
            for measure, names in by_measure.items()
        )
        return resume(memories, points, window=_WINDOW, step=_STEP, since=since, until=until)
