"""Simulated series with a known future, and their points."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt
import polars as pl

Floats = npt.NDArray[np.float64]
HOUR = timedelta(hours=1)
START = datetime(2026, 3, 2, tzinfo=UTC)


def seasonal(rng: np.random.Generator, n: int) -> Floats:
    """A day's shape with noise of a tenth of its mean."""
    return 100 + 40 * np.sin(2 * np.pi * np.arange(n) / 24) + rng.normal(0, 10, n)


def random_walk(rng: np.random.Generator, n: int) -> Floats:
    return 1000 + np.cumsum(rng.normal(0, 5, n))


def bursty_counts(rng: np.random.Generator, n: int) -> Floats:
    """Negative binomial counts about a day's shape: variance far above the mean."""
    mean = 30 * (1 + 0.6 * np.sin(2 * np.pi * np.arange(n) / 24))
    return rng.negative_binomial(2, 2 / (2 + mean)).astype(np.float64)


def rare_counts(rng: np.random.Generator, n: int) -> Floats:
    """Nothing in four buckets of five."""
    return rng.poisson(0.2, n).astype(np.float64)


def points(
    values: Sequence[float | None] | Floats, *, series_id: int = 1, start: datetime = START, step: timedelta = HOUR
) -> pl.DataFrame:
    """Points of one series; None is a bucket without a row."""
    rows = [(series_id, "m", start + step * i, v) for i, v in enumerate(values) if v is not None]
    schema = {"series_id": pl.Int64, "metric": pl.String, "bucket_start": pl.Datetime("us", "UTC"), "value": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row")


def simulate(
    draw: Callable[[np.random.Generator, int], Floats], *, past: int, future: int, series: int, seed: int
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The past of many independent series, and their future as series_id, target_start, actual."""
    rng = np.random.default_rng(seed)
    drawn = [draw(rng, past + future) for _ in range(series)]
    pasts = pl.concat([points(values[:past], series_id=i) for i, values in enumerate(drawn)])
    futures = pl.concat(
        [points(values[past:], series_id=i, start=START + past * HOUR) for i, values in enumerate(drawn)]
    )
    return pasts, futures.select("series_id", target_start="bucket_start", actual="value")
