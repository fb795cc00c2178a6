"""Faults planted into PetShop's normal operation at every component its entrance depends on.

PetShop's training issues share one root cause, so a method could be right by habit. Here the recorded noise is real and
the fault is ours: some requests of one component take longer, or fail, and its callers wait and fail with them, as much
as the measured traffic says, give or take what sampled traces lose.
"""

from dataclasses import replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from benchmarks.root_cause_data import Case, Recordings
from lah_platform.root_cause import Target
from lah_platform.root_cause.model import Symptom, Telemetry, telemetry
from lah_platform.root_cause.paths import callees_of, heaviest_paths

__all__ = ["ENTRANCE", "planted_cases", "planted_window", "share_upward"]

Floats = NDArray[np.float64]
_STEPS, _FAULTY = 5, (2, 3)  # as in the recorded issues: five steps, of which the fault lasts two
ENTRANCE = "PetSite"
_SYMPTOMS: tuple[Symptom, ...] = ("latency", "failures")


def planted_cases(
    recordings: dict[str, Recordings], per_node: int, *, is_masked: bool = False, seed: int = 20230413
) -> list[Case]:
    """`per_node` latency and as many failure cases for each component that PetSite calls, directly or not.

    Masked faults show at their origin as the other symptom alone: it fails and its callers wait and try again, or it is
    slow and they give up.
    """
    generator = np.random.default_rng(seed + is_masked)
    cases = []
    for traffic, recording in recordings.items():
        usual = telemetry(recording.normal)
        callees = callees_of(recording.calls, usual.nodes)
        reached = heaviest_paths(callees, {}, ENTRANCE)
        for node in usual.nodes:
            row = usual.nodes.index(node)
            is_busy = np.nanmedian(usual.requests[row]) >= 10 and np.isnan(usual.latency[row]).mean() < 0.1
            if node == ENTRANCE or node not in reached or not is_busy:
                continue
            for symptom in _SYMPTOMS:
                for repeat in range(per_node):
                    size = _size(usual, node, symptom, generator)
                    if size is None:
                        continue
                    window = _planted(usual, callees, node, symptom, size, is_masked=is_masked, generator=generator)
                    target = Target(ENTRANCE, symptom)
                    cases.append(Case(f"{traffic}/{node}/{symptom}/{repeat}", window, recording, target, node))
    return cases


def planted_window(
    usual: Telemetry,
    callees: dict[str, tuple[str, ...]],
    node: str,
    symptom: Symptom,
    size: float,
    generator: np.random.Generator,
) -> pl.DataFrame:
    """A window of normal operation with a fault of `size` seconds, or failures, per step at the node."""
    return _planted(usual, callees, node, symptom, size, is_masked=False, generator=generator)


def share_upward(usual: Telemetry, callees: dict[str, tuple[str, ...]], node: str) -> dict[str, float]:
    """What about arrives of one second at the node at each of its callers."""
    return _upward(usual, callees, node, 1.0, np.random.default_rng(0))


def _planted(
    usual: Telemetry,
    callees: dict[str, tuple[str, ...]],
    node: str,
    symptom: Symptom,
    size: float,
    *,
    is_masked: bool,
    generator: np.random.Generator,
) -> pl.DataFrame:
    begin = int(generator.integers(0, usual.requests.shape[1] - _STEPS))
    part = slice(begin, begin + _STEPS)
    window = Telemetry(
        usual.nodes, usual.requests[:, part].copy(), usual.latency[:, part].copy(), usual.failed_share[:, part].copy()
    )
    order = {each: i for i, each in enumerate(usual.nodes)}
    course, faulty = generator.uniform(0.4, 1.0, len(_FAULTY)), list(_FAULTY)
    excess = _upward(usual, callees, node, size, generator)
    if not is_masked:
        excess[node] = size
    elif symptom == "latency":
        window.failed_share[order[node], faulty] += generator.uniform(0.02, 0.3) * course
    else:
        window.latency[order[node], faulty] *= 1.0 + generator.uniform(0.5, 5.0) * course
    for each, amount in excess.items():
        row = order[each]
        values = window.latency if symptom == "latency" else window.failed_share
        values[row, faulty] += amount * course / np.fmax(window.requests[row, faulty], 1.0)
    return _frame(replace(window, failed_share=np.clip(window.failed_share, 0.0, 1.0)))


def _size(usual: Telemetry, node: str, symptom: Symptom, generator: np.random.Generator) -> float | None:
    """Seconds, or failures, per step: what makes the entrance worth an alarm, a sixth to a doubling of its latency or
    1.5 to 10 % of it failing; None where so many requests cannot fail, there being too few."""
    row, entrance = usual.nodes.index(node), usual.nodes.index(ENTRANCE)
    share = float(np.exp(generator.uniform(np.log(0.15), np.log(1.0))))
    requests = np.nanmedian(usual.requests[entrance])
    if symptom == "latency":
        return float(share * np.nanmedian(usual.latency[entrance]) * requests)
    working = np.nanmedian(usual.requests[row]) * (1.0 - np.nanmedian(usual.failed_share[row]))
    size = float(min(0.1 * share * requests, 0.8 * working))
    return size if size >= 0.015 * requests else None


def _upward(
    usual: Telemetry, callees: dict[str, tuple[str, ...]], node: str, amount: float, generator: np.random.Generator
) -> dict[str, float]:
    """What the fault adds to each direct and indirect caller: shared by their traffic, lost in part."""
    traffic = dict(zip(usual.nodes, np.nan_to_num(usual.requests).mean(axis=1), strict=True))
    result: dict[str, float] = {}
    queue = [(node, amount)]
    while queue:
        callee, amount = queue.pop()
        callers = [each for each in usual.nodes if callee in callees[each] and each != callee]
        total = sum(traffic[each] for each in callers)
        for caller in callers:
            share = amount * traffic[caller] / max(total, 1e-9) * generator.uniform(0.6, 1.1)
            result[caller] = result.get(caller, 0.0) + share
            queue.append((caller, share))
    return result


def _frame(window: Telemetry) -> pl.DataFrame:
    rows, steps = window.requests.shape
    return pl.DataFrame(
        {
            "at": np.tile(np.arange(steps), rows),
            "node": np.repeat(np.array(window.nodes), steps),
            "requests": window.requests.ravel(),
            "latency": window.latency.ravel(),
            "failed_share": window.failed_share.ravel(),
        }
    )
