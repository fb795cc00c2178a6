"""Anomalies on labelled series: NAB score, VUS-PR, episodes and points per second, ours against what a user would pick.

`python -m benchmarks.anomalies [--json] [--quick] [--data FILE] [--install]`. Without --data the shared sets: NAB (58
series), Microsoft cloud monitoring (30), and the first 20,000 points of the AIOps KPIs (6). Of those, NAB gives
`nab_standard` and `vus_pr`, cloud monitoring `episode_f1` and `share_alarmed`, all of them `false_per_series_week` and
`points_per_second`. A file has series_id, timestamp, value, is_anomaly, and gives everything; its NAB windows are made
from its labels. `nab_quieted` is NAB of the scores of which only those that exceed all of the 100 points before them
are kept, for every method; `vus_pr_smoothed` has every method's scores smoothed as ours are. --quick: every sixth NAB
series, every second of cloud monitoring. --install makes the peers' environment.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.anomalies_data import Floats, Labelled, read_shared, read_table
from benchmarks.anomalies_episodes import episode_scores
from benchmarks.anomalies_methods import SIMPLE, Scored, lah, screening_seconds
from benchmarks.anomalies_nab import LOW_FALSE_NEGATIVES, LOW_FALSE_POSITIVES, Corpus
from benchmarks.anomalies_peers import PEERS, run_peer
from benchmarks.anomalies_published import checked
from benchmarks.anomalies_vus import vus_pr
from benchmarks.landing_peers import PeerMissing
from benchmarks.report import machine, progress
from lah_platform.anomalies.surprise import unrest

_KPI_POINTS = 20_000
_QUIET_POINTS = 100
_SMOOTHING = 50.0
_PEER_SECONDS = 240.0

Data = Mapping[str, Sequence[Labelled]]
Result = dict[str, float]


def main() -> None:
    """Run, print a table, and with --json one object on the last line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--install", action="store_true", help="make the peers' environment when it is missing")
    asked = parser.parse_args()
    data = _data(asked.data, quick=asked.quick)
    if not data:
        print("skipped: no labelled series; the shared data sets are absent and --data names none", file=sys.stderr)
        return
    scores, details = {}, {}
    for method, run in _methods(asked.install).items():
        progress(method)
        try:
            details[method], seconds = _judged(data, run)
        except PeerMissing as error:
            progress(f"{method} left out: {error}")
            continue
        scores[method] = _summary(details[method], seconds)
        _print(method, scores[method], details[method])
    _ratios(scores)
    every = [each for series in data.values() for each in series]
    scores["lah"]["screening_points_per_second"] = sum(len(each.values) for each in every) / screening_seconds(every)
    print(
        f"ours, screening: z-score, MAD, IQR {scores['lah']['screening_points_per_second']:,.0f} points/s of one core"
    )
    scorer = checked(data["nab"]) if asked.data is None and not asked.quick and "nab" in data else {}
    for name, (ours_of_it, published) in scorer.items():
        print(f"scorer: NAB standard profile of {name} {ours_of_it:.2f}, published {published}")
    if asked.json:
        ours, references = scores["lah"], {name: each["vus_pr"] for name, each in scores.items() if name != "lah"}
        ratios = {name: ours["vus_pr"] / value for name, value in references.items() if value > 0}
        print(
            json.dumps(
                {"name": "anomalies", "ours": ours["vus_pr"], "references": references, "ratios": ratios}
                | {"scores": scores, "by_data": details, "scorer": scorer, "machine": machine()}
            )
        )


def _data(path: Path | None, *, quick: bool) -> dict[str, list[Labelled]]:
    if path is not None:
        return {path.stem: read_table(path)}
    found = {name: read_shared(name) for name in (("nab", "cloud") if quick else ("nab", "cloud", "kpi"))}
    data = {name: series for name, series in found.items() if series is not None}
    for name in set(found) - set(data):
        progress(f"{name} left out: the shared data set is absent")
    if quick and "nab" in data:
        data["nab"] = data["nab"][::6]
    if quick and "cloud" in data:
        data["cloud"] = data["cloud"][::2]
    if "kpi" in data:
        data["kpi"] = [_cut(each) for each in data["kpi"]]
    return data


def _cut(series: Labelled) -> Labelled:
    part = slice(0, _KPI_POINTS)
    return replace(series, at_us=series.at_us[part], values=series.values[part], labels=series.labels[part], windows=())


Method = Callable[[Sequence[Labelled]], tuple[Mapping[str, Scored], float]]


def _methods(may_install: bool) -> dict[str, Method]:
    methods: dict[str, Method] = {"lah": _timed(lah)}
    methods |= {name: _timed(run) for name, run in SIMPLE.items()}
    for name in PEERS:
        methods[name] = lambda series, name=name: run_peer(name, series, may_install=may_install, seconds=_PEER_SECONDS)
    return methods


def _timed(run: Callable[[Labelled], Scored]) -> Method:
    def each(series: Sequence[Labelled]) -> tuple[Mapping[str, Scored], float]:
        started = time.perf_counter()
        scored = {one.series_id: run(one) for one in series}
        return scored, time.perf_counter() - started

    return each


def _judged(data: Data, run: Method) -> tuple[dict[str, Result], float]:
    """Results by data set, and the seconds that all took: in one go, for a peer's process compiles first."""
    numbered = {
        name: [replace(each, series_id=f"{name}/{each.series_id}") for each in own] for name, own in data.items()
    }
    every, seconds = run([each for own in numbered.values() for each in own])
    results = {}
    for name, series in numbered.items():
        scored = {each.series_id: every[each.series_id] for each in series}
        result = episode_scores(series, scored)
        result["weeks"] = sum(each.weeks for each in series)
        result["points"] = float(sum(len(each.values) for each in series))
        if any(each.windows for each in series):
            result |= _nab(series, scored)
        labelled = [each for each in series if each.labels.any()]
        if labelled:
            result["vus_pr"] = _mean_vus(labelled, {each.series_id: scored[each.series_id].state for each in labelled})
            smooth = {each.series_id: _smoothed(scored[each.series_id]) for each in labelled}
            result["vus_pr_smoothed"] = _mean_vus(labelled, smooth)
        results[name] = result
    return results, seconds


def _nab(series: Sequence[Labelled], scored: Mapping[str, Scored]) -> Result:
    corpus = Corpus(series)
    alarms = {name: each.alarm for name, each in scored.items()}
    told = {name: _told(each) for name, each in scored.items()}
    return {
        "nab_standard": corpus.best(alarms)[0],
        "nab_low_false_positives": corpus.best(alarms, LOW_FALSE_POSITIVES)[0],
        "nab_low_false_negatives": corpus.best(alarms, LOW_FALSE_NEGATIVES)[0],
        "nab_at_default": corpus.at(told, 0.5),
        "nab_quieted": corpus.best({name: _quieted(each) for name, each in alarms.items()})[0],
    }


def _told(scored: Scored) -> Floats:
    """1 where an alarm is raised: at the onsets of told episodes, or at each alarmed point."""
    return (scored.alarmed if scored.onsets is None else scored.onsets).astype(np.float64)


def _quieted(scores: Floats) -> Floats:
    before = pl.Series(scores).shift(1).rolling_max(_QUIET_POINTS, min_samples=1).fill_null(-np.inf).to_numpy()
    return np.where(scores > before, scores, scores.min())


def _smoothed(scored: Scored) -> Floats:
    if scored.onsets is not None:
        return scored.state
    size = scored.state - scored.state.min()
    return unrest(size / max(float(size.max()), 1e-12), _SMOOTHING)


def _mean_vus(series: Sequence[Labelled], states: Mapping[str, Floats]) -> float:
    return float(np.mean([vus_pr(each.labels, states[each.series_id]) for each in series]))


def _summary(details: Mapping[str, Result], seconds: float) -> Result:
    first = next(iter(details.values()))
    episodes = details.get("cloud", first)
    weeks = sum(each["weeks"] for each in details.values())
    false = sum(each["false_per_series_week"] * each["weeks"] for each in details.values())
    points = sum(each["points"] for each in details.values())
    kept = ("nab_standard", "nab_at_default", "nab_quieted", "vus_pr", "vus_pr_smoothed")
    return {key: first[key] for key in kept if key in first} | {
        "episode_f1": episodes["episode_f1"],
        "share_alarmed": episodes["share_alarmed"],
        "false_per_series_week": false / max(weeks, 1e-12),
        "points_per_second": points / max(seconds, 1e-9),
        "seconds_per_1000_points": 1000.0 * seconds / points,
    }


def _print(method: str, summary: Result, details: Mapping[str, Result]) -> None:
    print(method + ": " + ", ".join(f"{key} {value:,.4g}" for key, value in summary.items()))
    for name, each in details.items():
        print(f"    {name}: " + ", ".join(f"{key} {value:,.4g}" for key, value in each.items()))


def _ratios(scores: Mapping[str, Result]) -> None:
    print(f"on {machine()}")
    for name, each in scores.items():
        if name != "lah" and each.get("vus_pr", 0.0) > 0:
            print(f"  ours / {name}: VUS-PR {scores['lah']['vus_pr'] / each['vus_pr']:.2f}")


if __name__ == "__main__":
    main()
