"""How much more than usual each component took, or failed, while the target suffered; and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from lah_platform.root_cause.model import Floats, Symptom, Target, Telemetry

_RESOLUTION = 0.01
"""A mean latency is not trusted to less than a hundredth of itself, whatever a quiet period says."""


@dataclass(frozen=True, slots=True)
class Excess:
    """Per node: the excess in the symptom's unit per request, its robust standard deviation, the requests per step it
    is weighted by, and the usual level. NaN where a node was not seen on both sides of the contrast."""

    per_request: Floats
    scale: Floats
    requests: Floats
    level: Floats
    is_significant: bool = False
    """Whether the target itself left its usual range."""

    @property
    def deviations(self) -> Floats:
        quotient: Floats = np.full_like(self.scale, np.nan)
        np.divide(self.per_request, self.scale, out=quotient, where=self.scale > 0)
        return quotient

    @property
    def per_step(self) -> Floats:
        product: Floats = self.per_request * self.requests
        return product


def significance_threshold(nodes: int) -> float:
    """sqrt(2 log n): what the largest of n noises hardly passes (Donoho and Johnstone, Biometrika 81, 1994)."""
    return float(np.sqrt(2.0 * np.log(max(nodes, 2))))


def excesses(window: Telemetry, normal: Telemetry, target: Target) -> Excess:
    """Excess of every node over the steps in which the target suffers.

    Each node's values are averaged with the weights max(y - mean y, 0) and max(mean y - y, 0) of the target's course
    y, and the two averages are subtracted: what was as odd before the target suffered, be it drift of weeks, cancels.
    Where the target does not move more than usual within the window (the fault began before it), the window's mean is
    compared with the normal median. The same contrast slid over normal operation gives each node's own noise, with
    whatever autocorrelation and tails it has; the target's, whose course chose the weights, is judged by contrasts
    that choose theirs, too.
    """
    position = window.nodes.index(target.node)
    weights = _weights(course_of(window, target))
    within = _excess(window, normal, target.symptom, weights)
    threshold = significance_threshold(len(window.nodes))
    chosen = _robust_scale(_self_chosen(normal.of(target.symptom)[position], len(weights)))
    if within.per_request[position] >= threshold * max(chosen, within.scale[position]):
        return replace(within, is_significant=True)
    against = _excess(window, normal, target.symptom, None)
    if against.deviations[position] >= threshold:
        return replace(against, is_significant=True)
    return within


def course_of(window: Telemetry, target: Target) -> Floats:
    """The target's course over the window: what the alarm was raised on, else the symptom itself."""
    if target.profile is None:
        own: Floats = window.of(target.symptom)[window.nodes.index(target.node)]
        return own
    return np.asarray(target.profile, dtype=np.float64)


def _weights(course: Floats) -> Floats:
    known = ~np.isnan(course)
    centred = np.where(known, course - (course[known].mean() if known.any() else 0.0), 0.0)
    is_moving = bool(np.abs(centred).max(initial=0.0) > 1e-12 * np.abs(course[known]).max(initial=0.0))
    return np.asarray(centred if is_moving else np.zeros(len(course)), dtype=np.float64)


def _excess(window: Telemetry, normal: Telemetry, symptom: Symptom, weights: Floats | None) -> Excess:
    values, usual = window.of(symptom), normal.of(symptom)
    steps = values.shape[1]
    median = _row_median(usual)
    if weights is None:
        contrast = _row_mean(values) - median
        noise = _sliding(usual, np.full(steps, 1.0 / steps)) - median[:, None]
        spread = np.full(steps, 1.0 / steps)
    else:
        contrast = _contrast(values, weights)
        spread = _two_sided(weights)
        noise = _sliding(usual, spread)
    requests = _requests(window, normal)
    level = np.where(np.isnan(median), _row_median(values), median)
    scale = np.fmax([_robust_scale(each) for each in noise], _floor(symptom, level, normal, requests, spread))
    return Excess(contrast, scale, requests, level)


def _requests(window: Telemetry, normal: Telemetry) -> Floats:
    """Per step: those of the window, else of normal operation; where nobody counts any, all nodes are as busy."""
    now, usual = _row_mean(window.requests), _row_mean(normal.requests)
    known = np.where(np.isnan(now), usual, now)
    requests: Floats = np.ones_like(known) if np.isnan(known).all() else np.nan_to_num(known)
    return requests


def _two_sided(weights: Floats) -> Floats:
    up, down = np.clip(weights, 0, None), np.clip(-weights, 0, None)
    spread: Floats = up / max(up.sum(), 1e-300) - down / max(down.sum(), 1e-300)
    return spread


def _contrast(values: Floats, weights: Floats) -> Floats:
    known = ~np.isnan(values)
    filled = np.where(known, values, 0.0)
    sides = []
    for side in (np.clip(weights, 0, None), np.clip(-weights, 0, None)):
        total = known @ side
        sides.append(np.divide(filled @ side, total, out=np.full(len(values), np.nan), where=total > 0))
    difference: Floats = sides[0] - sides[1]
    return difference


def _sliding(values: Floats, spread: Floats) -> Floats:
    """The contrast of every run of consecutive steps; NaN where one is missing."""
    if values.shape[1] < len(spread):
        return np.full((len(values), 0), np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(values, len(spread), axis=1)
    contrasts: Floats = windows @ spread
    return contrasts


def _self_chosen(usual: Floats, steps: int) -> Floats:
    """Contrasts of every run of steps by weights from its own course."""
    if len(usual) < steps:
        return np.zeros(0)
    windows = np.lib.stride_tricks.sliding_window_view(usual, steps)
    centred = windows - windows.mean(axis=1, keepdims=True)
    up, down = np.clip(centred, 0, None), np.clip(-centred, 0, None)
    half = np.maximum(up.sum(axis=1), 1e-300)
    contrasts: Floats = (up * windows).sum(axis=1) / half - (down * windows).sum(axis=1) / half
    return contrasts


def _robust_scale(noise: Floats) -> float:
    """The 90 % quantile of the absolute contrast over that of the normal distribution: unlike the MAD it does not
    collapse where most of the time nothing happens, unlike the standard deviation one past incident does not rule it.
    NaN below ten contrasts."""
    known = np.abs(noise[~np.isnan(noise)])
    return float(np.quantile(known, 0.9) / 1.6448536) if len(known) >= 10 else float("nan")


def _floor(symptom: Symptom, level: Floats, normal: Telemetry, requests: Floats, spread: Floats) -> Floats:
    length = float(np.sqrt((spread**2).sum()))
    if symptom == "latency":
        resolution: Floats = _RESOLUTION * length * np.abs(level)
        return resolution
    seen = np.where(np.isnan(normal.failed_share) | np.isnan(normal.requests), 0.0, normal.requests)
    failed = (np.nan_to_num(normal.failed_share) * seen).sum(axis=1)
    rate = (failed + 0.5) / (seen.sum(axis=1) + 1.0)  # Jeffreys: a node that never failed in n requests may still fail
    floor: Floats = np.sqrt(rate * (1.0 - rate) / np.fmax(requests, 1.0)) * length
    return floor


def _row_mean(values: Floats) -> Floats:
    known = ~np.isnan(values)
    size = known.sum(axis=1)
    total = np.where(known, values, 0.0).sum(axis=1)
    mean: Floats = np.divide(total, size, out=np.full(len(values), np.nan), where=size > 0)
    return mean


def _row_median(values: Floats) -> Floats:
    return np.array([np.median(row[~np.isnan(row)]) if (~np.isnan(row)).any() else np.nan for row in values])
