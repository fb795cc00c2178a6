"""Slow, obvious versions of what the detectors compute."""

import math
import statistics
from collections.abc import Sequence
from datetime import datetime, timedelta

from scipy.stats import nbinom, norm, wasserstein_distance


def quantile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    position = share * (len(ordered) - 1)
    low = int(position)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (position - low)


def baseline(values: Sequence[float], at: int, history: int) -> dict[str, float]:
    before = values[max(0, at - history) : at]
    median = statistics.median(before)
    distances = [abs(v - median) for v in before]
    return {
        "mean": statistics.fmean(before),
        "std": statistics.stdev(before) if len(before) > 1 else 0.0,
        "median": median,
        "mad": statistics.median(distances),
        "mean_ad": statistics.fmean(distances),
        "q1": quantile(before, 0.25),
        "q3": quantile(before, 0.75),
    }


def phase_level(by_hour: dict[datetime, list[float]], hour: datetime, observed: float) -> tuple[float | None, bool]:
    """Median over the same hour of earlier weeks if there are two, else of earlier days if there are three."""

    def medians(lag: timedelta, cycles: int) -> list[float]:
        hours = [hour - k * lag for k in range(1, cycles + 1)]
        return [statistics.median(by_hour[h]) for h in hours if h in by_hour]

    weeks = medians(timedelta(days=7), 4)
    if len(weeks) == 2:
        return min(weeks, key=lambda level: abs(level - observed)), True
    if len(weeks) > 2:
        return statistics.median(weeks), True
    days = medians(timedelta(days=1), 7)
    return (statistics.median(days), False) if len(days) >= 3 else (None, False)


def distance(now: Sequence[float], before: Sequence[float]) -> float:
    return float(wasserstein_distance(now, before))


def active(buckets: Sequence[int], enter: Sequence[bool], hold: Sequence[bool], max_gap: int) -> list[bool]:
    """One bucket after the other, with a memory of the last held bucket."""
    result, is_open, last_held = [], False, -(10**9)
    for bucket, enters, holds in zip(buckets, enter, hold, strict=True):
        if is_open and bucket - last_held > 1 + max_gap:
            is_open = False
        is_open = is_open or enters
        if enters or holds:
            last_held = bucket
        result.append(is_open and (enters or holds))
    return result


def three_z(values: Sequence[float], at: int, history: int, relative_floor: float, unit: float) -> list[float]:
    """Rolling z-score, MAD and IQR of one value, as a textbook has them, with the floor of the scale."""
    b = baseline(values, at, history)
    floor = max(relative_floor * abs(b["median"]), unit, 1.2533141 * b["mean_ad"] if b["mad"] == 0 else 0.0)
    value, iqr = values[at], max((b["q3"] - b["q1"]) / 1.3489795, floor)
    beyond = (value - b["q3"]) / iqr + 0.6744898 if value > b["q3"] else 0.0
    beyond = (value - b["q1"]) / iqr - 0.6744898 if value < b["q1"] else beyond
    size = min(at, history)
    shrink = size / (size + 10)
    z = [(value - b["mean"]) / max(b["std"], floor), (value - b["median"]) / max(1.4826022 * b["mad"], floor), beyond]
    return [shrink * v for v in z]


def milder(one: float, other: float) -> float:
    if one * other <= 0:
        return 0.0
    return min(one, other, key=abs)


def log(value: float, unit: float) -> float:
    return math.copysign(math.log1p(abs(value) / unit), value)


def rate_z(counts: Sequence[int], at: int, history: int, floor: float, usual: Sequence[bool]) -> float:
    """z of a count under a negative binomial law with the moments of the usual counts before it."""
    before = [counts[i] for i in range(max(0, at - history), at) if usual[i]]
    mean = (sum(before) + 0.5) / len(before)
    variance = statistics.variance(before) if len(before) > 1 else 0.0
    dispersion = max((variance - mean) / mean**2, floor**2)
    law = nbinom(1 / dispersion, 1 / (1 + mean * dispersion))
    if counts[at] > mean:
        return max(float(norm.isf(max(law.sf(counts[at] - 1), 1e-300))), 0.0)
    return min(float(norm.ppf(max(law.cdf(counts[at]), 1e-300))), 0.0)
