"""The Numenta Anomaly Benchmark's score, from its rules (Lavin and Ahmad, ICMLA 2015): alarms weighed by how early they
come.

Per series the first 15 % (of at most 5,000 points) are probation and count for nothing. Within a labelled window only
the best alarm counts, by a sigmoid of its place: about 1 at the window's left edge, falling to 0 at its right. An alarm
outside costs up to `false_positive`, less just behind a window; a window without alarm costs `false_negative`. The sum
is scaled so that silence is 0 and one alarm at every window's first point is 100. As published, one threshold for the
whole corpus is chosen afterwards by the best sum.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.anomalies_data import Bools, Floats, Ints, Labelled

__all__ = ["LOW_FALSE_NEGATIVES", "LOW_FALSE_POSITIVES", "STANDARD", "Corpus", "Profile"]

_PROBATION_SHARE = 0.15
_PROBATION_POINTS = 5000
_FAR_BEHIND = 3.0


@dataclass(frozen=True, slots=True)
class Profile:
    """What a false alarm and a missed window cost; a window found is worth 1."""

    false_positive: float
    false_negative: float


STANDARD = Profile(0.11, 1.0)
LOW_FALSE_POSITIVES = Profile(0.22, 1.0)
LOW_FALSE_NEGATIVES = Profile(0.11, 2.0)


def probation(points: int) -> int:
    """How many first points of a series are not judged."""
    return int(np.ceil(min(np.floor(_PROBATION_SHARE * points), _PROBATION_SHARE * _PROBATION_POINTS)))


class Corpus:
    """Series prepared for scoring: the worth of an alarm at every point, and the window it would find."""

    def __init__(self, series: Sequence[Labelled]) -> None:
        self._parts = [(each.series_id, probation(len(each.values))) for each in series]
        worth, window, first = [], [], 0
        self.windows = 0
        for each, (_, skipped) in zip(series, self._parts, strict=True):
            own_worth, own_window = _worth(len(each.values), each.windows)
            own_window[own_window >= 0] += first
            first += len(each.windows)
            worth.append(own_worth[skipped:])
            window.append(own_window[skipped:])
            self.windows += len(each.windows)
        self._worth = np.concatenate(worth)
        self._window = np.concatenate(window)
        self._reachable = len(np.unique(self._window[self._window >= 0]))

    def best(self, scores: Mapping[str, Floats], profile: Profile = STANDARD) -> tuple[float, float]:
        """(score 0..100, threshold) with the corpus-wide threshold that scores best; an alarm is a score >= it."""
        flat = self._flat(scores)
        order = np.argsort(-flat, kind="stable")
        total = -profile.false_negative * self._reachable + np.cumsum(self._gains(order, profile))
        ordered = flat[order]
        ends = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
        silent = -profile.false_negative * self._reachable
        if len(ends) == 0 or total[ends].max() <= silent:
            return self._scaled(silent, profile), np.inf
        best = ends[total[ends].argmax()]
        return self._scaled(float(total[best]), profile), float(ordered[best])

    def at(self, scores: Mapping[str, Floats], threshold: float, profile: Profile = STANDARD) -> float:
        """Score 0..100 (or below) of the alarms score >= threshold."""
        flat = self._flat(scores)
        alarms = np.flatnonzero(flat >= threshold)
        gained = float(self._gains(alarms, profile).sum())
        return self._scaled(gained - profile.false_negative * self._reachable, profile)

    def _flat(self, scores: Mapping[str, Floats]) -> Floats:
        return np.concatenate([np.asarray(scores[name], dtype=np.float64)[skipped:] for name, skipped in self._parts])

    def _gains(self, order: Ints, profile: Profile) -> Floats:
        """What each alarm adds when they are raised in this order."""
        worth, window = self._worth[order], self._window[order]
        gains = np.where(window < 0, profile.false_positive * worth, 0.0)
        inside = np.flatnonzero(window >= 0)
        grouped = inside[np.argsort(window[inside], kind="stable")]
        for members in np.split(grouped, np.flatnonzero(np.diff(window[grouped])) + 1):
            if len(members):
                best = np.maximum.accumulate(np.maximum(worth[members], -profile.false_negative))
                gains[members] = np.diff(best, prepend=-profile.false_negative)
        return gains

    def _scaled(self, total: float, profile: Profile) -> float:
        silent = -profile.false_negative * self._reachable
        return 100.0 * (total - silent) / (self.windows - silent)


def _sigmoid(position: Floats) -> Floats:
    result: Floats = np.where(
        position > _FAR_BEHIND, -1.0, 2.0 / (1.0 + np.exp(5.0 * np.minimum(position, _FAR_BEHIND))) - 1.0
    )
    return result


def _worth(points: int, windows: Sequence[tuple[int, int]]) -> tuple[Floats, Ints]:
    worth, window = np.full(points, -1.0), np.full(points, -1, dtype=np.int64)
    best = float(_sigmoid(np.array([-1.0]))[0])
    at = np.arange(points)
    for number, (left, right) in enumerate(windows):
        width = right - left + 1
        behind: Bools = at > right
        worth[behind] = _sigmoid((at[behind] - right) / max(width - 1, 1))
        inside: Bools = (at >= left) & (at <= right)
        worth[inside] = _sigmoid(-(right - at[inside] + 1) / width) / best
        window[inside] = number
    return worth, window
