"""Frames of points for the tests: a series is a list of values, None where a bucket is missing."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl

MONDAY = datetime(2025, 1, 6, tzinfo=UTC)
HOUR = timedelta(hours=1)

SCHEMA = {
    "series_id": pl.Int64,
    "metric": pl.Utf8,
    "bucket_start": pl.Datetime("us", "UTC"),
    "value": pl.Float64,
    "count": pl.Int64,
    "hist_keys": pl.List(pl.Int32),
    "hist_counts": pl.List(pl.Int64),
}


def points(
    values: Sequence[float | None],
    *,
    counts: Sequence[int] | int = 100,
    samples: Sequence[np.ndarray] | None = None,
    series_id: int = 1,
    metric: str = "latency_ms",
    step: timedelta = HOUR,
    start: datetime = MONDAY,
) -> pl.DataFrame:
    rows = []
    for i, value in enumerate(values):
        if value is None:
            continue
        keys, occurrences = histogram(samples[i]) if samples is not None else ([], [])
        count = counts if isinstance(counts, int) else counts[i]
        rows.append((series_id, metric, start + i * step, value, count, keys, occurrences))
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def histogram(sample: np.ndarray) -> tuple[list[int], list[int]]:
    """The rollups' keys: index + 2**20, mirrored for negative values, 0 for zero."""
    keys = [0 if v == 0 else int(np.sign(v)) * (int(np.ceil(np.log2(abs(v)) * 32)) - 1 + 2**20) for v in sample]
    found, counts = np.unique(np.array(keys, dtype=np.int64), return_counts=True)
    return found.tolist(), counts.tolist()


def noise(seed: int, size: int, level: float = 100.0, spread: float = 5.0) -> list[float]:
    return np.random.default_rng(seed).normal(level, spread, size).tolist()


def working_day(seed: int, days: int, night: float = 20.0, day: float = 200.0, step: timedelta = HOUR) -> list[float]:
    """From 9 to 17 `day`, else `night`, with 5 % noise."""
    rng = np.random.default_rng(seed)
    per_day = timedelta(days=1) // step
    hour = np.arange(days * per_day) % per_day * (step / HOUR)
    level = np.where((hour >= 9) & (hour < 17), day, night)
    return (level * rng.normal(1.0, 0.05, len(level))).tolist()
