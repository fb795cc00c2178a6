"""What is forecast: the hourly sums of the shared LLM traces, or a file's series, each cut into a past and its future.

Not here: methods and scores.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

__all__ = ["Task", "from_file", "from_traces", "sampled"]

Floats = npt.NDArray[np.float64]
_WEEK_HOURS = 168
_SERVEGEN = ("m-small", "m-large")
_BURSTGPT = ("conversation", "api", "all")


@dataclass(frozen=True)
class Task:
    """Forecast `actual` from `past`: one value a bucket, without gaps in the past; NaN in `actual` is not judged."""

    series_id: str
    past: Floats
    actual: Floats


def from_traces(folder: Path, *, horizon: int, origins: int) -> list[Task]:
    """Requests an hour: total and every client of ServeGen's m-small and m-large, and BurstGPT's three logs.

    A day ahead from every midnight, the last `origins` of them at most, with a week of history or more.
    Raises FileNotFoundError.
    """
    folder = folder / "llm_traces"
    series: dict[str, Floats] = {}
    for model in _SERVEGEN:
        hours = (
            pl.read_parquet(folder / f"servegen_{model}_days0-9.parquet")
            .group_by("client", hour=pl.col("t_s") // 3600)
            .agg(pl.col("requests").sum().cast(pl.Float64))
            .sort("client", "hour")
        )
        total = hours.group_by("hour").agg(pl.col("requests").sum()).sort("hour")
        series[f"{model}/total"] = total["requests"].to_numpy()
        for (client,), part in hours.group_by("client", maintain_order=True):
            series[f"{model}/client-{client}"] = part["requests"].to_numpy()
    logs = pl.read_parquet(folder / "burstgpt1_hourly_days0-39.parquet").sort("t_s")
    for name in _BURSTGPT:
        series[f"burstgpt/{name}"] = logs[name].to_numpy().astype(np.float64)
    return [
        task
        for name, values in series.items()
        for task in _rolling(name, values, horizon, origins, least=_WEEK_HOURS, every=24)
    ]


def from_file(path: Path, *, seasons: tuple[int, ...], horizon: int, origins: int) -> list[Task]:
    """The series of a CSV or Parquet file with series_id, step or timestamp, y and, if wanted, split (train, test).

    With `split` there is one task a series and its test part sets the horizon; without, `origins` windows of `horizon`
    buckets follow one another up to the end, each after two of the longest season that leaves a window. Missing
    buckets of the past lie on the line between their neighbours. Raises ValueError for other columns.
    """
    frame = pl.read_parquet(path) if path.suffix == ".parquet" else pl.read_csv(path, try_parse_dates=True)
    at = "step" if "step" in frame.columns else "timestamp"
    if missing := {"series_id", at, "y"} - set(frame.columns):
        raise ValueError(f"{path.name} has no column {', '.join(sorted(missing))}")
    has_split = "split" in frame.columns
    frame = frame.with_columns(
        pl.col("series_id").cast(pl.String),
        pl.col("y").cast(pl.Float64),
        at=pl.col(at).dt.epoch("us") if frame.schema[at].is_temporal() else pl.col(at).cast(pl.Int64),
    )
    tasks: list[Task] = []
    for (series_id,), part in frame.sort("series_id", "at").group_by("series_id", maintain_order=True):
        values, is_test = _on_a_grid(part, has_split)
        if has_split:
            if is_test.any() and not is_test.all():
                first = int(np.argmax(is_test))
                tasks.append(Task(str(series_id), _filled(values[:first]), values[first:]))
            continue
        least = next((2 * m for m in sorted(seasons, reverse=True) if 2 * m + horizon <= len(values)), 2)
        tasks.extend(_rolling(str(series_id), values, horizon, origins, least=least, every=horizon))
    return tasks


def sampled(tasks: list[Task], series: int, *, seed: int) -> list[Task]:
    """The tasks of `series` series drawn at random; totals stay in, for they are judged by themselves."""
    names = sorted({task.series_id for task in tasks})
    kept = {name for name in names if name.endswith("/total") or name.startswith("burstgpt/")}
    others = [name for name in names if name not in kept]
    drawn = np.random.default_rng(seed).permutation(len(others))[: max(series - len(kept), 0)]
    kept |= {others[i] for i in drawn}
    return [task for task in tasks if task.series_id in kept]


def _on_a_grid(part: pl.DataFrame, has_split: bool) -> tuple[Floats, npt.NDArray[np.bool_]]:
    at = part["at"].to_numpy()
    width = int(np.diff(at).min()) if len(at) > 1 else 1
    if width < 1:
        raise ValueError(f"series {part['series_id'][0]} repeats a bucket")
    place = (at - at[0]) // width
    values = np.full(int(place[-1]) + 1, np.nan)
    values[place] = part["y"].fill_null(float("nan")).to_numpy()
    is_test = np.zeros(len(values), dtype=bool)
    if has_split and (part["split"] == "test").any():
        is_test[int(place[int(part["split"].eq("test").arg_max() or 0)]) :] = True
    return values, is_test


def _filled(values: Floats) -> Floats:
    known = np.flatnonzero(np.isfinite(values))
    if not len(known):
        return values[:0]
    kept = np.arange(known[0], len(values))
    return np.interp(kept, known, values[known])


def _rolling(name: str, values: Floats, horizon: int, origins: int, *, least: int, every: int) -> list[Task]:
    starts = range(len(values) - horizon, least - 1, -every)
    return [Task(name, _filled(values[:at]), values[at : at + horizon]) for at in list(starts)[:origins]]
