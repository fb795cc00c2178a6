"""Hourly points of one tenant as a matrix, and their changes freed of the daily and weekly pattern."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lah_platform.correlations.config import CorrelationConfig

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_HOUR_US = 3_600_000_000


@dataclass(frozen=True, slots=True)
class SeriesKey:
    series_id: int
    metric: str
    subtype: str
    model: str


@dataclass(frozen=True, slots=True)
class Hourly:
    """Rows are series, columns consecutive hours from `first_hour` (hours since 1970, UTC); NaN where no value."""

    tenant: str
    keys: list[SeriesKey]
    first_hour: int
    values: Floats
    skipped_pairs: int

    def at(self, column: int) -> datetime:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(hours=self.first_hour + column)


def hourly_by_tenant(points: pl.DataFrame, config: CorrelationConfig) -> Iterator[Hourly]:
    """One matrix per tenant: the last `max_hours`, and of more than `max_series` series the fullest.

    Raises ValueError when a bucket is not a full hour or a series and metric has two values for one.
    """
    frame = points.select(
        "tenant",
        "series_id",
        "metric",
        pl.col("subtype").fill_null(""),
        pl.col("model").fill_null(""),
        pl.col("bucket_start").dt.epoch("us").alias("us"),
        pl.col("value").cast(pl.Float64),
    ).filter(pl.col("value").is_finite())
    if frame.filter(pl.col("us") % _HOUR_US != 0).height:
        raise ValueError("points must be hourly: a bucket_start is not a full hour")
    frame = frame.with_columns((pl.col("us") // _HOUR_US).alias("hour"))
    key = ["series_id", "metric", "subtype", "model"]
    for (tenant,), everything in frame.group_by("tenant", maintain_order=True):
        part = everything.filter(pl.col("hour") > pl.col("hour").max() - config.max_hours)
        if part.select("series_id", "metric", "hour").is_duplicated().any():
            raise ValueError(f"points of tenant {tenant} hold two values for one series, metric and hour")
        sizes = part.group_by(key).len().filter(pl.col("len") >= config.min_hours)
        sizes = sizes.sort(["len", *key], descending=[True, False, False, False, False])
        kept = sizes.head(config.max_series).sort(key).with_row_index("row")
        skipped = _pairs(sizes.height) - _pairs(kept.height)
        cells = part.join(kept, on=key)
        first = int(part["hour"].min())  # type: ignore[arg-type]
        values = np.full((kept.height, int(part["hour"].max()) - first + 1), np.nan)  # type: ignore[arg-type]
        values[cells["row"].to_numpy(), cells["hour"].to_numpy() - first] = cells["value"].to_numpy()
        keys = [SeriesKey(*row) for row in kept.select(key).iter_rows()]
        yield Hourly(str(tenant), keys, first, values, skipped)


def _pairs(size: int) -> int:
    return size * (size - 1) // 2


def phases(hourly: Hourly) -> NDArray[np.int64]:
    """Phase of each column: the hour of week from three weeks on; before, the hour of a Monday, a Saturday, a Sunday
    or any other day (UTC), for those three differ from the day before them wherever people work."""
    hours = hourly.first_hour + np.arange(hourly.values.shape[1])
    weekday = (hours // 24 + 3) % 7  # 1970 began on a Thursday; Monday is 0
    if len(hours) < 3 * 168:
        weekday = np.array([0, 1, 1, 1, 1, 2, 3])[weekday]
    phase: NDArray[np.int64] = weekday * 24 + hours % 24
    return phase


@dataclass(frozen=True, slots=True)
class ScoredChanges:
    """`values`: mean 0 and variance 1 per row, 0 where not known. `weight`: what a value is worth as an observation,
    (m - 1) / m where its phase has m, 0 where not known."""

    values: Floats
    weight: Floats


def scored_changes(hourly: Hourly) -> ScoredChanges:
    """Ranks of hour-to-hour changes, freed of the mean of their phase and of the daily change of their spread.

    Differences make wandering levels comparable, the common rhythm of day and week is no evidence, and ranks keep
    a few outliers from deciding.
    """
    phase = phases(hourly)
    return scored(hourly.values, phase, phase % 24)


def scored(values: Floats, phase: NDArray[np.int64], part: NDArray[np.int64]) -> ScoredChanges:
    """Ranks of step-to-step changes of each row, less the mean of their `phase`, over the spread of their `part` (a
    small number for each column both)."""
    changes, phase, part = np.diff(values, axis=1), phase[1:], part[1:]
    known = ~np.isnan(changes)
    total, size = _by_phase(np.where(known, changes, 0.0), phase), _by_phase(known.astype(np.float64), phase)
    known &= size >= 2
    centred = np.where(known, changes - total / np.maximum(size, 1.0), 0.0)
    weight = np.where(known, 1.0 - 1.0 / np.maximum(size, 1.0), 0.0)
    power = centred**2
    spread = np.sqrt(_by_phase(power, part) / np.maximum(_by_phase(weight, part), 1e-300))
    usual = np.sqrt(power.sum(axis=1) / np.maximum(weight.sum(axis=1), 1e-300))
    scaled = np.where(known, centred / np.maximum(spread, 0.1 * usual[:, None] + 1e-300), 0.0)
    return ScoredChanges(_ranks(scaled, known), weight)


def _by_phase(values: Floats, phase: NDArray[np.int64]) -> Floats:
    """Sum of each row over the columns of one phase, spread back over these columns."""
    indicator = (phase[:, None] == np.arange(phase.max() + 1)).astype(np.float64)
    sums: Floats = (values @ indicator)[:, phase]
    return sums


def _ranks(values: Floats, known: Bools) -> Floats:
    ranks = np.zeros(values.shape)
    for row, here in enumerate(known):
        present = values[row, here]
        _, position, size = np.unique(present, return_inverse=True, return_counts=True)
        middle = np.cumsum(size) - (size + 1) / 2  # ties share their middle rank
        centred = middle[position] - (len(present) - 1) / 2
        scale = centred.std() if len(present) else 0.0
        ranks[row, here] = centred / scale if scale > 0 else 0.0
    return ranks
