"""Ranking: from which component what hurts most likely came."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import polars as pl

from lah_platform.root_cause.evidence import Evidence, flow_evidence
from lah_platform.root_cause.excess import Excess, course_of, excesses
from lah_platform.root_cause.model import Bools, Candidate, Floats, Ranking, Target, Telemetry, telemetry
from lah_platform.root_cause.paths import callees_of, heaviest_paths

_Path = tuple[str, ...]


def rank_root_causes(
    window: pl.DataFrame,
    normal: pl.DataFrame,
    target: Target,
    calls: Iterable[tuple[str, str]] | None = None,
) -> Ranking:
    """Rank the components of `window` and `normal` (see `telemetry`) by the probability that the target's excess
    began in them. `calls` are (caller, callee).

    Seconds waited and requests failed add up along synchronous calls: what a callee takes longer, its callers take
    longer. So if a fault began in a node, the nodes on a way from the target to it show about the target's excess,
    and the others none. Each node's evidence for that is a likelihood ratio (`flow_evidence`); a node's is the
    greatest sum over a path to it. Deeper nodes win when they take part; ties go to the least diluted. Without
    `calls` each node stands for itself. Confidence is the posterior with every component as likely beforehand.

    Raises ValueError when the target is not among the nodes of the window.
    """
    now = telemetry(window)
    if target.node not in now.nodes:
        raise ValueError(f"the target {target.node!r} is not among the nodes of the window")
    usual = telemetry(normal, now.nodes)
    target = replace(target, profile=course_of(now, target))
    excess = excesses(now, usual, target)
    other = excesses(now, usual, replace(target, symptom="failures" if target.symptom == "latency" else "latency"))
    return _ranking(now, excess, other, target, None if calls is None else list(calls))


def _ranking(
    now: Telemetry, excess: Excess, other: Excess, target: Target, calls: list[tuple[str, str]] | None
) -> Ranking:
    position = now.nodes.index(target.node)
    seen = ~np.isnan(excess.per_step) & (excess.scale > 0)
    evidence = flow_evidence(excess, other, position, target.symptom)
    plausibility, reached = _plausibility(now, evidence, calls, target.node)
    is_candidate = seen & np.isfinite(plausibility)
    probability = _softmax(plausibility, is_candidate)
    per_step, deviations = np.nan_to_num(excess.per_step), np.nan_to_num(excess.deviations)
    order = [int(i) for i in np.argsort(-plausibility, kind="stable") if is_candidate[i]]
    order += [int(i) for i in np.argsort(-deviations, kind="stable") if not is_candidate[i]]
    candidates = tuple(
        Candidate(
            node=now.nodes[i],
            confidence=float(probability[i]),
            path=reached.get(now.nodes[i], (now.nodes[i],)),
            excess_per_step=float(per_step[i]),
            explained_share=_share(float(per_step[i]), float(per_step[position])),
            deviations=float(deviations[i]),
            onset_step=_onset(now.of(target.symptom)[i]),
        )
        for i in order
    )
    return Ranking(candidates, is_significant=excess.is_significant)


def _plausibility(
    now: Telemetry, evidence: Evidence, calls: list[tuple[str, str]] | None, start: str
) -> tuple[Floats, dict[str, _Path]]:
    """Logarithm of the posterior, up to a constant, and the path; minus infinity where the target does not lead."""
    if calls is None:
        return evidence.began, {node: (start, node) if node != start else (start,) for node in now.nodes}
    weight = dict(zip(now.nodes, evidence.through.tolist(), strict=True))
    paths = heaviest_paths(callees_of(calls, now.nodes), weight, start)
    total = np.array([paths[node][0] if node in paths else -np.inf for node in now.nodes])
    # of the last node count that it began there, and of the target, on every way, only whether it began there
    return total - evidence.through + evidence.began, {node: path for node, (_, path) in paths.items()}


def _softmax(plausibility: Floats, is_candidate: Bools) -> Floats:
    result = np.zeros(len(plausibility))
    if is_candidate.any():
        weight = np.exp(plausibility[is_candidate] - plausibility[is_candidate].max())
        result[is_candidate] = weight / weight.sum()
    return result


def _share(excess: float, reference: float) -> float:
    return min(max(excess, 0.0) / reference, 1.0) if reference > 0 else 0.0


def _onset(course: Floats) -> int | None:
    known = course[~np.isnan(course)]
    if len(known) < 2 or known.max() == known.min():
        return None
    return int(np.flatnonzero(course > (known.max() + known.min()) / 2)[0])
