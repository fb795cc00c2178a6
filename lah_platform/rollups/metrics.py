"""The one registry of metrics: what is measured, from which event column, and how it adds up.

Belongs here: names, units and meaning. Computing them is in `aggregate`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

__all__ = [
    "KIND_MEASURES",
    "MAX_MAGNITUDE",
    "MEASURES",
    "METRICS",
    "NUMBER_OF",
    "Exactness",
    "Kind",
    "Measure",
    "Metric",
    "metric",
]

Kind = Literal["counter", "gauge", "histogram", "summary"]
Exactness = Literal["float", "integer", "decimal"]
Measure = Literal["adds", "extreme", "derived"]

# Squares of larger values leave double precision, and with them every stddev of their series
MAX_MAGNITUDE = 1e140

MEASURES: Mapping[str, Measure] = MappingProxyType(
    {
        "count": "adds",
        "sum": "adds",
        "avg": "derived",
        "min": "extreme",
        "max": "extreme",
        "stddev": "derived",
        "p50": "derived",
        "p95": "derived",
        "p99": "derived",
    }
)
"""How each measure of two windows makes the measure of both: it `adds`, takes the `extreme`, or is `derived`
from merged moments and histograms and must never be combined itself (an average of averages is wrong)."""

KIND_MEASURES: Mapping[Kind, frozenset[str]] = MappingProxyType(
    {
        "counter": frozenset(MEASURES),
        "gauge": frozenset(MEASURES) - {"sum"},
        "histogram": frozenset(MEASURES),
        "summary": frozenset(MEASURES) - {"sum", "stddev", "p50", "p95", "p99"},
    }
)
"""The measures that mean something: levels do not add, and what a producer has aggregated says nothing of the spread
of what it aggregated."""


@dataclass(frozen=True)
class Metric:
    """One measured quantity.

    `column`: the event column it is read from; None: every event counts as 1.
    `subtype`: only events of this subtype carry it; None: whichever events have the column.
    `exactness`: float sums are rounded, integer and decimal sums are exact to the last digit.
    """

    name: str
    unit: str
    kind: Kind
    column: str | None
    subtype: str | None
    exactness: Exactness
    description: str

    @property
    def is_exact(self) -> bool:
        return self.exactness != "float"

    @property
    def measures(self) -> frozenset[str]:
        return KIND_MEASURES[self.kind]


METRICS: tuple[Metric, ...] = (
    Metric("events", "events", "counter", None, None, "integer", "Events stored; every event counts once"),
    Metric("latency_ms", "ms", "histogram", "latency_ms", None, "float", "From request to last token"),
    Metric("ttft_ms", "ms", "histogram", "ttft_ms", None, "float", "From request to first token"),
    Metric(
        "tokens_per_second", "tokens/s", "gauge", "tokens_per_second", None, "float", "Speed of generation as reported"
    ),
    Metric(
        "requests_per_second", "requests/s", "gauge", "requests_per_second", None, "float", "Request rate as reported"
    ),
    Metric("total_requests", "requests", "counter", "total_requests", None, "integer", "Requests made"),
    Metric(
        "failed_requests",
        "requests",
        "counter",
        "failed_requests",
        None,
        "integer",
        "Requests that failed; the error rate is the sum of these over the sum of total_requests",
    ),
    # Only from token_usage: a token_cost event repeats the tokens of the same request
    Metric("input_tokens", "tokens", "counter", "input_tokens", "token_usage", "integer", "Tokens of prompts"),
    Metric("output_tokens", "tokens", "counter", "output_tokens", "token_usage", "integer", "Tokens of completions"),
    Metric(
        "total_tokens", "tokens", "counter", "total_tokens", "token_usage", "integer", "Tokens of prompt and completion"
    ),
    Metric("cost_usd", "USD", "counter", "cost_usd", None, "decimal", "Cost as the producer reported it"),
    Metric("score", "1", "summary", "score", None, "float", "Score as reported, on the producer's scale"),
)
NUMBER_OF: Mapping[str, int] = MappingProxyType({metric.name: number for number, metric in enumerate(METRICS)})
"""Each metric's place in METRICS, by its name."""
_BY_NAME = {metric.name: metric for metric in METRICS}


def metric(name: str) -> Metric:
    """The metric called `name`; raises ValueError that names the allowed ones."""
    if name not in _BY_NAME:
        raise ValueError(f"no metric is called {name!r}: use one of {', '.join(_BY_NAME)}")
    return _BY_NAME[name]
