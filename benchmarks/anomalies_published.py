"""Detectors whose NAB figures are published, written anew: what the scorer is checked by in every full run.

Belongs here: detectors as their authors ran them on NAB, none of them of our choice, and the published figures
(github.com/numenta/NAB, README, standard profile).
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from scipy.special import chdtri, erfc, rel_entr

from benchmarks.anomalies_data import Floats, Labelled
from benchmarks.anomalies_nab import Corpus

__all__ = ["PUBLISHED", "checked", "windowed_gaussian"]

_GAUSSIAN_POINTS, _GAUSSIAN_STEP = 6400, 100
_SMALLEST_DEVIATION = 1e-6
_DIGITS = 12  # as their result files have them: unrounded, small scores tell apart what theirs do not (40.1)
_ENTROPY_POINTS, _ENTROPY_BINS, _ENTROPY_SHARE = 52, 5, 0.01


def windowed_gaussian(values: Floats) -> Floats:
    """Probability of lying nearer to the mean than the value, by a normal law fitted to what came before: all of it up
    to 6,400 points, then the last 6,400 as of every hundredth point."""
    size, shift = len(values), float(values[0]) if len(values) else 0.0
    early = values[:_GAUSSIAN_POINTS] - shift
    n = np.arange(1, len(early) + 1)
    mean = np.cumsum(early) / n
    std = np.sqrt(np.maximum(np.cumsum(early**2) / n - mean**2, 0.0))
    std[np.maximum.accumulate(early) == np.minimum.accumulate(early)] = 0.0
    means, stds = np.full(size, np.nan), np.full(size, np.nan)
    part = slice(1, len(early) + 1)
    means[part], stds[part] = (mean + shift)[: size - 1], std[: size - 1]
    for begin in range(_GAUSSIAN_POINTS, size, _GAUSSIAN_STEP):
        window = values[begin - _GAUSSIAN_POINTS : begin]
        means[begin : begin + _GAUSSIAN_STEP], stds[begin : begin + _GAUSSIAN_STEP] = window.mean(), window.std()
    stds = np.where(stds == 0.0, _SMALLEST_DEVIATION, stds)
    scores: Floats = np.nan_to_num(1.0 - 0.5 * erfc(np.abs(values - means) / stds / 1.4142), nan=0.0)  # their root of 2
    return np.round(scores, _DIGITS)


def relative_entropy(values: Floats) -> Floats:
    """1 where the histogram of the last 52 values agrees with none seen often enough before (Wang et al., Statistical
    techniques for online anomaly detection in data centers, IM 2011)."""
    low, width = values.min(), (values.max() - values.min()) / _ENTROPY_BINS
    scores = np.zeros(len(values))
    if width == 0.0 or len(values) < _ENTROPY_POINTS:
        return scores
    bins = np.minimum(np.ceil((values - low) / width), _ENTROPY_BINS - 1).astype(np.int64)
    counts = np.cumsum(np.eye(_ENTROPY_BINS)[bins], axis=0)
    share = (counts - np.concatenate([np.zeros((_ENTROPY_POINTS, _ENTROPY_BINS)), counts[:-_ENTROPY_POINTS]]))[
        _ENTROPY_POINTS - 1 :
    ] / _ENTROPY_POINTS
    limit = float(chdtri(_ENTROPY_BINS - 1, _ENTROPY_SHARE)) / (2 * _ENTROPY_POINTS)
    known, seen = share[:1], [1]
    answers: dict[bytes, int] = {}
    for at, now in enumerate(share[1:], _ENTROPY_POINTS):
        key = now.tobytes()
        if key not in answers:
            distance = rel_entr(now, known).sum(axis=1)
            answers[key] = int(distance.argmin()) if distance.min() < limit else -1
        nearest = answers[key]
        if nearest < 0:
            known, answers = np.concatenate([known, now[None]]), {}
            seen.append(1)
            scores[at] = 1.0
        else:
            seen[nearest] += 1
            scores[at] = float(seen[nearest] <= 1)
    return scores


PUBLISHED: Mapping[str, tuple[Callable[[Floats], Floats], float]] = {
    "windowed_gaussian": (windowed_gaussian, 39.65),
    "relative_entropy": (relative_entropy, 54.64),
}


def checked(series: Sequence[Labelled]) -> dict[str, tuple[float, float]]:
    """Our scorer's standard figure of each detector on all of NAB, and the published one."""
    corpus = Corpus(series)
    return {
        name: (corpus.best({each.series_id: run(each.values) for each in series})[0], published)
        for name, (run, published) in PUBLISHED.items()
    }
