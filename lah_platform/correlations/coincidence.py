"""How likely episodes meet in time by chance: the confidence of everything that rests on meeting."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from math import exp

from lah_platform.correlations.evidence import AnomalyRow


def poisson_tail(at_least: int, mean: float) -> float:
    """P(X >= at_least) for a Poisson number with that mean, to full relative precision while it is below a half.

    Above a mean of 745 the answer is 1, which is on the safe side: nothing is surprising there.
    """
    if at_least <= 0:
        return 1.0
    term = exp(-mean)
    below = 0.0
    for k in range(at_least):
        below += term
        term *= mean / (k + 1)
    if below < 0.5:
        return 1.0 - below
    tail, k = 0.0, at_least
    while term > 1e-18 * (tail + 1e-300):
        tail += term
        k += 1
        term *= mean / k
    return min(tail, 1.0)


def chance_of_meeting(met: int, candidates: int, exposure_seconds: float, covered_seconds: float) -> float:
    """Chance that at least `met` of `candidates`, thrown evenly over the period, fall into `exposure_seconds`.

    The candidates that did meet are among those counted, so a rare kind of episode gets no benefit of doubt.
    """
    return poisson_tail(met, candidates * min(exposure_seconds / covered_seconds, 1.0))


def overlap_share(one: AnomalyRow, other: AnomalyRow) -> float:
    """Share of the shorter episode that lies within the other."""
    shared = min(one.ended_at, other.ended_at) - max(one.started_at, other.started_at)
    shorter = min(one.ended_at - one.started_at, other.ended_at - other.started_at)
    if shared < timedelta(0):
        return 0.0
    return shared / shorter if shorter > timedelta(0) else 1.0


def do_meet(one: AnomalyRow, other: AnomalyRow, slack: timedelta) -> bool:
    """Whether two episodes overlap, or lie no more than `slack` apart."""
    return one.started_at < other.ended_at + slack and other.started_at < one.ended_at + slack


def distinct_episodes(rows: Iterable[AnomalyRow]) -> int:
    """Number of separate stretches of time with anomalies, added over series.

    One fault of one series shows in several metrics and windows at once: that is one coincidence, not five.
    """
    latest: dict[int, datetime] = {}
    count = 0
    for row in sorted(rows, key=lambda r: (r.series_id, r.started_at, r.anomaly_id)):
        end = latest.get(row.series_id)
        if end is None or row.started_at > end:
            count += 1
            latest[row.series_id] = row.ended_at
        else:
            latest[row.series_id] = max(end, row.ended_at)
    return count
