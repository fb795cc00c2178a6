"""From stored rows to the answer's rows: merging by bucket and group, and the fields of what was merged.

Belongs here: arithmetic on merged aggregates. Nothing is averaged: moments and histograms merge as in
`rollups.combine`, and fields are computed from the result.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import polars as pl

from lah_platform.rollups.aggregates import TIME, Aggregates
from lah_platform.rollups.combine import combine
from lah_platform.timeseries.buckets import Bucket
from lah_platform.timeseries.fields import Field
from lah_platform.timeseries.fill import filled
from lah_platform.timeseries.query import Query

__all__ = ["Groups", "StoredRows", "answer", "complete", "measured", "merged"]

_US_PER_S = 1_000_000


@dataclass(frozen=True)
class StoredRows:
    """Rows of rollup tables: their aggregates, and of each its revision and when it was computed (µs since 1970)."""

    aggregates: Aggregates
    revisions: npt.NDArray[np.int64]
    computed_us: npt.NDArray[np.int64]

    @staticmethod
    def concat(parts: Sequence["StoredRows"]) -> "StoredRows":
        """The rows of all parts."""
        nothing = np.empty(0, np.int64)
        return StoredRows(
            Aggregates.concat([part.aggregates for part in parts]),
            np.concatenate([nothing, *(part.revisions for part in parts)]),
            np.concatenate([nothing, *(part.computed_us for part in parts)]),
        )

    def take(self, places: npt.NDArray[np.intp]) -> "StoredRows":
        """Those rows, in that order."""
        return StoredRows(self.aggregates.take(places), self.revisions[places], self.computed_us[places])


@dataclass(frozen=True)
class Groups:
    """Which group each series belongs to: `series_ids` ascending, `group_of` beside them, and the groups' dimensions.

    `dimensions` has one text column for each of the query's `group_by`, one row a group.
    """

    series_ids: npt.NDArray[np.int64]
    group_of: npt.NDArray[np.int64]
    dimensions: pl.DataFrame

    @staticmethod
    def of(series: pl.DataFrame, group_by: Sequence[str]) -> "Groups":
        """Groups of a frame with `series_id` and the columns `group_by`."""
        series = series.sort("series_id")
        if not group_by:
            group_of = np.zeros(series.height, np.int64)
            return Groups(series.get_column("series_id").to_numpy(), group_of, pl.DataFrame())
        dimensions = series.select(group_by).unique().sort(group_by)
        numbered = series.join(dimensions.with_row_index("group"), on=list(group_by), how="left", maintain_order="left")
        return Groups(
            series.get_column("series_id").to_numpy(),
            numbered.get_column("group").cast(pl.Int64).to_numpy(),
            dimensions,
        )


def merged(rows: StoredRows, groups: Groups, bucket: Bucket) -> StoredRows:
    """One row for each group and bucket that has values: the number of the group stands in place of the series' id."""
    if not len(rows.aggregates):
        return rows
    places = np.searchsorted(groups.series_ids, rows.aggregates.series_ids)
    parts = replace(
        rows.aggregates,
        series_ids=groups.group_of[places],
        starts_us=bucket.floor_us(rows.aggregates.starts_us),
    )
    found, went_to = combine(parts)
    revisions, computed_us = np.zeros(len(found), np.int64), np.zeros(len(found), np.int64)
    np.maximum.at(revisions, went_to, rows.revisions)
    np.maximum.at(computed_us, went_to, rows.computed_us)
    return StoredRows(found, revisions, computed_us)


def measured(query: Query, rows: StoredRows) -> pl.DataFrame:
    """The fields of rows that `merged` made: group, bucket_start (µs), the fields, is_filled, revision, computed_at."""
    order = np.lexsort((rows.aggregates.starts_us, rows.aggregates.series_ids))
    aggregates = rows.aggregates.take(order)
    return pl.DataFrame(
        {
            "group": pl.Series(aggregates.series_ids, dtype=pl.Int64),
            "bucket_start": pl.Series(aggregates.starts_us, dtype=pl.Int64),
            **{each.name: _column(each, query, aggregates) for each in query.fields},
            "is_filled": np.zeros(len(order), np.bool_),
            "revision": pl.Series(rows.revisions[order], dtype=pl.Int64),
            "computed_at": pl.Series(rows.computed_us[order], dtype=pl.Int64).cast(TIME),
        }
    )


def answer(query: Query, frames: Sequence[pl.DataFrame], groups: Groups, final_before_us: int | None) -> pl.DataFrame:
    """The whole answer, not ordered yet, of what `measured` made of all its rows.

    Columns: bucket_start, bucket_end, the dimensions of `group_by`, the fields, is_final, is_filled, revision,
    computed_at. Counts are Int64; sums of counters Decimal(38, 12), exact; other fields Float64, null where there is
    none (a stddev of one value). Of a bucket that begins before or ends after the range only what lies in the range is
    counted, and rates are per second of that. `final_before_us`: the watermark. QueryError when a fill makes too many.
    """
    frame = filled(pl.concat(frames or [measured(query, StoredRows.concat([]))]), query)
    starts_us = frame.get_column("bucket_start").to_numpy()
    ends_us = query.bucket.ends_us(starts_us)
    is_final = np.minimum(ends_us, query.to_us) <= (-1 if final_before_us is None else final_before_us)
    return frame.select(
        pl.col("bucket_start").cast(TIME),
        pl.Series("bucket_end", ends_us, pl.Int64).cast(TIME),
        *(groups.dimensions.get_column(name).gather(frame.get_column("group")) for name in query.group_by),
        *(field.name for field in query.fields),
        pl.Series("is_final", is_final),
        "is_filled",
        "revision",
        "computed_at",
    )


def complete(query: Query, pieces: Iterable[tuple[StoredRows, int]], groups: Groups) -> Iterator[pl.DataFrame]:
    """What `measured` makes of rows that come piece by piece, each bucket as soon as it is complete.

    `pieces` in order of time: rows, and the time (µs) before which no later piece holds any. So histograms of no more
    than a piece, and of the bucket that it ends in, are in memory.
    """
    waiting = StoredRows.concat([])
    for rows, until_us in pieces:
        found = merged(rows, groups, query.bucket)
        waiting = _together([waiting, found], query) if len(waiting.aggregates) else found
        is_done = waiting.aggregates.starts_us < query.bucket.floor_us(np.array([until_us]))
        if is_done.any():
            yield measured(query, waiting.take(np.flatnonzero(is_done)))
        waiting = waiting.take(np.flatnonzero(~is_done))
    if len(waiting.aggregates):
        yield measured(query, waiting)


def _together(parts: Sequence[StoredRows], query: Query) -> StoredRows:
    """Parts that `merged` made, merged."""
    rows = StoredRows.concat(parts)
    of_group = np.arange(int(rows.aggregates.series_ids.max(initial=-1)) + 1)
    return merged(rows, Groups(of_group, of_group, pl.DataFrame()), query.bucket)


def _seconds(query: Query, starts_us: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """How much of each bucket lies in the range."""
    ends = np.minimum(query.bucket.ends_us(starts_us), query.to_us)
    seconds: npt.NDArray[np.float64] = (ends - np.maximum(starts_us, query.from_us)) / _US_PER_S
    return seconds


def _column(field: Field, query: Query, aggregates: Aggregates) -> pl.Series:
    match field.function:
        case "count":
            return pl.Series(aggregates.counts, dtype=pl.Int64)
        case "sum" if query.metric.is_exact:
            return aggregates.exact_column()
        case "quantile":
            found = aggregates.quantiles(field.q)
        case "sum_rate" if query.metric.is_exact:
            found = aggregates.exact_column().cast(pl.Float64).to_numpy() / _seconds(query, aggregates.starts_us)
        case "sum_rate":
            found = aggregates.sums / _seconds(query, aggregates.starts_us)
        case "count_rate":
            found = aggregates.counts / _seconds(query, aggregates.starts_us)
        case "stddev":
            found = np.sqrt(aggregates.m2) / np.sqrt(np.where(aggregates.counts > 1, aggregates.counts - 1, np.nan))
        case name:
            found = {"sum": aggregates.sums, "min": aggregates.low, "max": aggregates.high, "mean": aggregates.means}[
                name
            ]
    return pl.Series(found, dtype=pl.Float64, nan_to_null=True)
