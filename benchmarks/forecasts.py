"""Forecasts of public series: ours beside the seasonal naive methods, each of our members alone, statsforecast's and
Prophet's, with the M4 competition's measures, interval coverage and seconds.

By default the hourly requests of the shared LLM traces, a day ahead from every midnight. M4 Hourly and other data by
`--data`; docs/forecasts.md says how to make the file. Nothing here is fitted on what is judged: a method sees a task's
past only.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from benchmarks.forecasts_data import Floats, Task, from_file, from_traces, sampled
from benchmarks.forecasts_peers import PEERS, PeerMissing, by_peers
from benchmarks.forecasts_scores import Made, Scores, score
from benchmarks.report import machine, progress
from lah_platform.forecasts.intervals import naive_bounds
from lah_platform.forecasts.lstm import ExtraMissing, lstm
from lah_platform.forecasts.members import MEMBERS, Member, NotFitted
from lah_platform.forecasts.one_series import LEVELS, forecast_values
from lah_platform.forecasts.state_space import arima, exponential_smoothing
from lah_platform.settings import settings

_SEED = 20261125
_SAMPLE = 120
_QUICK_SAMPLE = 24
_STATSMODELS_SECONDS = 90.0
_PEER_SECONDS = 330.0
_STATSMODELS = {"statsmodels_ets": exponential_smoothing, "statsmodels_arima": arima}

_Forecaster = Callable[[Task], Made]


def _lah(seasons: tuple[int, ...], contenders: dict[str, Member] | None = None) -> _Forecaster:
    def made(task: Task) -> Made:
        started = time.perf_counter()
        try:
            observed = np.ones(len(task.past), dtype=bool)
            found = forecast_values(task.past, observed, len(task.actual), seasons, contenders=contenders)
        except NotFitted:
            return Made(_last(task), seconds=time.perf_counter() - started)
        seconds = time.perf_counter() - started
        return Made(found.value, {round(100 * level): bounds for level, bounds in found.bounds.items()}, seconds)

    return made


def _naive(period: int) -> _Forecaster:
    def made(task: Task) -> Made:
        started = time.perf_counter()
        season = period if len(task.past) >= period else 1
        if len(task.past) < season:
            return Made(_last(task))
        value = task.past[len(task.past) - season + np.arange(len(task.actual)) % season]
        bounds = naive_bounds(value, task.past, season, LEVELS, non_negative=bool(task.past.min() >= 0))
        seconds = time.perf_counter() - started
        return Made(value, {round(100 * level): one for level, one in bounds.items()}, seconds)

    return made


def _single(member: Callable[[Floats, int, tuple[int, ...]], Floats], seasons: tuple[int, ...]) -> _Forecaster:
    def made(task: Task) -> Made:
        started = time.perf_counter()
        fitting = tuple(m for m in seasons if 2 * m <= len(task.past))
        try:
            value = member(task.past, len(task.actual), fitting or seasons)
        except (NotFitted, IndexError, ValueError, np.linalg.LinAlgError):
            value = _last(task)
        value = np.maximum(value, 0.0) if len(task.past) and task.past.min() >= 0 else value
        return Made(value, seconds=time.perf_counter() - started)

    return made


def _last(task: Task) -> Floats:
    return np.full(len(task.actual), task.past[-1] if len(task.past) else 0.0)


def _within(tasks: Sequence[Task], method: _Forecaster, seconds: float, seed: int) -> list[Made | None]:
    """What the method makes of the tasks, in random order, until the time is over."""
    made: list[Made | None] = [None] * len(tasks)
    until = time.monotonic() + seconds
    for i in np.random.default_rng(seed).permutation(len(tasks)).tolist():
        if time.monotonic() > until:
            break
        made[i] = method(tasks[i])
    return made


def _with_lstm(tasks: Sequence[Task], seasons: tuple[int, ...]) -> dict[str, _Forecaster]:
    """A network trained on the pasts of all tasks, alone, and ours with it; for one task a series only."""
    started = time.monotonic()
    member = lstm([task.past for task in tasks], max(len(task.actual) for task in tasks), seasons)
    progress(f"lstm: trained in {time.monotonic() - started:.1f} s")
    return {"lstm": _single(member, seasons), "lah_with_lstm": _lah(seasons, {"lstm": member})}


def methods_of(seasons: tuple[int, ...]) -> dict[str, _Forecaster]:
    """Ours, the seasonal naive methods and every member alone, each from a task's past to a forecast."""
    naive = {f"seasonal_naive_{m}": _naive(m) for m in seasons[:2]}
    members = {name: _single(member, seasons) for name, member in MEMBERS.items() if "naive" not in name}
    return {"lah": _lah(seasons), **naive, **members}


def _run(tasks: list[Task], seasons: tuple[int, ...], chosen: argparse.Namespace) -> dict[str, list[Made | None]]:
    made: dict[str, list[Made | None]] = {}
    methods = methods_of(seasons)
    if chosen.lstm and len({task.series_id for task in tasks}) == len(tasks):
        try:
            methods |= _with_lstm(tasks, seasons)
        except (ExtraMissing, NotFitted) as error:
            progress(f"skipped lstm: {error}")
    elif chosen.lstm:
        progress("skipped lstm: with several origins a network would be trained on what another origin is judged by")
    for name, method in methods.items():
        started = time.monotonic()
        made[name] = [method(task) for task in tasks]
        progress(f"{name}: {len(tasks)} forecasts in {time.monotonic() - started:.1f} s")
    for name, member in _STATSMODELS.items():
        seconds = (4.0 if chosen.quick else _STATSMODELS_SECONDS) / len(_STATSMODELS)
        made[name] = _within(tasks, _single(member, seasons), seconds, _SEED)
        progress(f"{name}: {sum(one is not None for one in made[name])} of {len(tasks)} forecasts")
    if chosen.no_peers:
        progress("skipped the peers: asked to")
        return made
    try:
        peers = PEERS + (("auto_arima",) if chosen.auto_arima else ())
        seconds = 1e9 if chosen.full else 8.0 if chosen.quick else chosen.peer_seconds
        made |= by_peers(tasks, peers, seasons, seconds=seconds, may_install=not chosen.quick, seed=_SEED)
    except PeerMissing as error:
        progress(f"skipped {', '.join(PEERS)}: {error}")
    return made


def _scored(tasks: Sequence[Task], made: Sequence[Made | None], season: int) -> Scores | None:
    reached = [(task, one) for task, one in zip(tasks, made, strict=True) if one is not None]
    return score([task for task, _ in reached], [one for _, one in reached], season) if reached else None


def _ratios(tasks: Sequence[Task], made: dict[str, list[Made | None]], season: int) -> dict[str, float]:
    """Ours over each other method on the tasks that it reached: MASE; and WAPE against the better naive method."""
    ratios: dict[str, float] = {}
    for name, theirs in made.items():
        if name == "lah":
            continue
        same = [ours if one is not None else None for ours, one in zip(made["lah"], theirs, strict=True)]
        ours_scored, scored = _scored(tasks, same, season), _scored(tasks, theirs, season)
        if ours_scored and scored and ours_scored.figures["mase"] and scored.figures["mase"]:
            ratios[f"mase_over_{name}"] = ours_scored.figures["mase"] / scored.figures["mase"]
    ours = _scored(tasks, made["lah"], season)
    naives = [s for n in made if n.startswith("seasonal_naive_") if (s := _scored(tasks, made[n], season))]
    assert ours is not None
    better = {name: min(each.wape_of[name] for each in naives) for name in ours.wape_of}
    groups: dict[str, list[str]] = {}
    for name in better:
        group, _, rest = name.partition("/")
        groups.setdefault(f"{group}_clients" if rest.startswith("client-") else name.replace("/", "_"), []).append(name)
    if len(groups) > 12:  # a file of unrelated series
        groups = {"all": list(better)}
    for group, names in groups.items():
        mean = [float(np.mean([each.wape_of[name] for name in names])) for each in naives]
        if min(mean) > 0:
            ratios[f"wape_of_{group}"] = float(np.mean([ours.wape_of[name] for name in names])) / min(mean)
    ratios["share_of_series_worse_than_better_naive"] = float(np.mean([ours.wape_of[n] > better[n] for n in better]))
    worse = [ours.wape_of[name] / better[name] for name in better if better[name] > 0]
    ratios["wape_by_series_median"] = float(np.median(worse))
    ratios["wape_by_series_p90"] = float(np.quantile(worse, 0.9))
    return ratios


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.forecasts",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Example: python -m benchmarks.forecasts --json --data m4_hourly.csv --season 24,168 --horizon 48",
    )
    parser.add_argument("--quick", action="store_true", help=f"within a minute: {_QUICK_SAMPLE} series")
    parser.add_argument("--full", action="store_true", help="all series, and the peers as long as they take")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    parser.add_argument("--data", type=Path, help="CSV or Parquet: series_id, step or timestamp, y, and maybe split")
    parser.add_argument("--season", default="24,168", help="buckets a season, shortest first (default 24,168)")
    parser.add_argument("--horizon", type=int, help="buckets ahead (default 24, 48 with --data; a test part sets it)")
    parser.add_argument(
        "--origins", type=int, default=7, help="forecasts a series, where there is no split (default 7)"
    )
    parser.add_argument("--auto-arima", action="store_true", help="statsforecast's AutoARIMA too: 37 s a forecast")
    parser.add_argument(
        "--peer-seconds", type=float, default=_PEER_SECONDS, help=f"for all peers (default {_PEER_SECONDS:.0f})"
    )
    parser.add_argument("--lstm", action="store_true", help="ours with the extra lstm too, where it is installed")
    parser.add_argument("--no-peers", action="store_true", help="without statsforecast and Prophet")
    chosen = parser.parse_args()
    chosen.seasons = tuple(sorted(int(m) for m in chosen.season.split(",")))
    chosen.horizon = chosen.horizon or (48 if chosen.data else 24)
    return chosen


def main() -> None:
    """Run it and print it."""
    chosen = _options()
    if chosen.data:
        tasks = from_file(chosen.data, seasons=chosen.seasons, horizon=chosen.horizon, origins=chosen.origins)
    else:
        folder = settings().traces_dir()
        if folder is None:
            sys.exit("The real traces are not on this machine: set LAH_TRACES to their folder, or give --data")
        tasks = from_traces(folder, horizon=chosen.horizon, origins=chosen.origins)
    if not tasks:
        sys.exit("No series is long enough for a forecast that can be judged")
    if not chosen.full:
        tasks = sampled(tasks, _QUICK_SAMPLE if chosen.quick else _SAMPLE, seed=_SEED)
    series = len({task.series_id for task in tasks})
    progress(f"{len(tasks)} forecasts of {series} series")
    made = _run(tasks, chosen.seasons, chosen)
    season = chosen.seasons[0]
    scored = {name: one for name, each in made.items() if (one := _scored(tasks, each, season))}
    ratios = _ratios(tasks, made, season)
    print(f"forecasts on {machine()}; {series} series, {len(tasks)} forecasts; percent but for MASE and seconds")
    print(f"  {'':<22}" + "".join(f"{name:>13}" for name in scored["lah"].figures) + f"{'forecasts':>11}")
    for name, one in scored.items():
        cells = "".join(f"{'-' if v is None else format(v, '.4g'):>13}" for v in one.figures.values())
        print(f"  {name:<22}{cells}{sum(m is not None for m in made[name]):>11}")
    for name, ratio in ratios.items():
        print(f"  {name}: {ratio:.3f}")
    if chosen.json:
        scores = {name: one.figures for name, one in scored.items()}
        references = {name: one.figures["mase"] for name, one in scored.items() if name != "lah"}
        figures = {"ours": scored["lah"].figures["mase"], "references": references, "ratios": ratios}
        print(json.dumps({"name": "forecasts", **figures, "scores": scores}))


if __name__ == "__main__":
    main()
