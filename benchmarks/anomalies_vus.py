"""VUS-PR: the area under precision and recall, averaged over how far from a label an alarm may lie.

Paparrizos, Boniol, Palpanas, Tsay, Elmore and Franklin, Volume Under the Surface, PVLDB 15(11), 2022: around each
labelled run of points the label falls off as the square root over half a buffer; recall is weighed by the share of runs
that any alarm touches; the area is averaged over all buffers from 0 to the longest. 250 thresholds, spread over the
ranks.
"""

import numpy as np

from benchmarks.anomalies_data import Bools, Floats, label_runs

__all__ = ["vus_pr"]

_BUFFER_POINTS = 100
_THRESHOLDS = 250


def vus_pr(labels: Bools, scores: Floats, *, buffer: int = _BUFFER_POINTS, thresholds: int = _THRESHOLDS) -> float:
    """0..1, higher is better. NaN where nothing is labelled. Scores must be finite; higher is more anomalous."""
    runs, points = label_runs(labels), len(labels)
    if not runs:
        return float("nan")
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    cuts = ranked[np.linspace(0, points - 1, thresholds).astype(np.int64)]
    predicted = np.searchsorted(-ranked, -cuts, side="right")  # how many score at least the cut
    labelled = float(labels.sum())
    areas = [_area(labels, runs, scores, order, cuts, predicted, labelled, width) for width in range(buffer + 1)]
    return float(np.mean(areas))


def _area(
    labels: Bools,
    runs: list[tuple[int, int]],
    scores: Floats,
    order: Floats,
    cuts: Floats,
    predicted: Floats,
    labelled: float,
    width: int,
) -> float:
    soft = _softened(labels, runs, width)
    found = np.cumsum(soft[order])[predicted - 1]
    core = np.cumsum(labels[order])[predicted - 1]
    # the weight of the positives: labels in full, their surroundings as far as they are predicted
    positives = (labelled + labelled + found - core) / 2.0
    highest = np.sort([float(scores[first : last + 1].max()) for first, last in label_runs(soft > 0)])
    touched = len(highest) - np.searchsorted(highest, cuts, side="left")
    recall = np.minimum(found / positives, 1.0) * touched / len(highest)
    precision = found / predicted
    return float(np.dot(np.diff(recall, prepend=0.0), precision))


def _softened(labels: Bools, runs: list[tuple[int, int]], width: int) -> Floats:
    soft = labels.astype(np.float64)
    reach = width // 2
    for first, last in runs if reach else ():
        right = np.arange(last + 1, min(last + reach + 1, len(labels)))
        soft[right] += np.sqrt(1.0 - (right - last) / width)
        left = np.arange(max(first - reach, 0), first)
        soft[left] += np.sqrt(1.0 - (first - left) / width)
    return np.minimum(soft, 1.0)
