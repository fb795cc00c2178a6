"""For each component, how much likelier its measurements are if the target's excess came through it than if not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lah_platform.root_cause.excess import Excess
from lah_platform.root_cause.model import Floats, Symptom

_SURPRISE = 0.05
"""Prior of anything outside the model: that an unrelated component is odd just now, that a fault shows below as the
other symptom (a callee fails, its caller waits and tries again)."""
_LOSS = 0.2
"""Relative standard deviation of how much of an excess two components agree on: sampled traces, time spent between
them, calls in parallel. The middle of 0.15 to 0.25, between which hardly anything measured changes; with a half what
hardly moved is taken for the source."""
_MOST_DEVIATIONS = 30.0
_SQRT_2PI = float(np.sqrt(2.0 * np.pi))


@dataclass(frozen=True, slots=True)
class Evidence:
    """Logarithms of likelihood ratios per node, 0 where nothing was measured: that the target's excess came through
    it, and that it came through it and began there."""

    through: Floats
    began: Floats


def flow_evidence(excess: Excess, other: Excess, position: int, symptom: Symptom) -> Evidence:
    """Evidence of each node, `position` being the target.

    Excess is in seconds, or failed requests, per step. If the target's E_t came through a node, the node has about
    E_t (normal, its own and the target's noise, and `_LOSS`), or more, for others call it, too; if not, it has none,
    or, rarely, anything between 0 and E_t. A node may also pass the fault on as the other symptom. It must then be
    material: to make n requests fail a slow callee must be called n times. Where it began the excess is undiluted
    (`_undiluted`); of one that shows as the other symptom nothing is known, which counts a half.
    """
    per_step = np.nan_to_num(excess.per_step)
    scale = excess.scale * excess.requests
    seen = ~np.isnan(excess.per_step) & (scale > 0)
    noise = np.where(seen, scale, 1.0)
    reference = max(float(per_step[position]), 1e-12)
    spread = np.sqrt(noise**2 + (_LOSS * reference) ** 2 + float(noise[position]) ** 2)
    through = _normal(np.maximum(reference - per_step, 0.0) / spread) / spread
    odd = _SURPRISE / np.maximum(np.abs(per_step), reference)
    unrelated = (1.0 - _SURPRISE) * _normal(per_step / noise) / noise + odd
    same = np.log(through + 1e-300) - np.log(unrelated + 1e-300)

    deviations = np.minimum(np.nan_to_num(other.deviations), _MOST_DEVIATIONS)
    is_possible = deviations > 0
    if symptom == "failures":
        is_possible &= excess.requests >= reference
    flat = 1.0 / _MOST_DEVIATIONS
    changed = np.log(flat) - np.log((1.0 - _SURPRISE) * _normal(deviations) + _SURPRISE * flat)
    changed = np.where(is_possible, changed, np.log(_SURPRISE))
    same += np.log(1.0 - _SURPRISE)
    changed += np.log(_SURPRISE)
    dilution = np.log(np.maximum(_undiluted(excess, position, symptom), 1e-300))
    return Evidence(
        through=np.where(seen, np.logaddexp(same, changed), 0.0),
        began=np.where(seen, np.logaddexp(same + dilution, changed + np.log(0.5)), 0.0),
    )


def _undiluted(excess: Excess, position: int, symptom: Symptom) -> Floats:
    """How undiluted a node's excess is beside the target's, 0..1, a half for the target itself.

    A caller's relative excess in latency is a mean of its parts', so at most the greatest of its callees'; of failed
    requests a caller counts at most those that its callees failed.
    """
    relative = np.divide(
        excess.per_request, excess.level, out=np.zeros_like(excess.level), where=np.nan_to_num(excess.level) > 0
    )
    measure = np.maximum(np.nan_to_num(excess.per_step if symptom == "failures" else relative), 0.0)
    total = measure + measure[position]
    result: Floats = np.divide(measure, total, out=np.full_like(measure, 0.5), where=total > 0)
    return result


def _normal(deviations: Floats) -> Floats:
    density: Floats = np.exp(-0.5 * deviations**2) / _SQRT_2PI
    return density
