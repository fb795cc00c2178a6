"""Alarms against labels by episodes: what of what was told is true, and what of what happened was told."""

from collections.abc import Mapping, Sequence

import numpy as np

from benchmarks.anomalies_data import Bools, Labelled, label_runs
from benchmarks.anomalies_methods import Scored

__all__ = ["episode_scores"]

_GAP_POINTS = 2  # quiet points that do not end an episode, as in `lah_platform.anomalies`


def episode_scores(series: Sequence[Labelled], scored: Mapping[str, Scored]) -> dict[str, float]:
    """Precision: share of told episodes that touch a labelled run; recall: share of labelled runs that one touches; F1
    of both; false episodes per series and week; share of points alarmed. Pooled over all series."""
    true = false = found = runs = alarmed = points = 0
    weeks = 0.0
    for each in series:
        alarms = scored[each.series_id].alarmed
        for first, last in alarm_runs(alarms, scored[each.series_id].onsets):
            if each.labels[first : last + 1].any():
                true += 1
            else:
                false += 1
        labelled = label_runs(each.labels)
        found += sum(bool(alarms[first : last + 1].any()) for first, last in labelled)
        runs += len(labelled)
        alarmed += int(alarms.sum())
        points += len(alarms)
        weeks += each.weeks
    precision, recall = true / max(true + false, 1), found / max(runs, 1)
    return {
        "episode_precision": precision,
        "episode_recall": recall,
        "episode_f1": 2 * precision * recall / max(precision + recall, 1e-12),
        "false_per_series_week": false / max(weeks, 1e-12),
        "share_alarmed": alarmed / max(points, 1),
    }


def alarm_runs(alarmed: Bools, onsets: Bools | None) -> list[tuple[int, int]]:
    """First and last position of each told episode: alarmed points with small gaps, begun anew at each onset."""
    positions = np.flatnonzero(alarmed)
    if len(positions) == 0:
        return []
    begins = np.diff(positions, prepend=-_GAP_POINTS - 2) > _GAP_POINTS + 1
    if onsets is not None:
        begins |= onsets[positions]
    starts = np.flatnonzero(begins)
    ends = np.append(starts[1:], len(positions)) - 1
    return [(int(positions[a]), int(positions[b])) for a, b in zip(starts, ends, strict=True)]
