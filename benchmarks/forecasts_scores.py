"""How far forecasts were off: the M4 competition's measures, and how often intervals held what came."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from benchmarks.forecasts_data import Floats, Task

__all__ = ["Made", "Scores", "score"]


@dataclass(frozen=True)
class Made:
    """One forecast: a value a bucket and, of a method that has them, (lower, upper) by level in percent."""

    value: Floats
    bounds: Mapping[int, tuple[Floats, Floats]] = field(default_factory=dict)
    seconds: float = 0.0


@dataclass(frozen=True)
class Scores:
    """`figures` are means over series, in percent but for MASE and seconds; `wape_of` is WAPE by series, in percent."""

    figures: dict[str, float | None]
    wape_of: dict[str, float]


def score(tasks: Sequence[Task], made: Iterable[Made], season: int) -> Scores:
    """The measures of one method on all tasks; of several origins of a series the mean counts as that series'.

    sMAPE = 200 mean(|y - f| / (|y| + |f|)), 0 where both are 0; MASE = mean|y - f| / mean|y_t - y_(t-m)| of the past
    with m the first season (Makridakis, Spiliotis & Assimakopoulos, IJF 36(1), 2020). MAPE leaves out buckets that are
    0; WAPE = 100 sum|y - f| / sum|y| over all origins of a series, which is left out where all is 0, as is MASE where
    the past repeats itself exactly. `wape_median` is the median over series; `wape_pooled` divides all errors by all
    values. Coverage is the share of all buckets within the bounds.
    """
    by_series: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    errors: dict[str, float] = defaultdict(float)
    actuals: dict[str, float] = defaultdict(float)
    held: dict[int, list[Floats]] = defaultdict(list)
    seconds: list[float] = []
    for task, forecast in zip(tasks, made, strict=True):
        is_known = np.isfinite(task.actual)
        y, f = task.actual[is_known], forecast.value[is_known]
        miss, size = np.abs(y - f), np.abs(y) + np.abs(f)
        of = by_series[task.series_id]
        of["smape"].append(200 * float(np.mean(np.divide(miss, size, out=np.zeros_like(miss), where=size > 0))))
        steps = np.abs(task.past[season:] - task.past[:-season])
        if len(steps) and steps.mean() > 0:
            of["mase"].append(float(miss.mean() / steps.mean()))
        if (y != 0).any():
            of["mape"].append(100 * float(np.mean(miss[y != 0] / np.abs(y[y != 0]))))
        errors[task.series_id] += float(miss.sum())
        actuals[task.series_id] += float(np.abs(y).sum())
        for level, (lower, upper) in forecast.bounds.items():
            held[level].append((lower[is_known] <= y) & (y <= upper[is_known]))
        seconds.append(forecast.seconds)
    wape_of = {name: 100 * errors[name] / actuals[name] for name in errors if actuals[name] > 0}
    whole = sum(actuals.values())
    figures: dict[str, float | None] = {
        name: _mean([float(np.mean(of[name])) for of in by_series.values() if of[name]])
        for name in ("smape", "mase", "mape")
    }
    figures |= {
        "wape": _mean(list(wape_of.values())),
        "wape_median": float(np.median(list(wape_of.values()))) if wape_of else None,
        "wape_pooled": 100 * sum(errors.values()) / whole if whole > 0 else None,
        "coverage_80": 100 * float(np.concatenate(held[80]).mean()) if 80 in held else None,
        "coverage_95": 100 * float(np.concatenate(held[95]).mean()) if 95 in held else None,
        "seconds_per_series": _mean(seconds),
    }
    return Scores(figures, wape_of)


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None
