"""From a deviation to a score in 0..1, and from a score to an impact level: the only place with these cuts."""

from __future__ import annotations

_LEVELS = ((0.8, "critical"), (0.6, "high"), (0.4, "medium"), (0.2, "low"))


def score01(deviation: float, threshold: float) -> float:
    """Share of the deviation that lies beyond its alarm threshold: 0 at the threshold, 0.5 at twice it, towards 1."""
    size = abs(deviation)
    return 0.0 if size <= threshold else 1.0 - threshold / size


def impact_level(score01: float) -> str:
    """Impact of a score in 0..1: negligible < 0.2 <= low < 0.4 <= medium < 0.6 <= high < 0.8 <= critical.

    Raises ValueError outside 0..1 (NaN included).
    """
    if not 0.0 <= score01 <= 1.0:
        raise ValueError(f"a score lies in 0..1, not {score01}")
    return next((level for cut, level in _LEVELS if score01 >= cut), "negligible")
