"""Going on where the last tick stood: further points are judged by what is remembered of those before.

Held equal to `detect`, which judges from the first bucket on, by `tests/anomalies/test_resume.py`. What streams
(surprise, distances of histograms) costs what the new points cost; what looks back (robust deviations, rates) is
computed only where something could be told.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np
import polars as pl

from lah_platform.anomalies.config import DEFAULT, DetectorConfig
from lah_platform.anomalies.distribution import DistributionVerdict, continued
from lah_platform.anomalies.findings import (
    Finding,
    Grid,
    as_frame,
    distribution_findings,
    frequency_findings,
    level_findings,
    told,
)
from lah_platform.anomalies.frequency import may_deviate
from lah_platform.anomalies.judging import Levels, weigh
from lah_platform.anomalies.memory import SeriesMemory, Shifts
from lah_platform.anomalies.phase import slot_us
from lah_platform.anomalies.rolling import Floats
from lah_platform.anomalies.series import Series, counters_of, iter_series
from lah_platform.anomalies.surprise import Surprise, judged

Key = tuple[int, str]
"""A series' id and a metric."""


@dataclass(frozen=True, slots=True)
class Resumed:
    """Episodes that touch the new time, columns as ANOMALY_SCHEMA, and what is to be remembered of every series."""

    found: pl.DataFrame
    memories: dict[Key, SeriesMemory]


def resume(
    memories: Mapping[Key, SeriesMemory],
    points: pl.DataFrame,
    *,
    window: str,
    step: timedelta,
    since: datetime,
    until: datetime,
    config: DetectorConfig = DEFAULT,
) -> Resumed:
    """The episodes of [since, until) UTC that `detect` would find in the points remembered and these together.

    memories: of every series and metric up to `since`, by this configuration; of a series that is not in it nothing is
    known. points: as for `detect`, all with bucket_start in [since, until). An episode that began before `since` and
    goes on is told whole.

    Raises ValueError as `detect` does, and for points outside [since, until).
    """
    if not points.is_empty():
        first, last = points["bucket_start"].min(), points["bucket_start"].max()
        if first < since or last >= until:  # type: ignore[operator]
            raise ValueError(f"points of {first!s} to {last!s} do not lie in {since} to {until}")
    step_us = step // timedelta(microseconds=1)
    new = {(each.series_id, each.metric): each for each in iter_series(points, step, until, 0)}
    begun = {key: memory.first_us for key, memory in memories.items()}
    counters = counters_of({key: each.first_us for key, each in new.items()} | begun)
    rows, kept = [], {}
    for key in sorted(memories.keys() | new.keys()):
        memory, series = memories.get(key), new.get(key)
        before = SeriesMemory.beginning(series.first_us) if memory is None and series is not None else memory
        if before is None:
            continue
        grid = Grid(*key, before.first_us, step_us)
        offset = _buckets(since, grid)
        after, shifted = _remember(before, series, grid, config)
        findings = [*_levels(before, after, grid, offset, config), *shifted]
        if counters[key[0]] == key[1] and len(after.bucket) >= config.min_history:
            findings += _counts(after, grid, offset, _buckets(until, grid), config)
        kept[key] = _with_ends(after, findings)
        rows += [told(grid, window, each) for each in findings if each.last_bucket >= offset]
    return Resumed(as_frame(rows), kept)


def _with_ends(memory: SeriesMemory, findings: Sequence[Finding]) -> SeriesMemory:
    levels, counts = [memory.last_active], [memory.last_unusual]
    for each in findings:
        if each.anomaly_type == "frequency_anomaly":
            counts.append(each.last_bucket)
        elif each.anomaly_type != "distribution_shift":
            levels.append(each.last_bucket)
    return replace(memory, last_active=max(levels), last_unusual=max(counts))


def _buckets(at: datetime, grid: Grid) -> int:
    return int((int(at.timestamp() * 1_000_000) - grid.first_us) // grid.step_us)


def _remember(
    before: SeriesMemory, series: Series | None, grid: Grid, config: DetectorConfig
) -> tuple[SeriesMemory, list[Finding]]:
    """The memory with the new points in it, surprises and distances judged; and shifts of distributions."""
    if series is None:
        return before, list(_shift_findings(before.shifts, config))
    unit = config.unit(grid.metric)
    bucket = series.bucket + (series.first_us - grid.first_us) // grid.step_us
    after = before.with_points(bucket, series.values, series.counts)
    present = ~np.isnan(series.values)
    if present.any():
        after = _surprised(before, after, grid, series.values[present], config)
    histograms = (series.hist_row, series.hist_keys, series.hist_counts)
    verdict, past = continued(before.past, *histograms, len(bucket), unit, config)
    held = np.flatnonzero(np.abs(verdict.deviation) >= config.distribution_exit)
    known, fresh = before.shifts, (bucket, verdict.deviation, verdict.distance, verdict.usual)
    columns = zip((known.bucket, known.deviation, known.distance, known.usual), fresh, strict=True)
    shifts = Shifts(*(np.concatenate([old, each[held]]) for old, each in columns))
    return replace(after, past=past, shifts=shifts), list(_shift_findings(shifts, config))


def _surprised(
    before: SeriesMemory, after: SeriesMemory, grid: Grid, values: Floats, config: DetectorConfig
) -> SeriesMemory:
    known = _present(after, grid, config)
    first = len(known.values) - len(values)
    hours = known.hours
    state = Surprise.resumed(
        config.memory, known.values[:first], None if hours is None else hours[:first], before.level
    )
    later = None if hours is None else hours[first:].tolist()
    surprise, by_phase = judged(state, values.tolist(), later, known.unit, config.relative_floor)
    return replace(
        after,
        surprise=np.concatenate([before.surprise, surprise]),
        by_phase=np.concatenate([before.by_phase, by_phase]),
        level=state.remembered(),
    )


def _present(memory: SeriesMemory, grid: Grid, config: DetectorConfig) -> Levels:
    present = ~np.isnan(memory.values)
    values, bucket, counts = memory.values[present], memory.bucket[present], memory.counts[present]
    return Levels(values, bucket, grid.first_us, grid.step_us, config.unit(grid.metric), counts, grid.metric)


def _levels(
    before: SeriesMemory, after: SeriesMemory, grid: Grid, offset: int, config: DetectorConfig
) -> Iterator[Finding]:
    """Spikes, drops and pattern deviations, where one is open still or a new value could open one."""
    known = len(before.surprise)
    levels = _present(after, grid, config)
    if len(levels.values) <= config.min_history:
        return
    is_open = before.last_active >= offset - config.max_gap - 1
    fresh, phase = after.surprise[known:], after.by_phase[known:]
    may_open = (fresh >= config.surprise).any() or levels.hours is None or (phase >= config.outside_phase).any()
    if is_open or may_open:
        verdict = weigh(levels, after.surprise, after.by_phase, config)
        yield from level_findings(levels.values, levels.bucket, verdict, config)


def _counts(memory: SeriesMemory, grid: Grid, offset: int, until: int, config: DetectorConfig) -> Iterator[Finding]:
    """Too many and too few, where an episode is open still or a new count could open one."""
    slot = slot_us(grid.step_us)
    slot_of = None if slot is None else (grid.first_us, grid.step_us, slot)
    is_open = memory.last_unusual >= offset - config.max_gap - 1
    if is_open or may_deviate(memory.bucket, memory.counts, offset, until, slot_of, config):
        yield from frequency_findings(memory.bucket, memory.counts, until, grid, config)


def _shift_findings(shifts: Shifts, config: DetectorConfig) -> Iterator[Finding]:
    if len(shifts.bucket):
        verdict = DistributionVerdict(shifts.deviation, shifts.distance, shifts.usual)
        yield from distribution_findings(shifts.bucket, verdict, config)
