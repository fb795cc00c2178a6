"""Fields of an answer: aggregation functions of the metric, and which of them mean something.

Belongs here: names, units and refusals. Computing them is in `evaluate`.
"""

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Literal

from lah_platform.rollups.metrics import MEASURES, Metric
from lah_platform.timeseries.refusal import QueryError, one_of

__all__ = ["FUNCTIONS", "Field", "read_field"]

Function = Literal["count", "sum", "min", "max", "mean", "stddev", "quantile", "count_rate", "sum_rate"]

FUNCTIONS: Final = ("count", "sum", "min", "max", "mean", "stddev", "median", "rate", "count_rate", "p95")
"""Names of fields; p95 stands for every percentile, p0 to p100, also p99.9."""
_PERCENTILE: Final = re.compile(r"p([0-9]{1,2}(\.[0-9]{1,6})?|100(\.0{1,6})?)")
# What a rollup row holds for a function to be meaningful, in the words of `rollups.metrics.MEASURES`
_NEEDS: Final = {"mean": "avg", "quantile": "p95", "count_rate": "count", "sum_rate": "sum"}
_NOT_KEPT: Final = {
    "first": "Ask for min or max, or read the events themselves: GET /api/v1/events",
    "last": "Ask for min or max, or read the events themselves: GET /api/v1/events",
    "avg": "It is called mean here: the average of all values, never of averages",
    "percentile": "Write the percentile as p95 or p99.9",
}


@dataclass(frozen=True)
class Field:
    """A column of the answer: `function` of all values of a bucket and group; of a quantile `q` in [0, 1]."""

    name: str
    function: Function
    unit: str
    q: float = 0.0


def read_field(name: str, metric: Metric, place: str = "fields") -> Field:
    """The field called `name` of `metric`; QueryError when there is none, or it means nothing for the metric's kind.

    `rate` is per second: of a counter its sum, of the other kinds the number of values.
    """
    function, q = _function(name, metric, place)
    measure = _NEEDS.get(function, function)
    if measure not in metric.measures:
        use = ", ".join(_spelled(each) for each in MEASURES if each in metric.measures)
        raise QueryError(
            place, f"`{name}` means nothing for {metric.name}, which is a {metric.kind}", f"Use some of {use}, rate"
        )
    return Field(name, function, _unit(function, metric), q)


def _function(name: str, metric: Metric, place: str) -> tuple[Function, float]:
    match name:
        case "count" | "sum" | "min" | "max" | "mean" | "stddev" | "count_rate":
            return name, 0.0
        case "median":
            return "quantile", 0.5
        case "rate":
            return "sum_rate" if metric.kind == "counter" else "count_rate", 0.0
    if found := _PERCENTILE.fullmatch(name):
        return "quantile", float(Decimal(found[1]) / 100)
    if advice := _NOT_KEPT.get(name.partition("(")[0].strip()):
        raise QueryError(place, f"`{name}` is not kept by rollups" if name in ("first", "last") else name, advice)
    raise QueryError(place, f"no function is called {name!r}", one_of(name, FUNCTIONS))


def _spelled(measure: str) -> str:
    return {"avg": "mean"}.get(measure, measure)


def _unit(function: Function, metric: Metric) -> str:
    match function:
        case "count":
            return "1"
        case "count_rate":
            return "1/s"
        case "sum_rate":
            return f"{metric.unit}/s"
        case _:
            return metric.unit
