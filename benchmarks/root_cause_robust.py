"""Planted faults under other names, with less recorded, and where something else hurts: what a ranking rests on."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import polars as pl

from benchmarks.root_cause_data import Case, Recordings
from benchmarks.root_cause_planted import planted_window, share_upward
from lah_platform.root_cause import Target
from lah_platform.root_cause.model import Symptom, telemetry
from lah_platform.root_cause.paths import callees_of, heaviest_paths

__all__ = ["elsewhere_cases", "varied_cases"]

_FAULTY = (2, 3)
_FEW_STEPS = 15
_ABSENT_SHARE = 0.3
_SYMPTOMS: tuple[Symptom, ...] = ("latency", "failures")


def varied_cases(cases: Sequence[Case], recordings: dict[str, Recordings], seed: int = 9) -> dict[str, list[Case]]:
    """The same faults by what is different about them."""
    others = {traffic: next(r for t, r in recordings.items() if t != traffic) for traffic in recordings}
    changes: dict[str, Callable[[Case, np.random.Generator], Case]] = {
        "other names and order": _renamed,
        f"{_FEW_STEPS} steps of normal operation": lambda case, _: _with_normal(
            case, case.recordings.normal.filter(pl.col("at").is_in(_first_steps(case).implode()))
        ),
        "normal operation of other traffic": lambda case, _: _with_normal(case, others[case.name.split("/")[0]].normal),
        "a third of the others not measured": _without_some,
        "requests not counted": lambda case, _: replace(
            case, window=case.window.with_columns(requests=pl.lit(None, pl.Float64))
        ),
        "three times the traffic meanwhile": _busier,
    }
    return {
        name: [change(case, np.random.default_rng([seed, place])) for place, case in enumerate(cases)]
        for name, change in changes.items()
    }


def elsewhere_cases(recordings: dict[str, Recordings], entrance: str, seed: int = 10) -> list[Case]:
    """Faults of each component, as they hurt each of its callers but the entrance, direct or not: by a sixth to a
    doubling of its latency, or 1.5 to 10 % of its requests."""
    generator = np.random.default_rng(seed)
    cases = []
    for traffic, recording in recordings.items():
        usual = telemetry(recording.normal)
        callees = callees_of(recording.calls, usual.nodes)
        busy = [
            node
            for node, requests, latency in zip(usual.nodes, usual.requests, usual.latency, strict=True)
            if np.nanmedian(requests) >= 10 and np.isnan(latency).mean() < 0.1
        ]
        for node in busy:
            for hurt in busy:
                if hurt in (node, entrance) or node not in heaviest_paths(callees, {}, hurt):
                    continue
                arrives = share_upward(usual, callees, node).get(hurt, 0.0)
                row = usual.nodes.index(hurt)
                requests, share = np.nanmedian(usual.requests[row]), float(np.exp(generator.uniform(np.log(0.15), 0.0)))
                if arrives < 0.02:
                    continue
                for symptom in _SYMPTOMS:
                    level = np.nanmedian(usual.latency[row]) if symptom == "latency" else 0.1
                    size = float(share * level * requests / arrives)
                    if symptom == "failures" and size > 0.8 * np.nanmedian(usual.requests[usual.nodes.index(node)]):
                        continue
                    window = planted_window(usual, callees, node, symptom, size, generator)
                    name = f"{traffic}/{node}/{hurt}/{symptom}"
                    cases.append(Case(name, window, recording, Target(hurt, symptom), node))
    return cases


def _renamed(case: Case, generator: np.random.Generator) -> Case:
    window, recording = case.window, case.recordings
    calls = recording.calls
    nodes = sorted({*recording.normal["node"], *window["node"], *(node for call in calls for node in call)})
    names = {node: f"node-{place:03}" for node, place in zip(nodes, generator.permutation(len(nodes)), strict=True)}

    def other(frame: pl.DataFrame) -> pl.DataFrame:
        renamed = frame.with_columns(pl.col("node").replace(names))
        return renamed.sample(fraction=1.0, shuffle=True, seed=int(generator.integers(2**31)))

    called = [(names[caller], names[callee]) for caller, callee in reversed(calls)]
    target = replace(case.target, node=names[case.target.node])
    return Case(case.name, other(window), Recordings(other(recording.normal), called), target, names[case.truth])


def _with_normal(case: Case, normal: pl.DataFrame) -> Case:
    return replace(case, recordings=replace(case.recordings, normal=normal))


def _first_steps(case: Case) -> pl.Series:
    return case.recordings.normal["at"].unique().sort().head(_FEW_STEPS)


def _without_some(case: Case, generator: np.random.Generator) -> Case:
    known = (case.truth, case.target.node)
    gone = [
        node for node in sorted(set(case.window["node"])) if node not in known and generator.random() < _ABSENT_SHARE
    ]
    is_there = ~pl.col("node").is_in(gone)
    return replace(_with_normal(case, case.recordings.normal.filter(is_there)), window=case.window.filter(is_there))


def _busier(case: Case, _: np.random.Generator) -> Case:
    steps = case.window["at"].unique().sort().gather(_FAULTY)
    factor = pl.when(pl.col("at").is_in(steps.implode())).then(3.0).otherwise(1.0)
    return replace(case, window=case.window.with_columns(pl.col("requests") * factor))
