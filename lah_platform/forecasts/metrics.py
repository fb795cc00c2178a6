"""What is forecast of which metric, and how a metric grows: one place, checked against the registry."""

from collections.abc import Mapping
from types import MappingProxyType

from lah_platform.forecasts.series import Gap
from lah_platform.rollups.metrics import METRICS, metric

__all__ = ["COSTS", "FORECAST", "VOLUMES", "adds_up", "gap_of"]


def _checked(measures: Mapping[str, str]) -> Mapping[str, str]:
    for name, measure in measures.items():
        if measure not in metric(name).measures:
            raise ValueError(f"{measure} means nothing of {name}")
    return MappingProxyType(dict(measures))


FORECAST: Mapping[str, str] = _checked(
    {
        "events": "count",
        "total_requests": "sum",
        "requests_per_second": "avg",
        "total_tokens": "sum",
        "cost_usd": "sum",
        "failed_requests": "sum",
        "latency_ms": "p95",
    }
)
"""The measure that is forecast of each metric: requests, tokens, cost and errors as sums, latency as its tail."""

COSTS = frozenset(each.name for each in METRICS if each.kind == "counter" and each.unit == "USD")
"""What grows with requests and with prices."""

VOLUMES = frozenset(each.name for each in METRICS if each.kind == "counter") - COSTS | {
    metric("requests_per_second").name
}
"""What grows with requests: what adds up, and the one gauge that is a rate of it (tokens/s is a speed)."""


def adds_up(name: str) -> bool:
    """Whether the forecasts of a metric may be summed over time: rates, levels and percentiles may not."""
    return FORECAST.get(name) in ("sum", "count")


def gap_of(measure: str) -> Gap:
    """What a bucket without a row is: nothing where the measure adds up, else unknown."""
    return "zero" if measure in ("sum", "count") else "interpolate"
