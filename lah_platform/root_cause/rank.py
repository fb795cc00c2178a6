"""Ranking: whose own excess accounts for the target's."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import polars as pl

from lah_platform.root_cause.excess import Excess, excesses, significance_threshold
from lah_platform.root_cause.model import Bools, Candidate, Floats, Ranking, Target, Telemetry, telemetry
from lah_platform.root_cause.paths import callees_of, widest_paths


def rank_root_causes(
    window: pl.DataFrame,
    normal: pl.DataFrame,
    target: Target,
    calls: Iterable[tuple[str, str]] | None = None,
) -> Ranking:
    """Rank the components of `window` (see `telemetry`) by how much of the target's excess began in them.

    Seconds waited, and requests failed, add up along synchronous calls: what a callee takes longer, its callers take
    longer. So the excess of a node less that of its callees is its own, and what can reach the target is bounded by
    the least excess on the way. `calls` are (caller, callee); without them the components are ranked by how much of
    the target's excess theirs could be, and by how undiluted it is: relative excess only shrinks on the way up.

    Excesses are shrunk by the non-negative garrote E (1 - 2 log n / z^2)+ (Breiman, Technometrics 37, 1995; Gao,
    J. Comput. Graph. Stat. 7, 1998), so that of n unrelated components none is expected to count.
    Raises ValueError when the target is not among the nodes of the window.
    """
    now = telemetry(window)
    if target.node not in now.nodes:
        raise ValueError(f"the target {target.node!r} is not among the nodes of the window")
    excess = excesses(now, telemetry(normal, now.nodes), target)
    return _ranking(now, excess, target, None if calls is None else list(calls))


def _ranking(now: Telemetry, excess: Excess, target: Target, calls: list[tuple[str, str]] | None) -> Ranking:
    position = now.nodes.index(target.node)
    seen = ~np.isnan(excess.per_request)
    threshold = significance_threshold(int(seen.sum()))
    sure = _shrunk(excess, threshold)
    is_significant = bool(excess.deviations[position] >= threshold)
    reference = sure[position] if sure[position] > 0 else max(float(np.nan_to_num(excess.per_step[position])), 0.0)
    dilution = _specific(excess, target, position)
    if calls is None:
        own = sure
        reach = {node: (reference, (target.node, node) if node != target.node else (node,)) for node in now.nodes}
        score = np.minimum(sure, reference) * dilution
    else:
        own, reach = _own_and_reach(now, sure, seen, calls, target.node)
        score = np.array([min(own[i], reach.get(node, (0.0, ()))[0]) for i, node in enumerate(now.nodes)])
    score = np.minimum(score / reference, 1.0) if reference > 0 else np.zeros(len(sure))
    total = score.sum()
    order = np.lexsort((-np.nan_to_num(np.minimum(sure, reference) * dilution), -score))
    candidates = tuple(
        Candidate(
            node=now.nodes[i],
            score=float(score[i]),
            confidence=float(score[i] / total) if total > 0 else 0.0,
            path=reach.get(now.nodes[i], (0.0, (now.nodes[i],)))[1],
            excess_per_step=float(np.nan_to_num(excess.per_step[i])),
            own_per_step=float(own[i]),
            deviations=float(np.nan_to_num(excess.deviations[i])),
            onset_step=_onset(now.of(target.symptom)[i]),
        )
        for i in order
        if seen[i]
    )
    return Ranking(candidates, is_significant)


def _shrunk(excess: Excess, threshold: float) -> Floats:
    deviations = np.nan_to_num(excess.deviations)
    keep = np.where(deviations > threshold, 1.0 - (threshold / np.maximum(deviations, threshold)) ** 2, 0.0)
    return np.nan_to_num(excess.per_step) * keep


def _own_and_reach(
    now: Telemetry, sure: Floats, seen: Bools, calls: list[tuple[str, str]], start: str
) -> tuple[Floats, dict[str, tuple[float, tuple[str, ...]]]]:
    callees = callees_of(calls, now.nodes)
    width = {node: float(sure[i]) for i, node in enumerate(now.nodes) if seen[i]}
    explained = np.array([sum(width.get(callee, 0.0) for callee in callees[node]) for node in now.nodes])
    return np.maximum(sure - explained, 0.0), widest_paths(callees, width, start)


def _specific(excess: Excess, target: Target, position: int) -> Floats:
    """How undiluted a node's excess is beside the target's, 0..1, a half for the target itself.

    A caller's relative excess in latency is a mean of its parts', so at most the greatest of its callees'; of failed
    requests a caller counts at most those that its callees failed.
    """
    measure = excess.per_step if target.symptom == "failures" else excess.per_request / np.maximum(excess.level, 1e-12)
    measure = np.maximum(np.nan_to_num(measure), 0.0)
    result: Floats = measure / np.maximum(measure + measure[position], 1e-300)
    return result


def _onset(course: Floats) -> int | None:
    known = course[~np.isnan(course)]
    if len(known) < 2 or known.max() == known.min():
        return None
    return int(np.flatnonzero(course > (known.max() + known.min()) / 2)[0])
