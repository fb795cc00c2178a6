"""What root causes are looked for with elsewhere, written anew from the papers and the published protocol.

Traversals, ranked correlation and random walk as Hardt et al. (2024, the PetShop dataset) ran them: one metric and
statistic, that of the target; a detector per node fitted on normal operation; judged at the window's third step, or
the next one at which the target is anomalous; no answer when there is none.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from benchmarks.root_cause_data import Case
from lah_platform.root_cause.model import Telemetry, telemetry
from lah_platform.root_cause.paths import callees_of

__all__ = ["METHODS", "WITHOUT_GRAPH"]

Floats = NDArray[np.float64]
_TRIGGER = 2  # the step PetShop's protocol starts to look at
_WALK_STEPS, _BACKWARD = 10, 0.1  # PyRCA's defaults, as the protocol took them


def _over(difference: Floats, scale: float) -> Floats:
    """As published: a scale of nothing makes any difference infinite, and infinities tie, in order of name."""
    return np.where(difference > 0, difference / scale if scale > 0 else np.inf, 0.0)


def _mad(normal: Floats, now: Floats) -> Floats:
    median = np.median(normal)
    return _over(np.abs(now - median), float(1.4826 * np.median(np.abs(normal - median))))


def _z(normal: Floats, now: Floats) -> Floats:
    return _over(np.abs(now - normal.mean()), float(normal.std()))


def _iqr(normal: Floats, now: Floats) -> Floats:
    low, middle, high = np.quantile(normal, [0.25, 0.5, 0.75])
    return _over(np.abs(now - middle), float(high - low))


_DETECTORS: dict[str, tuple[Callable[[Floats, Floats], Floats], float]] = {
    "mad": (_mad, 5.0),
    "z_score": (_z, 3.0),
    "iqr": (_iqr, 1.5),
}


def _scored(case: Case, detector: str) -> tuple[Telemetry, dict[str, float], Floats]:
    """Telemetry, the anomalous nodes with their scores at the step judged, and the target metric's values."""
    now = telemetry(case.window)
    values = now.of(case.target.symptom)
    usual = telemetry(case.recordings.normal, now.nodes).of(case.target.symptom)
    score_of, threshold = _DETECTORS[detector]
    scores, limits = np.zeros(values.shape), np.full(len(values), np.inf)
    unit = 100.0 if case.target.symptom == "failures" else 1.0  # the published scores are of per cent and seconds
    for row, (normal, each) in enumerate(zip(usual, values, strict=True)):
        known = normal[~np.isnan(normal)]
        if len(known) >= 10:
            is_constant = known.std() == 0.0
            score = unit * np.abs(each - known.mean()) if is_constant else score_of(known, each)
            scores[row] = np.where(np.isnan(score), 0.0, score)
            limits[row] = 0.0 if is_constant else threshold
    is_odd = scores > limits[:, None]
    target = is_odd[now.nodes.index(case.target.node)]
    steps = [step for step in range(min(_TRIGGER, len(target) - 1), len(target)) if target[step]]
    if not steps:
        return now, {}, values
    return now, {now.nodes[row]: float(scores[row, steps[0]]) for row in np.flatnonzero(is_odd[:, steps[0]])}, values


def _traversal(case: Case, detector: str) -> list[str]:
    """Anomalous nodes without an anomalous callee that are reached over anomalous nodes, by the sum of scores on the
    way."""
    _, odd, _ = _scored(case, detector)
    callees = callees_of(case.recordings.calls, odd)
    best: dict[str, float] = {}

    def walk(path: tuple[str, ...], total: float) -> None:
        following = [each for each in callees[path[-1]] if each in odd]
        if not following:
            best[path[-1]] = max(best.get(path[-1], 0.0), total)
        for each in following:
            if each not in path:
                walk((*path, each), total + odd[each])

    if case.target.node in odd:
        walk((case.target.node,), odd[case.target.node])
    return sorted(best, key=lambda node: (-best[node], node))


def _by_score(case: Case, detector: str) -> list[str]:
    """The most anomalous nodes, the target excepted."""
    _, odd, _ = _scored(case, detector)
    return sorted(odd.keys() - {case.target.node}, key=lambda node: (-odd[node], node))


def _ranked_correlation(case: Case) -> list[str]:
    """Anomalous nodes by the absolute Pearson correlation with the target over the window."""
    now, odd, values = _scored(case, "mad")
    correlation = _correlations(now, values, case.target.node)
    known = [node for node in odd if node in correlation]
    return sorted(known, key=lambda node: (-correlation[node], node))


def _random_walk(case: Case) -> list[str]:
    """Visits of a walk from the target that goes to callees by their correlation with the target, back to callers by
    a tenth of it, and stays where the node correlates more than its callees (MonitorRank, Kim et al. 2013; CloudRanger,
    Wang et al. 2018); expected visits in ten steps, computed and not drawn."""
    now, odd, values = _scored(case, "mad")
    if not odd:
        return []
    correlation = _correlations(now, values, case.target.node) | {case.target.node: 1.0}
    callees = callees_of(case.recordings.calls, now.nodes)
    order = {node: i for i, node in enumerate(now.nodes)}
    move = np.zeros((len(order), len(order)))
    for caller, each in callees.items():
        for callee in each:
            if caller in order and callee in order:
                move[order[caller], order[callee]] += correlation.get(callee, 0.0)
                move[order[callee], order[caller]] += _BACKWARD * correlation.get(caller, 0.0)
    for node, row in order.items():
        move[row, row] = max(correlation.get(node, 0.0) - move[row].max(initial=0.0), 0.0)
    total = move.sum(axis=1, keepdims=True)
    move = np.divide(move, total, out=np.eye(len(order)), where=total > 0)
    at, visits = np.zeros(len(order)), np.zeros(len(order))
    at[order[case.target.node]] = 1.0
    for _ in range(_WALK_STEPS):
        at = at @ move
        visits += at
    known = [node for node in odd if node != case.target.node]
    return sorted(known, key=lambda node: (-visits[order[node]], node))


def _correlations(now: Telemetry, values: Floats, target: str) -> dict[str, float]:
    reference = values[now.nodes.index(target)]
    result = {}
    for node, each in zip(now.nodes, values, strict=True):
        both = ~(np.isnan(each) | np.isnan(reference))
        if node != target and both.sum() > 2 and each[both].std() > 0 and reference[both].std() > 0:
            result[node] = abs(float(np.corrcoef(each[both], reference[both])[0, 1]))
    return result


METHODS: dict[str, Callable[[Case], list[str]]] = {
    "mad_traversal": lambda case: _traversal(case, "mad"),
    "z_score_traversal": lambda case: _traversal(case, "z_score"),
    "iqr_traversal": lambda case: _traversal(case, "iqr"),
    "random_walk": _random_walk,
}
WITHOUT_GRAPH: dict[str, Callable[[Case], list[str]]] = {
    "ranked_correlation": _ranked_correlation,
    "z_score": lambda case: _by_score(case, "z_score"),
    "iqr": lambda case: _by_score(case, "iqr"),
    "mad": lambda case: _by_score(case, "mad"),
}
