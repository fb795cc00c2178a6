"""From a points frame to one bundle of arrays per series and metric, checked once. No statistics here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

import numpy as np
import polars as pl

from lah_platform.anomalies.rolling import Floats, Ints

POINT_COLUMNS = ("series_id", "metric", "bucket_start", "value", "count", "hist_keys", "hist_counts")


@dataclass(frozen=True, slots=True)
class Series:
    """One metric of one series, ascending in time. `bucket` numbers buckets from the first one; `values` may hold
    NaN; (`hist_row`, `hist_keys`, `hist_counts`) are the histograms laid end to end."""

    series_id: int
    metric: str
    counts_events: bool
    first_us: int
    step_us: int
    bucket: Ints
    until: int
    values: Floats
    counts: Floats
    hist_row: Ints
    hist_keys: Ints
    hist_counts: Ints


def counters_of(begun: Mapping[tuple[int, str], int]) -> dict[int, str]:
    """Of each series the metric that counts its events, by the start (any unit) of each series and metric: `events` if
    it is there from the start, else the one that begins first."""
    candidates: dict[int, tuple[int, bool, str]] = {}
    for (series_id, metric), first in begun.items():
        candidate = (first, metric != "events", metric)
        candidates[series_id] = min(candidates.get(series_id, candidate), candidate)
    return {series_id: metric for series_id, (_, _, metric) in candidates.items()}


def iter_series(points: pl.DataFrame, step: timedelta, until: datetime | None, min_rows: int) -> Iterator[Series]:
    """Every series and metric of the frame with at least `min_rows` buckets before `until`.

    Of a series' metrics one `counts_events`: `events` where it is there from the start, else the one that begins
    first, so that one silence is told once. Raises ValueError on a frame that is not what it says it is.
    """
    frame, end_us = _checked(points, step, until)
    if frame.is_empty():
        return
    step_us = step // timedelta(microseconds=1)
    start_us = frame["bucket_start"].dt.epoch("us").to_numpy()
    ids, metrics = frame["series_id"].to_numpy(), frame["metric"].to_list()
    values = frame["value"].cast(pl.Float64).fill_null(float("nan")).to_numpy()
    counts = frame["count"].cast(pl.Float64).fill_null(0.0).to_numpy()
    lengths = frame["hist_keys"].list.len().fill_null(0).to_numpy().astype(np.int64)
    hist_end = np.concatenate([[0], np.cumsum(lengths)])
    hist_keys, hist_counts = _flat(frame["hist_keys"]), _flat(frame["hist_counts"])
    if len(hist_keys) != len(hist_counts):
        raise ValueError("hist_keys and hist_counts differ in length")
    borders = _borders(frame)
    begun = {(int(ids[begin]), metrics[begin]): int(start_us[begin]) for begin in borders[:-1]}
    counters = counters_of(begun)
    for begin, end in pairwise(borders):
        bucket, rest = np.divmod(start_us[begin:end] - start_us[begin], step_us)
        if rest.any() or (len(bucket) > 1 and np.diff(bucket).min() < 1):
            raise ValueError(
                f"series {ids[begin]} metric {metrics[begin]}: bucket_start repeats or is off the grid of {step}"
            )
        if end - begin < min_rows:
            continue
        part = slice(hist_end[begin], hist_end[end])
        yield Series(
            series_id=int(ids[begin]),
            metric=metrics[begin],
            counts_events=counters[int(ids[begin])] == metrics[begin],
            first_us=int(start_us[begin]),
            step_us=step_us,
            bucket=bucket,
            until=int((end_us - start_us[begin]) // step_us),
            values=np.where(np.isfinite(values[begin:end]), values[begin:end], np.nan),
            counts=counts[begin:end],
            hist_row=np.repeat(np.arange(end - begin), lengths[begin:end]),
            hist_keys=hist_keys[part],
            hist_counts=hist_counts[part],
        )


def _checked(points: pl.DataFrame, step: timedelta, until: datetime | None) -> tuple[pl.DataFrame, int]:
    missing = [name for name in POINT_COLUMNS if name not in points.columns]
    if missing:
        raise ValueError(f"points lack the columns {', '.join(missing)}")
    if step <= timedelta(0):
        raise ValueError(f"step must be positive, not {step}")
    dtype = points.schema["bucket_start"]
    if not isinstance(dtype, pl.Datetime) or dtype.time_zone is None:
        raise ValueError("bucket_start must be a Datetime with a time zone")
    if until is not None and until.tzinfo is None:
        raise ValueError("until must carry a time zone")
    frame = points.select(POINT_COLUMNS).with_columns(pl.col("bucket_start").cast(pl.Datetime("us", "UTC")))
    end = pl.col("bucket_start") + step
    if until is not None:
        frame = frame.filter(end <= until)
    frame = frame.sort("series_id", "metric", "bucket_start")
    last = frame.select(end.max().dt.epoch("us")).item()
    end_us = last if until is None else (until.timestamp() * 1_000_000)
    return frame, 0 if frame.is_empty() else int(end_us)


def _flat(lists: pl.Series) -> Ints:
    # through Arrow: what explode makes of an empty list differs between versions of polars
    return pl.Series(lists.to_arrow().flatten(), dtype=pl.Int64).to_numpy()


def _borders(frame: pl.DataFrame) -> list[int]:
    sizes = frame.group_by("series_id", "metric", maintain_order=True).len()["len"].to_numpy()
    return [0, *np.cumsum(sizes).tolist()]
