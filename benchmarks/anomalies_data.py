"""Labelled series for the anomaly benchmark: what is read, and windows around labels. No scoring here."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

__all__ = ["SHARED", "Bools", "Floats", "Ints", "Labelled", "label_runs", "read_shared", "read_table"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data" / "anomaly"
_FILES = {
    "nab": "nab.parquet",
    "cloud": "ms_cloud_monitoring.parquet",
    "kpi": "aiops_kpi_train_part.parquet",
}
_WINDOW_SHARE = 0.10  # of a series' points lie in its windows together, by NAB's rules


@dataclass(frozen=True, slots=True)
class Labelled:
    """One series: UTC microseconds, values, labels, and NAB windows as (first, last) positions, both included."""

    series_id: str
    at_us: Ints
    values: Floats
    labels: Bools
    windows: tuple[tuple[int, int], ...]

    @property
    def weeks(self) -> float:
        """How long the series is."""
        return float(self.at_us[-1] - self.at_us[0]) / (7 * 86_400_000_000) if len(self.at_us) > 1 else 0.0


def label_runs(labels: Bools) -> list[tuple[int, int]]:
    """First and last position of each run of labels."""
    edges = np.diff(np.concatenate([[0], labels.astype(np.int8), [0]]))
    return [(int(a), int(b)) for a, b in zip(np.flatnonzero(edges == 1), np.flatnonzero(edges == -1) - 1, strict=True)]


def windows_around(labels: Bools) -> tuple[tuple[int, int], ...]:
    """NAB windows from labels: each run widened about its centre to its share of 10 % of the points; touching ones
    merge.

    Labels that cover nearly as much already are taken for windows.
    """
    runs, points = label_runs(labels), len(labels)
    if not runs:
        return ()
    if labels.mean() < 0.9 * _WINDOW_SHARE:
        half = int(_WINDOW_SHARE * points / len(runs)) // 2
        centres = [(first + last) // 2 for first, last in runs]
        wide = [
            (max(min(f, c - half), 0), min(max(e, c + half), points - 1))
            for (f, e), c in zip(runs, centres, strict=True)
        ]
        runs = []
        for first, last in wide:
            if runs and first <= runs[-1][1] + 1:
                runs[-1] = (runs[-1][0], max(last, runs[-1][1]))
            else:
                runs.append((first, last))
    return tuple(runs)


def read_table(path: Path) -> list[Labelled]:
    """Series of a CSV or Parquet file with the columns series_id, timestamp, value, is_anomaly, in any order of rows.

    Timestamps are dates and times (UTC where none is given), texts of them, or unix seconds.
    """
    frame = pl.read_csv(path, try_parse_dates=True) if path.suffix in {".csv", ".gz"} else pl.read_parquet(path)
    return _series(frame)


def read_shared(name: str) -> list[Labelled] | None:
    """The shared data set `nab`, `cloud` or `kpi`; None where it is absent."""
    path = SHARED / _FILES[name]
    if not path.exists():
        return None
    series = _series(pl.read_parquet(path))
    if name == "nab":
        named = {key.removesuffix(".csv"): value for key, value in _official().items()}
        series = [_with_windows(each, named[each.series_id]) for each in series]
    return series


def _official() -> dict[str, list[list[str]]]:
    windows: dict[str, list[list[str]]] = json.loads((SHARED / "nab_combined_windows.json").read_text())
    return windows


def _with_windows(series: Labelled, limits: Sequence[Sequence[str]]) -> Labelled:
    def position(text: str) -> int:
        at_us = int(np.datetime64(text.replace(" ", "T"), "us").astype(np.int64))
        return int(np.flatnonzero(series.at_us == at_us)[0])

    windows = tuple((position(first), position(last)) for first, last in limits)
    return Labelled(series.series_id, series.at_us, series.values, series.labels, windows)


def _series(frame: pl.DataFrame) -> list[Labelled]:
    frame = frame.rename(
        {a: b for a, b in {"series": "series_id", "label": "is_anomaly"}.items() if a in frame.columns}
    )
    dtype = frame.schema["timestamp"]
    at: Any = pl.col("timestamp")
    if dtype == pl.String:
        at = at.str.to_datetime(time_unit="us")
    elif dtype.is_numeric():
        at = pl.from_epoch(at.cast(pl.Int64), time_unit="s")
    at = at.cast(pl.Datetime("us")) if not isinstance(dtype, pl.Datetime) else at.dt.cast_time_unit("us")
    frame = frame.with_columns(at.dt.epoch("us").alias("timestamp"), pl.col("series_id").cast(pl.String))
    frame = frame.with_columns(pl.col("value").cast(pl.Float64), pl.col("is_anomaly").cast(pl.Boolean))
    return list(_each(frame))


def _each(frame: pl.DataFrame) -> Iterable[Labelled]:
    # the file's order within a series is kept where times ascend; NAB's hour of daylight saving repeats its times
    for (name,), part in frame.sort("series_id", maintain_order=True).group_by("series_id", maintain_order=True):
        if not part["timestamp"].is_sorted() and part["timestamp"].n_unique() == part.height:
            part = part.sort("timestamp")
        labels = part["is_anomaly"].fill_null(False).to_numpy().astype(np.bool_)
        yield Labelled(
            str(name),
            part["timestamp"].to_numpy(),
            part["value"].to_numpy().astype(np.float64),
            labels,
            windows_around(labels),
        )
